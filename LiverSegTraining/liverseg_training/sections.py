"""The tables of an experiment, one dataclass each. An instance that exists is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .demands import demand, known_row, one_of
from .layouts import names as layouts

Pair = tuple[float, float]
LOSS_TERMS: Mapping[str, tuple[str, ...]] = {  # kind of a term -> what else its row may hold (losses.py makes them)
    "dice": ("smooth", "squared", "batch", "one_sided"),
    "tversky": ("alpha", "beta", "smooth", "batch"),
    "ce": (),
    "bce": (),
}
WEAR = ("gamma", "bias", "noise", "blur", "thick")  # kinds of wear that [augment] shares may name
DEEP: Mapping[str, tuple[str, ...]] = {"pow2": ("drop_last",), "alpha": ("start", "decay", "every")}


@dataclass(frozen=True)
class Run:
    """[experiment]: a run ends after `max_steps`, where that is given, and otherwise after `epochs`."""

    name: str
    out_dir: str
    max_steps: int = 0
    epochs: int = 0
    iters_per_epoch: int = 0  # steps of an epoch; 0: as many as show every training sample once
    accumulate: int = 1  # batches whose gradients make one step
    max_minutes: float = 0.0  # of one command, `resume` goes on; 0: no limit
    seed: int = 0
    amp: str = "bf16"  # bf16 | fp16 (CUDA alone) | off
    device: str = "auto"
    workers: int = -1  # processes that make batches; -1: none on a CPU, every core but one beside a GPU (eight at most)
    checkpoint_every: int = 250
    log_every: int = 25
    ema: float = 0.999  # decay of the averaged weights that are exported; 0: none
    note: str = ""

    def __post_init__(self) -> None:
        one_of("experiment.amp", self.amp, ("bf16", "fp16", "off"))
        demand(self.max_steps > 0 or self.epochs > 0, "experiment.max_steps or epochs must be positive")
        demand(
            self.checkpoint_every > 0 and self.log_every > 0 and self.accumulate > 0,
            "experiment: checkpoint_every, log_every and accumulate must be positive",
        )
        demand(self.iters_per_epoch >= 0, "experiment.iters_per_epoch must not be negative")
        demand(0 <= self.ema < 1, f"experiment.ema must be 0 or more and less than 1, not {self.ema}")

    @property
    def length(self) -> str:
        """How long a run goes on, in words that differ where it would."""
        return f"{self.max_steps} steps" if self.max_steps else f"{self.epochs} epochs of {self.iters_per_epoch} steps"


@dataclass(frozen=True)
class Data:
    """[data]"""

    folder: str = ""  # default: $LIVERSEG_DATA
    also: tuple[str, ...] = ()  # further data folders, read beside it
    layout: str = "cases"
    cache: str = "cache"
    labels: tuple[int, ...] = (1, 3, 4, 5)  # what the network answers
    merge: Mapping[str, int] = field(default_factory=lambda: {"2": 1})  # lesions belong to the liver
    include: tuple[str, ...] = ("*",)  # case ids, with wildcards
    weights: Mapping[str, float] = field(default_factory=dict)  # modality -> share of the drawn cases

    def __post_init__(self) -> None:
        one_of("data.layout", self.layout, layouts())
        lost = {int(code) for code in self.merge} & set(self.labels)
        demand(not lost, f"data.merge takes {sorted(lost)} away, which data.labels asks for: set data.merge = {{}}")
        for modality in self.weights:
            one_of("data.weights", modality, ("CT", "MR"))


@dataclass(frozen=True)
class Split:
    """[split]: by patient. fixed: `file` names the validation cases. layout: the data set's own parts. ratio: shares that train, validate, and do neither.
    kfold: the fold `fold` of `folds` validates. Both deal patients out evenly for each phase, in an order of `seed`."""

    kind: str = "fixed"
    file: str = "split.json"
    ratios: tuple[float, ...] = (0.7, 0.1, 0.2)
    folds: int = 5
    fold: int = 0
    seed: int = 0
    exclude: tuple[str, ...] = ()  # case ids, with wildcards, that are on neither side

    def __post_init__(self) -> None:
        one_of("split.kind", self.kind, ("fixed", "layout", "ratio", "kfold"))
        demand(self.folds >= 2, f"split.folds must be 2 or more, not {self.folds}")
        demand(
            0 <= self.fold < self.folds,
            f"split.fold must be one of 0 to {self.folds - 1} ({self.folds} folds), not {self.fold}",
        )
        demand(
            len(self.ratios) in (2, 3) and min(self.ratios) >= 0 and sum(self.ratios[:2]) > 0,
            f"split.ratios must be two or three shares (train, validate, rest), not {list(self.ratios)}",
        )


@dataclass(frozen=True)
class Preprocess:
    """[preprocess]: the part of the stage that decides what the network sees; mm are (x, y, z), 0 is the scan's own.

    `resize` (voxels j, i of every slice) and `zoom` (factors along x, y, z) are for recipes named *_paper, which are
    never exported.
    """

    spacing_mm: tuple[float, float, float]
    normalisation: Mapping[str, str]
    channels: tuple[str, ...] = ("image",)
    crop: str = "none"
    margin_mm: float = 0.0
    inside: int = 0  # a code of the stage before that this one draws into; 0: none
    reach_mm: float = 0.0  # further than this from it the network sees air; in training, half to twice as far
    resize: tuple[int, ...] = ()
    zoom: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        demand(len(self.resize) in (0, 2), f"preprocess.resize must be two counts (j, i), not {list(self.resize)}")
        demand(len(self.zoom) in (0, 3), f"preprocess.zoom must be three factors (x, y, z), not {list(self.zoom)}")

    @property
    def of_a_paper(self) -> bool:
        return bool(self.resize or self.zoom)


@dataclass(frozen=True)
class Network:
    """[network]: `pretrained` is a checkpoint that fills it before the first step: of a trunk (its encoder), or of the
    whole, a run's best.pt among them."""

    kind: str
    dims: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str = ""


