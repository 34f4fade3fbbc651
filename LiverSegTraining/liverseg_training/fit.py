"""The training loop. Read this file first: everything else in the package serves one of its lines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from .together import ALONE, Group, Silence
from .trainee import Trainee, begun, device_for, new_trainee, spread

_APART = 16_777_259  # between the seeds of two processes, in steps


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
    group: Group = ALONE


@dataclass(frozen=True, eq=False)
class Course:
    """A run that is ready for its next step."""

    experiment: Experiment
    group: Group
    feed: Feed
    looks: Looks
    teacher: Teacher
    trainee: Trainee
    diary: Diary | Silence
    begin: int  # steps done before
    scores: list[float]  # one for each look so far
    pace: tuple[int, int]  # steps of an epoch, and of the run


def fit(experiment: Experiment, *, resume: bool = False, group: Group = ALONE) -> Path:
    """Train to the end and return the run folder. Killed at any moment, `resume` goes on bit by bit the same. The processes
    of a group share each step: together they learn what one learns from all their batches."""
    run, began = experiment.experiment, time.monotonic()
    course = _course(experiment, group, resume=resume)
    trainee, scores, (epoch_steps, steps) = course.trainee, course.scores, course.pace
    with shortage_told(experiment, trainee.device), course.diary as diary:
        for step, batches, clock in fed(course.feed, course.begin, steps, run.workers, trainee.device):
            at, done = Moment(step, steps, epoch_steps, tuple(scores)), step + 1
            rate = turn(trainee.optimiser, at, experiment.optim, experiment.schedule)
            torch.manual_seed(run.seed * 1_000_003 + step + group.rank * _APART)  # a step's draws: by its number alone
            loss = taught(trainee, batches, course.teacher, at)
            trainee.step(experiment.optim.clip)
            trainee.follow(min(run.ema, done / (10 + step)))
            seconds, last = time.perf_counter() - clock, done == steps
            due = experiment.eval.every and (done % experiment.eval.every == 0 or last)
            seen = _seen(course, done) if due else None
            diary.step(done, loss, rate, seconds, seen)
            stale, late = _stale(experiment, scores if seen else ()), _late(experiment, time.monotonic() - began)
            stop = group.stopped(bool(stale or late))
            if stop or done % run.checkpoint_every == 0 or last:
                _keep(course, done, over=last or bool(stale))
            if stop:
                group.obey(stop)
                say(f"step {done}/{steps}: {stale or late}")
                break
    return experiment.out_dir


def taught(trainee: Trainee, batches: Sequence[Shown], teacher: Teacher, at: Moment) -> float:
    """The gradients of a step, and its loss; processes join theirs at the last batch."""
    loss = 0.0
    for left, batch in zip(range(len(batches) - 1, -1, -1), batches):
        with trainee.apart(alone=left > 0):
            loss += learned(trainee, batch.on(trainee.device), teacher, at, len(batches))
    return loss


def learned(trainee: Trainee, batch: Shown, teacher: Teacher, at: Moment, share: int) -> float:
    """Gather the gradients of one of `share` batches, and answer its part of the loss, the mean over the processes."""
    with trainee.short():
        answers = trainee.answers(batch.image, at.epoch)
    supervised = [teacher.loss_of(heads, batch.target, batch.known, at.epoch) for heads in answers]
    loss, unlabelled = torch.stack(supervised).sum(), teacher.semi(answers, batch.known, at)
    loss = (loss if unlabelled is None else loss + unlabelled) / share
    value, group = float(loss.detach()), teacher.group
    mean = group.mean(value)
    if not math.isfinite(mean):
        with group.one_fate():
            if not math.isfinite(value):
                kept = keep_batch(teacher.folder, batch.image, batch.target, group.rank)
                raise InputError(f"the loss became {value} at step {at.step}; the batch is kept in {kept}")
    trainee.backward(loss)
    return mean


def _seen(course: Course, done: int) -> Seen | None:
    """What the first process saw; all of them learn the scores."""
    with course.group.one_fate():
        first = course.group.first
        seen = looked(course.trainee, course.looks, course.experiment, done, course.scores) if first else None
    course.scores[:] = course.group.given(course.scores)
    return seen


def _keep(course: Course, done: int, *, over: bool) -> None:
    """The checkpoint, and the page beside it, by the first process."""
    experiment, group = course.experiment, course.group
    with group.one_fate():
        if group.first:
            checkpoint = course.trainee.checkpoint(done, experiment, course.scores)
            length = experiment.experiment.length if over else ""
            kept = replace(checkpoint, samples=_samples(experiment, group), done=length)
            save_checkpoint(experiment.out_dir / LAST, kept)
            course.diary.save_page()


def looked(trainee: Trainee, looks: Looks, experiment: Experiment, done: int, scores: list[float]) -> Seen:
    """Look at the validation cases, add the score to `scores`, and keep the checkpoint where it is the best."""
    seen = looks(trainee.averages[0] if experiment.experiment.ema else trainee.networks[0], pictures=True)
    scores.append(seen.score)
    if seen.score >= max(scores):
        save_checkpoint(experiment.out_dir / BEST, trainee.checkpoint(done, experiment, scores))
    return seen


def _course(experiment: Experiment, group: Group, *, resume: bool) -> Course:
    """Where batches come from, who looks, who teaches, who learns."""
    run, loss, folder = experiment.experiment, experiment.loss, experiment.out_dir
    with group.one_fate():
        device = device_for(replace(run, device=group.device(run.device)))
        say(f"training on {device}" + (f", in {group.size} processes" if group.size > 1 else ""))
        _refuse_run(folder, resume=resume)
    sides = group.in_turn(lambda: cached_sides(experiment))
    with group.one_fate():
        feed = Feed(experiment, streams_of(experiment, sides.training), group.rank, group.size)
        looks = Looks(experiment, sides.validation if experiment.eval.every and group.first else (), device)
        loss_of = SegmentationLoss(loss.terms, loss.supervision, loss.deep)
        teacher = Teacher(loss_of, semi_of(experiment.semi), folder, group)
        paces = pace(experiment, feed.sampler.samples, group.size)
        trainee = new_trainee(experiment, device)
        begin, scores = _begin(trainee, experiment, sides, group, resume=resume)
        diary = Diary(experiment, paces[1], looks.cells, begin) if group.first else Silence()
    trainee = spread(trainee, group, loss_of.weights_of)
    return Course(experiment, group, feed, looks, teacher, trainee, diary, begin, scores, paces)


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


def pace(experiment: Experiment, samples: int, processes: int = 1) -> tuple[int, int]:
    """Steps of an epoch, and of the run."""
    run = experiment.experiment
    shown_a_step = experiment.sampler.batch * run.accumulate * processes
    epoch_steps = run.iters_per_epoch or max(1, -(-samples // shown_a_step))
    return epoch_steps, run.max_steps or run.epochs * epoch_steps


def _refuse_run(folder: Path, *, resume: bool) -> None:
    """A run is neither overwritten nor resumed from nothing."""
    if resume:
        load_checkpoint(folder / LAST)
    elif (folder / LAST).exists():
        raise InputError(f"{folder} already holds a run; use `resume`, or another experiment.out_dir")


def _samples(experiment: Experiment, group: Group) -> int:
    """Of a step, with a reference."""
    return experiment.sampler.batch * experiment.experiment.accumulate * group.size


def _begin(
    trainee: Trainee, experiment: Experiment, sides: Sides, group: Group, *, resume: bool
) -> tuple[int, list[float]]:
    """Steps done and scores so far."""
    folder = experiment.out_dir
    if resume:
        checkpoint = load_checkpoint(folder / LAST)
        trainee.restore(checkpoint, experiment, folder / LAST)
        now, before = _samples(experiment, group), checkpoint.samples
        if before not in (0, now):
            say(
                f"a step saw {before} samples until now, and sees {now} from here on: change sampler.batch to keep them"
            )
        return checkpoint.step, list(checkpoint.scores)
    for sentence in begun(trainee, experiment):
        say(sentence)
    folder.mkdir(parents=True, exist_ok=True)
    if group.first:
        save_provenance(provenance(sides.training, sides.validation, str(trainee.device)), folder)
    return 0, []


def _stale(experiment: Experiment, scores: Sequence[float]) -> str:
    """Why a run is over before its last step, or nothing."""
    patience = experiment.schedule.early_stop
    if patience and scores and len(scores) - 1 - max(range(len(scores)), key=scores.__getitem__) >= patience:
        return f"{patience} looks brought no better score; the best is kept in {BEST}"
    return ""


def _late(experiment: Experiment, seconds: float) -> str:
    """Why a command ends before the run is over, or nothing."""
    limit_min = experiment.experiment.max_minutes
    return f"{limit_min:g} minutes are over; `resume` goes on" if limit_min and seconds > 60 * limit_min else ""
