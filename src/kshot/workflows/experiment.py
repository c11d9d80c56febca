"""The whole story: data → episodes → learner → meta-training → results → saved learner, in the order of the path.

In: a `Recipe`. Out: a run's folder (`run_folder`), with the best state in it as a saved learner.
"""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kshot.atomic import write_json
from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself
from kshot.data.split import PARTS, Split, divide_by_file
from kshot.episodes.item_stream import all_items
from kshot.errors import EpisodeError, KshotError, RecipeError
from kshot.learners.learner import Learner, with_steps
from kshot.learners.table import LearnerSpec
from kshot.meta_train.loop import Plan, Step, Stream, Validation, start, train
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import STATE, TrainState, environment, restore, save_state
from kshot.meta_train.track import Track, require_tensorboard
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.score.interval import mean_and_interval
from kshot.saved.class_names import fold
from kshot.saved.folder import Saved, save
from kshot.workflows.build import divide, learner_spec, open_dataset, pick_device, training_stream, validation_shape, with_features
from kshot.workflows.preflight import try_answering, try_training
from kshot.workflows.recipe import DataRecipe, Recipe
from kshot.workflows.run_folder import DIVISION, LEARNER, METRICS, RECIPE, compared, goes_on, unfinished_files

_LEAST_CLASSES = 6


@dataclass(frozen=True)
class Run:
    """A run that is about to start or go on.

    Attributes:
        recipe: What it does.
        folder: Where it writes.
        device: Where it computes.
        dataset: What it learns from.
        split: Its classes, divided.
        spec: How its learner is built.
        state: Where it is.
        stream: Its training episodes, or the labelled items of a learner that is trained on these.
        plan: How long and when to validate.
        notes: Plain sentences for the user, such as in what a resumed run's machine differs.
    """

    recipe: Recipe
    folder: Path
    device: torch.device
    dataset: Dataset
    split: Split
    spec: LearnerSpec
    state: TrainState
    stream: Stream
    plan: Plan
    validation: EpisodeSet
    notes: tuple[str, ...] = ()


def prepare(recipe: Recipe, folder: Path, *, resume: bool = False, device: str = "auto") -> Run:
    """Build every stage of a run, and check all of it before anything is written.

    Args:
        recipe: What to do.
        folder: Where to write; new or empty, unless resuming. The folder of a run that was killed before its first state counts
            as empty.
        resume: Go on from the folder's state; from the start where the run was killed before its first state.
        device: `auto`, `cpu`, `cuda`, `cuda:1` …

    Raises:
        KshotError: Something asked for cannot be had; nothing has been written.
    """
    where = pick_device(device)
    if recipe.training.tensorboard:
        require_tensorboard()
    resume = goes_on(folder, recipe, resume)
    dataset = open_dataset(recipe.data)
    split = divide(dataset, recipe.data) if not resume else _saved_division(folder, dataset, recipe.data)
    val = split.part("val")
    look = recipe.validation
    look_shape = validation_shape(recipe, dataset, val)
    with _naming(split, "val", "validation"):
        validation = EpisodeSet.draw(dataset, val, f"{split.name}/val", look_shape, episodes=look.episodes, seed=recipe.seed)
    steps = recipe.training
    optimization = Optimization(
        optimizer=steps.optimizer,
        lr=steps.lr,
        weight_decay=steps.weight_decay,
        momentum=steps.momentum,
        schedule=steps.schedule,
        halve_every=steps.halve_every,
        warmup=steps.warmup,
        clip_norm=steps.clip_norm,
        precision=steps.precision,
    )
    plan = Plan(steps.updates, optimization, validate_every=look.every, patience=look.patience, seed=recipe.seed)
    spec = with_features(learner_spec(recipe, dataset), dataset)
    learner = spec.build(recipe.seed).to(where)
    if learner.training_source == "none":
        raise RecipeError(f"the learner {spec.learner!r} is not trained; there is nothing for a recipe to do. Use it as it is.")
    with _naming(split, recipe.data.train_part, "items" if learner.training_source == "items" else "episodes"):
        stream = training_stream(recipe, learner.training_source, dataset, split, where)
        first = stream.batches(0)[0]
    try_training(learner, first)
    with _naming(split, "val", "validation"):
        one = EpisodeSet.draw(dataset, val, f"{split.name}/val", look_shape, episodes=1, seed=recipe.seed)
    try_answering(learner, one, where)
    for number in look.steps:
        with_steps(learner, number)
    state = start(learner, plan, stream)
    notes = _test_warnings(split)
    if resume:
        changed = restore(folder / STATE, state, _identity(recipe, dataset, split))
        if changed:
            notes += (f"Resumed on another environment ({'; '.join(changed)}): right, but not bit-identical.",)
    return Run(recipe, folder, where, dataset, split, spec, state, stream, plan, validation, notes)


