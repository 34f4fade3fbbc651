"""How far a run is as a whole, from what the worker tells of its stages. The bar never goes back."""

from __future__ import annotations

from collections.abc import Sequence

# Shares of the time of a run, in the order in which stages come; a stage that is not here does not move the bar.
# segment: measured with the bundled any-phase model, quality standard, on a synthetic CT of 512 x 512 x 300 voxels and two
# CPU cores (load 2.6): reading 4.7 s (with the model, which loads beside it), preparation, inference and restoration together
# 4.3 s, measurements 1.1 s, reporting without the page 0.3 s. Those three repeat with each pass of a network: they are one
# stretch of the bar, moved by inference. fat: on the synthetic echoes (6 of 136 x 96 x 42 voxels, 0.4 s, 3.5 s and 0.7 s), with
# room for a network that draws the liver first. cohort: chosen, for the cases are nearly everything.
SHARES: dict[str, tuple[tuple[str, float], ...]] = {
    "segment": (("reading", 0.45), ("inference", 0.41), ("measurements", 0.11), ("reporting", 0.03)),
    "fat": (("reading", 0.10), ("inference", 0.25), ("fit", 0.50), ("reporting", 0.15)),
    "cohort": (("table", 0.01), ("verification", 0.01), ("cases", 0.96), ("tables", 0.02)),
}
# Of that stretch, up to the last window of the coarse pass and of the fine one; restoration is what is left (the same run:
# 0.3 s, 1.3 s, 2.7 s; with quality fast 0.24 s of 0.50 s).
_PASSES = (0.06, 0.32)
_COARSE_ALONE = (0.48,)

_DOINGS = {
    "segment": "Segmenting the liver",
    "compare": "Comparing",
    "measure": "Measuring",
    "fat": "Measuring fat and iron",
    "cohort": "Working through the cases",
    "case": "Writing the case",
    "models": "Working on the models",
    "sample": "Making a sample",
    "install": "Installing",
    "doctor": "Checking this computer",
}
_STAGES = {
    "reading": "Reading the scan and the model",
    "preparation": "Preparing the voxels",
    "inference": "The network looks at the scan",
    "restoration": "Putting the result on the grid of the scan",
    "measurements": "Measuring",
    "fit": "Fitting water, fat and iron",
    "reporting": "Writing the result",
    "table": "Reading the list of cases",
    "verification": "Checking what is done already",
    "cases": "Working through the cases",
    "tables": "Writing the tables",
}
_EARLY = 0.05  # a guess of the time left before this much is done would only jump about


class Progress:
    def __init__(self, verb: str = "", arguments: Sequence[str] = ()) -> None:
        self.fraction: float | None = None
        self._shares = SHARES.get(verb, ())
        self._passes = _COARSE_ALONE if "fast" in arguments else _PASSES
        self._pass = 0
        self._last: tuple[str, float] = ("", 0.0)

    def stage(self, name: str) -> None:
        begin, share = self._place(name)
        if share:
            self._reach(begin)

    def progress(self, name: str, done: float, total: float) -> None:
        begin, share = self._place(name)
        part = done / total
        if self._shares and not share:
            return
        if self._last[0] == name and part <= self._last[1]:
            self._pass += 1
        self._last = (name, part)
        self._reach(begin + share * self._within(name, part) if share else part)

    def eta_s(self, elapsed_s: float) -> float | None:
        """Seconds left, if the rest goes at the pace so far."""
        if self.fraction is None or self.fraction < _EARLY:
            return None
        return elapsed_s * (1.0 - self.fraction) / self.fraction

    def _place(self, name: str) -> tuple[float, float]:
        """Where on the bar a stage begins, and its share; a share of 0 for a stage that has none."""
        begin = 0.0
        for known, share in self._shares:
            if known == name:
                return begin, share
            begin += share
        return 0.0, 0.0

    def _within(self, name: str, part: float) -> float:
        if name != "inference":
            return part
        now = min(self._pass, len(self._passes))
        return sum(self._passes[:now]) + part * (*self._passes, 0.0)[now]

    def _reach(self, fraction: float) -> None:
        self.fraction = max(self.fraction or 0.0, min(fraction, 1.0))


def doing(verb: str) -> str:
    return _DOINGS.get(verb, "Working")


def stage_text(name: str) -> str:
    return _STAGES.get(name, name)