@dataclass(frozen=True)
class Loss:
    """[loss]: terms are {kind, weight, ...} of LOSS_TERMS; `supervision` weighs the heads, finest first, or `deep` does,
    {kind, ...} of DEEP."""

    terms: tuple[Mapping[str, Any], ...] = ({"kind": "dice", "weight": 1.0}, {"kind": "ce", "weight": 1.0})
    supervision: tuple[float, ...] = (1.0,)
    deep: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for term in self.terms:
            known_row(term, LOSS_TERMS, "loss.terms", "weight")
        if self.deep:
            known_row(self.deep, DEEP, "loss.deep")


@dataclass(frozen=True)
class Sampler:
    """[sampler]: organ (the block of the organs, with the coarse stage's errors), scan (all of it), slice (slices of a
    2-D stage), slab (consecutive slices), patch (blocks, some of them about the organs). The last three are of the
    stage's window."""

    kind: str = "organ"
    batch: int = 1
    unlabelled: int = 0  # slice, slab, patch: samples of cases without a reference beside them, drawn from everywhere
    jitter_mm: float = 20.0  # organ: each face of the block moves by up to this
    partial: float = 0.15  # organ, scan: share of samples in which the scan ends inside the block
    below: float = 0.0  # organ, scan: share in which the scan ends below the liver
    empty: float = 0.0  # organ, scan: share that is a made-up body without any organ (negatives.py)
    liver: float = 0.5  # slice, slab: share that holds an organ at least; the others are drawn from all
    foreground: float = 0.33  # patch: share that is centred on a voxel of an organ
    place: str = "random"  # slice, slab: where in the plane the window lies, random or centre

    def __post_init__(self) -> None:
        one_of("sampler.place", self.place, ("random", "centre"))
        demand(self.batch > 0 and self.unlabelled >= 0, "sampler.batch must be positive, unlabelled not negative")


