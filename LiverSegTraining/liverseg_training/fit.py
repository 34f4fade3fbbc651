"""The training loop. Read this file first: everything else in the package serves one of its lines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from liverseg_core.errors import InputError

from .budget import shortage_told
from .cache import CachedCase, cached
from .cases import data_folder
from .checkpoints import BEST, LAST, load_checkpoint, save_checkpoint
from .diary import Diary, keep_batch, say
from .experiment import Experiment
from .feeding import Feed, Shown, fed
from .layouts import cases_of
from .looks import Looks, Seen
from .losses import SegmentationLoss
from .provenance import provenance, save_provenance
from .rates import Moment, turn
from .semi import SemiSupervision, semi_of
from .semi.streams import streams_of
from .splits import refuse_twins, split_cases
from .trainee import Trainee, begun, device_for, new_trainee


@dataclass(frozen=True)
class Sides:
    """Both sides of the split, cached."""

    training: tuple[CachedCase, ...]
    validation: tuple[CachedCase, ...]


@dataclass(frozen=True, eq=False)
class Teacher:
    """What turns a batch into gradients."""

    loss_of: SegmentationLoss
    semi: SemiSupervision
    folder: Path  # where a batch is kept that breaks the loss


def fit(experiment: Experiment, *, resume: bool = False) -> Path:
    """Train to the end and return the run folder. Killed at any moment, `resume` goes on bit by bit the same."""
    run, folder, began = experiment.experiment, experiment.out_dir, time.monotonic()
    device = device_for(run)
    say(f"training on {device}")
    _refuse_run(folder, resume=resume)
    sides = cached_sides(experiment)
    feed, looks, teacher = _room(experiment, sides, device)
    epoch_steps, steps = pace(experiment, feed.sampler.samples)
    trainee = new_trainee(experiment, device)
    begin, scores = _begin(trainee, experiment, sides, resume=resume)
    with shortage_told(experiment, device), Diary(experiment, steps, looks.cells, begin) as diary:
        for step, batches, clock in fed(feed, begin, steps, run.workers, device):
            at, done = Moment(step, steps, epoch_steps, tuple(scores)), step + 1
            rate = turn(trainee.optimiser, at, experiment.optim, experiment.schedule)
            torch.manual_seed(run.seed * 1_000_003 + step)  # every draw of a step depends on its number alone
            loss = sum(learned(trainee, batch.on(device), teacher, at, len(batches)) for batch in batches)
            trainee.step(experiment.optim.clip)
            trainee.follow(min(run.ema, done / (10 + step)))
            seconds, last = time.perf_counter() - clock, done == steps
            due = experiment.eval.every and (done % experiment.eval.every == 0 or last)
            seen = looked(trainee, looks, experiment, done, scores) if due else None
            diary.step(done, loss, rate, seconds, seen)
            ended = _ended(experiment, scores if seen else (), time.monotonic() - began)
            if ended or done % run.checkpoint_every == 0 or last:
                save_checkpoint(folder / LAST, trainee.checkpoint(done, experiment, scores))
                diary.save_page()
            if ended:
                say(f"step {done}/{steps}: {ended}")
                break
    return folder


def learned(trainee: Trainee, batch: Shown, teacher: Teacher, at: Moment, share: int) -> float:
    """Gather the gradients of one of `share` batches, and answer its part of the loss."""
    with trainee.short():
        answers = [network(batch.image) for network in trainee.networks]
    supervised = [teacher.loss_of(heads, batch.target, batch.known, at.epoch) for heads in answers]
    loss, unlabelled = torch.stack(supervised).sum(), teacher.semi(answers, batch.known, at)
    loss = (loss if unlabelled is None else loss + unlabelled) / share
    value = float(loss.detach())
    if not math.isfinite(value):
        kept = keep_batch(teacher.folder, batch.image, batch.target)
        raise InputError(f"the loss became {value} at step {at.step}; the batch is kept in {kept}")
    trainee.backward(loss)
    return value


def looked(trainee: Trainee, looks: Looks, experiment: Experiment, done: int, scores: list[float]) -> Seen:
    """Look at the validation cases, add the score to `scores`, and keep the checkpoint where it is the best."""
    seen = looks(trainee.averages[0] if experiment.experiment.ema else trainee.networks[0], pictures=True)
    scores.append(seen.score)
    if seen.score >= max(scores):
        save_checkpoint(experiment.out_dir / BEST, trainee.checkpoint(done, experiment, scores))
    return seen


def _room(experiment: Experiment, sides: Sides, device: torch.device) -> tuple[Feed, Looks, Teacher]:
    """Where batches come from, who looks, and who teaches."""
    loss, sampler = experiment.loss, streams_of(experiment, sides.training)
    looks = Looks(experiment, sides.validation if experiment.eval.every else (), device)
    teacher = Teacher(
        SegmentationLoss(loss.terms, loss.supervision, loss.deep), semi_of(experiment.semi), experiment.out_dir
    )
    return Feed(experiment, sampler), looks, teacher


def cached_sides(experiment: Experiment) -> Sides:
    """Who trains and who validates, cached; made first where the cache lacks them. InputError for a leak."""
    folder = data_folder(experiment.data.folder)
    parts = split_cases(cases_of(folder, experiment.data), experiment.split, folder)
    place, merge = Path(experiment.data.cache), experiment.data.merge
    training, validation = (
        tuple(cached(case, experiment.stage(), experiment.preprocess, merge, place) for case in side)
        for side in (parts.training, parts.validation)
    )
    refuse_twins({c.case.id: c.digest for c in training}, {c.case.id: c.digest for c in validation})
    if experiment.eval.every and not validation:
        raise InputError("eval.every asks for looks, but the split leaves no validation case")
    return Sides(training, validation)


def pace(experiment: Experiment, samples: int) -> tuple[int, int]:
    """Steps of an epoch, and of the run."""
    run = experiment.experiment
    shown_a_step = experiment.sampler.batch * run.accumulate
    epoch_steps = run.iters_per_epoch or max(1, -(-samples // shown_a_step))
    return epoch_steps, run.max_steps or run.epochs * epoch_steps


def _refuse_run(folder: Path, *, resume: bool) -> None:
    """A run is neither overwritten nor resumed from nothing."""
    if resume:
        load_checkpoint(folder / LAST)
    elif (folder / LAST).exists():
        raise InputError(f"{folder} already holds a run; use `resume`, or another experiment.out_dir")


def _begin(trainee: Trainee, experiment: Experiment, sides: Sides, *, resume: bool) -> tuple[int, list[float]]:
    """Steps done and scores so far."""
    folder = experiment.out_dir
    if resume:
        checkpoint = load_checkpoint(folder / LAST)
        trainee.restore(checkpoint, experiment, folder / LAST)
        return checkpoint.step, list(checkpoint.scores)
    for sentence in begun(trainee, experiment):
        say(sentence)
    folder.mkdir(parents=True, exist_ok=True)
    save_provenance(provenance(sides.training, sides.validation, str(trainee.device)), folder)
    return 0, []


def _ended(experiment: Experiment, scores: Sequence[float], seconds: float) -> str:
    """Why a run ends before its last step, or nothing."""
    patience, limit_min = experiment.schedule.early_stop, experiment.experiment.max_minutes
    if patience and scores and len(scores) - 1 - max(range(len(scores)), key=scores.__getitem__) >= patience:
        return f"{patience} looks brought no better score; the best is kept in {BEST}"
    return f"{limit_min:g} minutes are over; `resume` goes on" if limit_min and seconds > 60 * limit_min else ""
