"""What the quantities are computed from: the pieces of a mask, and what is known beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from ..labels import LABELS, LESION
from ..phases import PHASES
from ..records import Scan
from .attenuation import LEAST_VOXELS, Attenuation, attenuation
from .axial import AxialExtent, axial_extent
from .flags import is_cut
from .patient import STANDARD_VOLUMES, Patient, bsa_mosteller_m2
from .pieces import Piece
from .remnant import Plane, Split, split_by_plane

ABSENT = "not found in the scan"
LEAST_LESION_ML, LEAST_LESION_VOXELS = 0.01, 3  # smaller components are noise, as in the agreement of lesions
SMALLEST_BSA_M2 = 1.2  # the formulas for the liver's volume are those of adults
ADULT_YEARS = 18.0
CONTRAST_HU = 100.0  # an aorta that reads more holds contrast agent
_MARGIN_MM = {"liver": 5.0, "spleen": 3.0}  # how far from its border an organ's attenuation is read
_ROUNDING = 1e-9


class UndefinedError(Exception):
    """A quantity that has no value here; the sentence is the reason that a reader gets."""


@dataclass(frozen=True, eq=False)
class Study:
    """What is known beside the segments. InputError for a formula that is not in STANDARD_VOLUMES."""

    scan: Scan | None = None  # on the segments' own grid
    patient: Patient | None = None
    remnant: Plane | tuple[int, ...] | None = None  # a cut, or the codes of the parts that stay
    standard: str = "vauthey"  # a key of STANDARD_VOLUMES: chosen by a person, never guessed from one

    def __post_init__(self) -> None:
        if self.standard not in STANDARD_VOLUMES:
            known = ", ".join(STANDARD_VOLUMES)
            raise InputError(
                f"unknown formula {self.standard!r} for the standard liver volume; expected one of: {known}"
            )


@dataclass(frozen=True, eq=False)
class Body:
    """Every piece by its key, None where it is empty. What several quantities need is computed once."""

    pieces: Mapping[str, Piece | None]
    study: Study

    def piece(self, key: str) -> Piece:
        found = self.pieces.get(key)
        if found is None:
            raise UndefinedError(ABSENT if key in self.pieces else f"{_name(key)} unknown to this model or mask")
        return found

    @property
    def lesions_known(self) -> bool:
        return LABELS[LESION].key in self.pieces

    @cached_property
    def liver_is_cut(self) -> bool:
        return is_cut(self.piece("liver"))

    def whole_liver_ml(self) -> float:
        """The liver's volume where it may stand in a ratio."""
        volume = self.piece("liver").volume_ml
        if self.liver_is_cut:
            raise UndefinedError("the scan ends inside the liver: its volume is a part")
        return volume

    def lesion_ml(self) -> float:
        """0 where lesions were looked for and none was found."""
        if not self.lesions_known:
            raise UndefinedError("lesions unknown to this model or mask")
        found = self.pieces[LABELS[LESION].key]
        return found.volume_ml if found else 0.0

    def lesions(self) -> list[Piece]:
        """Those that count."""
        numbered = [piece for key, piece in self.pieces.items() if key.startswith("lesion_") and piece]
        return [piece for piece in numbered if counts(piece)]

    @cached_property
    def _axial(self) -> dict[int, AxialExtent]:
        return {}

    def axial(self, lesion: Piece) -> AxialExtent:
        if id(lesion) not in self._axial:
            self._axial[id(lesion)] = axial_extent(lesion)
        return self._axial[id(lesion)]

    @cached_property
    def _liver_surface(self) -> cKDTree:
        """The liver's border voxels; where the scan ends inside the liver is no surface."""
        border = self.piece("liver").border_mm(open_edges=True)
        return cKDTree(border, leafsize=128, balanced_tree=False, compact_nodes=False)

    def surface_distance_mm(self, lesion: Piece) -> float:
        border, surface = lesion.border_mm(open_edges=False), self._liver_surface
        if not surface.n:
            raise UndefinedError("the liver fills the scan: its surface is not in it")
        near = surface.query(border[:: max(len(border) // 50, 1)])[0].min()  # so that the others need not look farther
        return float(min(near, surface.query(border, distance_upper_bound=near)[0].min()))

    def body_size(self) -> tuple[float, float]:
        size = self.study.patient.body_size if self.study.patient else None
        if size is None:
            raise UndefinedError("no body size: give height_cm and weight_kg in a patient file")
        return size

    def bsa_m2(self) -> float:
        return bsa_mosteller_m2(*self.body_size())

    def standard_ml(self) -> float:
        bsa, age = self.bsa_m2(), self.study.patient.age_years if self.study.patient else None
        if bsa < SMALLEST_BSA_M2:
            raise UndefinedError(
                f"a body surface of {bsa:.2f} m2 is below {SMALLEST_BSA_M2:g} m2: the formula is of adults"
            )
        if age is not None and age < ADULT_YEARS:
            raise UndefinedError(f"at {age:g} years: the formula is of adults")
        return STANDARD_VOLUMES[self.study.standard].compute_ml(*self.body_size())

    @property
    def split(self) -> Split:
        """The liver in remnant and rest. InputError for parts that the mask does not have."""
        if isinstance(self.study.remnant, Plane):
            if self._by_plane is None:
                raise UndefinedError("the plane misses the liver")
            return self._by_plane
        remnant_ml = sum(part.volume_ml for part in self.remnant_parts())
        return Split(remnant_ml, 0.0, self.piece("liver").volume_ml - remnant_ml)

    @cached_property
    def _by_plane(self) -> Split | None:
        liver, plane = self.piece("liver"), self.study.remnant
        return split_by_plane(plane, liver, self._lesion_in(liver)) if isinstance(plane, Plane) else None

    def remnant_parts(self) -> list[Piece]:
        known = {key.removeprefix("part_"): part for key, part in self.pieces.items() if key.startswith("part_")}
        codes = self.study.remnant if isinstance(self.study.remnant, tuple) else ()
        strange = [code for code in codes if str(code) not in known]
        if strange or not codes:
            asked = ", ".join(map(str, strange or codes)) or "nothing"
            raise InputError(
                f"the remnant asks for parts {asked}; the mask has the parts: {', '.join(known) or 'none'}"
            )
        return [part for part in (known[str(code)] for code in sorted(set(codes))) if part]

    def _lesion_in(self, liver: Piece) -> np.ndarray | None:
        """The lesions' mask on the liver's block."""
        lesion = self.pieces.get(LABELS[LESION].key)
        if lesion is None:
            return None
        mask = np.zeros_like(liver.mask)
        mask[lesion.grid.slices_in(liver.grid)] = lesion.mask
        return mask

    @cached_property
    def _attenuations(self) -> dict[str, Attenuation]:
        return {}

    def attenuation_of(self, organ: str) -> Attenuation:
        """Of the liver without lesions, or of the spleen, on CT without contrast agent."""
        scan = self._native_ct()
        if organ not in self._attenuations:
            parenchyma = "liver_parenchyma" if organ == "liver" and self.pieces.get("liver_parenchyma") else organ
            self._attenuations[organ] = attenuation(scan, self.piece(parenchyma), _MARGIN_MM[organ])
        found = self._attenuations[organ]
        if math.isnan(found.mean_hu):
            raise UndefinedError(f"fewer than {LEAST_VOXELS} voxels of the {organ} lie away from its border")
        return found

    def _native_ct(self) -> Scan:
        scan = self.study.scan
        if scan is None:
            raise UndefinedError("measured without its scan")
        if scan.phase != "ct_native":
            raise UndefinedError(f"read on ct_native alone; this scan is {scan.phase} ({PHASES[scan.phase].meaning})")
        if self.aorta_hu > CONTRAST_HU:
            raise UndefinedError(f"the aorta reads {self.aorta_hu:.0f} HU: the scan has contrast agent")
        return scan

    @cached_property
    def aorta_hu(self) -> float:
        """The aorta's median; NaN where there is none."""
        aorta, scan = self.pieces.get("aorta"), self.study.scan
        if aorta is None or scan is None:
            return math.nan
        return float(np.median(scan.voxels[aorta.grid.slices_in(scan.grid)][aorta.mask]))


def counts(lesion: Piece) -> bool:
    """Whether a component is large enough to be a lesion."""
    return lesion.voxels >= LEAST_LESION_VOXELS and lesion.volume_ml >= LEAST_LESION_ML - _ROUNDING


def _name(key: str) -> str:
    return {"lesion": "lesions"}.get(key, key.replace("_", " "))
