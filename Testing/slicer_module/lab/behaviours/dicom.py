"""ctkDICOMDatabase with instances that a test writes down; tags as "gggg,eeee"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..standins import behaviour


@behaviour("ctkDICOMDatabase")
class Database:
    """`_h_add` is for tests; the rest is what a script may ask. Unknown instances and tags are empty strings."""

    def _h_init(self: Any) -> None:
        self._h_instances: dict[str, tuple[str, str, str, dict[str, str]]] = {}

    def _h_add(
        self: Any, instance: str, file: str, tags: Mapping[str, str], series: str = "1", study: str = "1"
    ) -> None:
        self._h_instances[instance] = (file, series, study, {tag.lower(): value for tag, value in tags.items()})

    def _get_isOpen(self: Any) -> bool:
        return True

    def instanceValue(self: Any, instance: str, tag: str, *_: Any) -> str:
        return self._h_instances[instance][3].get(tag.lower(), "") if instance in self._h_instances else ""

    def fileForInstance(self: Any, instance: str) -> str:
        return self._h_instances[instance][0] if instance in self._h_instances else ""

    def instanceForFile(self: Any, file: str) -> str:
        return next((instance for instance, facts in self._h_instances.items() if facts[0] == file), "")

    def fileValue(self: Any, file: str, tag: str, *_: Any) -> str:
        return self.instanceValue(self.instanceForFile(file), tag)

    def patients(self: Any) -> tuple[str, ...]:
        return ("1",) if self._h_instances else ()

    def studiesForPatient(self: Any, patient: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(facts[2] for facts in self._h_instances.values()))

    def seriesForStudy(self: Any, study: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(facts[1] for facts in self._h_instances.values() if facts[2] == study))

    def instancesForSeries(self: Any, series: str, *_: Any) -> tuple[str, ...]:
        return tuple(instance for instance, facts in self._h_instances.items() if facts[1] == series)

    def filesForSeries(self: Any, series: str, *_: Any) -> tuple[str, ...]:
        return tuple(facts[0] for facts in self._h_instances.values() if facts[1] == series)