@dataclass(frozen=True)
class Augment:
    """[augment]: probabilities and ranges. There is no left-right flip for models that can be chosen."""

    turned: float = 1.0  # share of samples that are turned, scaled and bent; the others are cut out straight
    rotate_deg: tuple[float, float, float] = (8.0, 8.0, 15.0)  # about x, y, z; slices turn in their plane alone
    scale: Pair = (0.85, 1.2)
    bend_mm: float = 0.0  # largest standard deviation of the smooth displacements that half of the samples get
    flip: Mapping[str, float] = field(default_factory=dict)  # axis "j" or "k" -> probability; "i" in *_paper alone
    simulate: float = 0.0  # share of samples whose contrast is drawn anew (contrast.py)
    remap: float = 0.0  # share whose grey values go through a random curve
    gamma: Pair = (1.0, 1.0)
    worn: float = 0.5  # share that gets each kind of wear that follows
    shares: Mapping[str, float] = field(default_factory=dict)  # kind -> its own share instead; WEAR; gamma's is 0.3
    bias: float = 0.0  # largest strength of the bias field (log units)
    noise: float = 0.0  # largest standard deviation, in units of the image's own
    blur_mm: float = 0.0
    thick_mm: float = 0.0  # thickest slice that is imitated
    lesions: float = (
        0.0  # share of CT samples in whose liver lesions are made up (lesions.py); what else is liver is none
    )
    echo_dropout: float = 0.0  # share of later echoes left out, and of scans whose echoes end early; never the first

    def __post_init__(self) -> None:
        for axis in self.flip:
            one_of("augment.flip", axis, ("j", "k", "i"))
        for kind, share in self.shares.items():
            one_of("augment.shares", kind, WEAR)
            demand(0 <= share <= 1, f"augment.shares: {kind} must lie between 0 and 1, not {share}")
        demand(
            0 <= self.echo_dropout < 1,
            f"augment.echo_dropout must be 0 or more and less than 1, not {self.echo_dropout}",
        )


@dataclass(frozen=True)
class Optim:
    """[optim]: `groups` are parts of the network (a name in the path of its parameters) with a share of the rate."""

    kind: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    beta2: float = 0.999
    momentum: float = 0.9
    nesterov: bool = False
    groups: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """[schedule]: rates.SCHEDULES. hold: warm up, hold, fall to zero over the last `cooldown` of max_steps. poly, cosine.
    step: times `factor` every `every` epochs. onecycle: `freeze_epochs` with the parts in `freeze` frozen, then the
    cycle. plateau: times `factor` after `patience` looks without a better score."""

    kind: str = "hold"
    warmup: int = 100
    cooldown: float = 0.3
    power: float = 0.9
    every: int = 30
    factor: float = 0.8
    pct_start: float = 0.3
    div: float = 5.0
    patience: int = 10
    freeze_epochs: int = 0
    freeze: tuple[str, ...] = ()
    freeze_norms: bool = False
    early_stop: int = 0  # looks in a row without a better score that end the run; 0: never

    def __post_init__(self) -> None:
        one_of("schedule.kind", self.kind, ("hold", "poly", "step", "cosine", "onecycle", "plateau"))
        demand(
            self.every > 0 and 0 < self.pct_start < 1 and self.div > 0,
            "schedule: every, pct_start and div must be positive, pct_start below 1",
        )


@dataclass(frozen=True)
class Infer:
    """[infer]"""

    window: tuple[int, int, int]
    snap: tuple[int, int, int] | None = None
    sure: float = 0.0


@dataclass(frozen=True)
class Eval:
    """[eval]: a look at validation cases while training, with the averaged network, at the cached grid. The best look
    keeps its checkpoint. `grid` is where `validate` scores: native, or network in recipes named *_paper."""

    every: int = 0  # steps from one look to the next; 0: never
    cases: tuple[str, ...] = ("*",)  # ids of validation cases, with wildcards
    most: int = 8  # cases of a look, spread over the phases
    grid: str = "native"

    def __post_init__(self) -> None:
        one_of("eval.grid", self.grid, ("native", "network"))
        demand(self.every >= 0 and self.most > 0, "eval.every must not be negative and eval.most must be positive")


@dataclass(frozen=True)
class Card:
    """[card]: what the exported model says about itself."""

    version: str = "0.1.0"
    licence: str = ""
    fit_phases: tuple[str, ...] = ()
    training_data: tuple[str, ...] = ()
    intended_use: str = ""
    known_failures: tuple[str, ...] = ()
    research: bool = False  # the reproduction of a published system