def run(
    ready: Run,
    *,
    command: str = "",
    on_step: Callable[[Step], None] | None = None,
    on_validation: Callable[[int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Saved | None:
    """Train, and save the best state as a learner.

    Args:
        ready: From `prepare`.
        command: What the record says started it.
        on_step: Called after every update.
        on_validation: Called with how many more validation episodes were scored.
        stop: Asked after every update; True saves the state and ends the run early, to be resumed.

    Returns:
        The saved learner, or None when the run was stopped early.

    Raises:
        TrainingError: The loss is not a number; the folder holds the last good state.
        DataError: A task of validation cannot be learned; the folder holds the state before.
        SavedError: The disk refused a file; the last state written is whole.
    """
    recipe, state, folder = ready.recipe, ready.state, ready.folder
    identity = _identity(recipe, ready.dataset, ready.split)
    for unfinished in unfinished_files(folder):  # of a run that was killed in the middle of a write
        unfinished.unlink(missing_ok=True)
    if not (folder / STATE).exists():
        write_json(folder / RECIPE, recipe.as_dict())
        write_json(folder / DIVISION, ready.split.as_names())
        save_state(folder / STATE, state, identity)

    def validate(learner: Learner) -> Validation:
        steps = recipe.validation.steps
        asked = [with_steps(learner, number) for number in steps] if steps else [learner]
        results = [evaluate(one, ready.validation, device=ready.device, progress=on_validation) for one in asked]
        mean, interval = mean_and_interval(np.mean([result.scores for result in results], axis=0))
        return Validation(mean, interval, learner.family.higher_is_better)

    board = folder / "tensorboard" if recipe.training.tensorboard else None
    with Track(folder / METRICS, since=state.update, tensorboard=board) as track:
        try:
            for step in train(state, ready.stream, ready.plan, validate):
                track.write(step)
                if on_step is not None:
                    on_step(step)
                stopping = stop()
                if stopping or step.validation is not None or state.update % recipe.training.save_every == 0:
                    track.flush()
                    save_state(folder / STATE, state, identity)
                if stopping and state.update < recipe.training.updates:
                    return None
        except KshotError:  # nothing of the state has changed in the update, or the validation, that failed
            track.flush()
            save_state(folder / STATE, state, identity)
            raise
    return _save(ready, command)


def _save(ready: Run, command: str) -> Saved:
    """The best state as a saved learner, with what it still takes from the data."""
    state = ready.state
    learner = ready.spec.build().eval()
    learner.load_state_dict(state.best_or_last())
    seen, sign = ready.split.part(ready.recipe.data.train_part), 1 if learner.family.higher_is_better else -1
    items = all_items(ready.dataset, seen, ready.device)
    learner.to(ready.device).after_training(items, lambda: sign * evaluate(learner, ready.validation, device=ready.device).mean)
    learner.to("cpu")
    record = {
        **_origin(ready),
        "command": command,
        "updates": state.update,
        "best_update": state.best_update,
        "validation": state.history,
        "environment": environment(),
    }
    folder = ready.folder / LEARNER
    save(folder, learner, spec=ready.spec, preprocess=ready.dataset.preprocess, record=record)
    return Saved(learner, ready.dataset.preprocess, record, ready.spec, folder)


def _origin(ready: Run) -> dict[str, Any]:
    """What a learner's record says of it that is known before it is trained."""
    return {
        "data": ready.dataset.name,
        "fingerprint": ready.dataset.fingerprint,
        "split": ready.split.name,
        "division": None if divides_itself(ready.dataset) else ready.split.as_names(),
        "test_sizes": _sizes(ready.split),
        "classes_seen": fold(ready.split.part(ready.recipe.data.train_part).names),
        "seed": ready.recipe.seed,
        "recipe": ready.recipe.as_dict(),
    }


def foreseen(ready: Run) -> Saved:
    """The learner that a run will save, as it is before training: what it may be asked can be found out before it is trained."""
    return Saved(ready.spec.build(ready.recipe.seed).eval(), ready.dataset.preprocess, _origin(ready), ready.spec)


def _sizes(split: Split) -> list[int] | None:
    """How many test classes there are, and how many items the smallest of them has."""
    test = split.parts.get("test")
    return None if test is None else [len(test), int(test.sizes.min())]


def command_line(arguments: list[str]) -> str:
    """The command as a person would type it again."""
    return shlex.join(["kshot", *arguments])


def _identity(recipe: Recipe, dataset: Dataset, split: Split) -> dict[str, Any]:
    """What a run does, for comparing: the recipe without words and bookkeeping, the data itself, and its division."""
    division = hashlib.sha256(json.dumps(split.as_names()).encode()).hexdigest()
    return {**compared(recipe), "fingerprint": dataset.fingerprint, "division": division}


@contextmanager
def _naming(split: Split, part: str, settings: str) -> Iterator[None]:
    """Errors of episodes that cannot be drawn say which part of the division it was, and which settings asked."""
    try:
        yield
    except EpisodeError as error:
        sizes = ", ".join(f"{len(split.parts[name])} {name}" for name in PARTS if name in split.parts)
        few = sum(len(split.parts[name]) for name in PARTS if name in split.parts) < _LEAST_CLASSES
        cure = (
            f"{_LEAST_CLASSES} classes are the least to train on, two for each part: add some, or use a shipped learner with kshot predict."
            if few
            else f"Change {settings}.… by --set, or the division by data.split or data.fractions."
        )
        raise EpisodeError(
            f"the {part} classes cannot give what [{settings}] of the recipe asks for: {error} The division has {sizes} classes. {cure}"
        ) from error


def _test_warnings(split: Split) -> tuple[str, ...]:
    """What will be in the way of a test after training."""
    test = split.parts.get("test")
    alone = [] if test is None else [name for name, size in zip(test.names, test.sizes, strict=True) if size < 2]
    if not alone:
        return ()
    shown = ", ".join(map(repr, alone[:3])) + (" …" if len(alone) > 3 else "")
    return (f"Note: {shown} of the test classes has one item alone, which cannot be support and query: kshot evaluate will refuse it.",)


def _saved_division(folder: Path, dataset: Dataset, data: DataRecipe) -> Split:
    """The division that the run was started with."""
    return divide_by_file(dataset.index, folder / DIVISION, divide(dataset, data).name if divides_itself(dataset) else "division")
