"""A whole training run: data → episodes → learner → meta-training → results → saved learner, in the order of the path.

In: a `Recipe`. Out: the folder of a run (`run_folder`), with the best state as a saved learner. Next: `kshot.running`.
"""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kshot.atomic import finite_or_none, write_json
from kshot.data.dataset import Dataset, notes_on
from kshot.data.divided_dataset import divides_itself
from kshot.data.split import PARTS, Split
from kshot.device import pick_device
from kshot.episodes.item_stream import all_items
from kshot.episodes.shape import EpisodeShape, chance
from kshot.errors import EpisodeError, RecipeError, SavedError
from kshot.learners.learner import Learner, with_steps
from kshot.learners.table import LearnerSpec
from kshot.meta_train.loop import Plan, Step, Stream, Validation, start, train
from kshot.meta_train.same_run import environment
from kshot.meta_train.state import TrainState
from kshot.meta_train.state_file import STATE, restore, save_state
from kshot.meta_train.track import require_tensorboard
from kshot.regular_file import look
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.score.interval import mean_and_interval
from kshot.saved.class_names import fold
from kshot.saved.folder import Saved, save
from kshot.short_repr import per_cent
from kshot.workflows.build import (
    data_source,
    divide,
    learner_spec,
    open_dataset,
    optimization_of,
    training_stream,
    validation_shape,
    with_features,
)
from kshot.workflows.learner_certainty import keep_certainty
from kshot.workflows.preflight import check_update_size, try_answering, try_training
from kshot.workflows.recipe import Recipe
from kshot.workflows.run_folder import DIVISION, LEARNER, RECIPE, compared, goes_on, saved_division, unfinished_files
from kshot.workflows.run_lock import locked
from kshot.workflows.starting_point import start_of
from kshot.workflows.training_steps import take_steps

_LEAST_CLASSES = 6


@dataclass(frozen=True)
class Run:
    """A run that is about to start or continue.

    Attributes:
        recipe: The recipe of the run.
        folder: The folder of the run.
        device: Device for the computation.
        dataset: The data to learn from.
        split: The classes, divided into parts.
        spec: How the learner is built.
        state: The present state of training.
        stream: Training episodes, or labelled items for learners that are trained on items.
        plan: How long to train, and when to validate.
        validation: The fixed validation episodes.
        notes: Plain sentences for the user, for example how the machine of a resumed run differs.
        started_from: The learner whose parameters, or whose backbone's, the run started from, for the record
            (`kshot.workflows.starting_point`); None: it started from its own.
    """

    recipe: Recipe
    folder: Path
    device: torch.device
    dataset: Dataset
    split: Split
    spec: LearnerSpec
    state: TrainState[Learner]
    stream: Stream
    plan: Plan
    validation: EpisodeSet
    notes: tuple[str, ...] = ()
    started_from: Mapping[str, Any] | None = None


def prepare(recipe: Recipe, folder: Path, *, resume: bool = False, device: str = "auto") -> Run:
    """Build every stage of a run, and check all of it before anything is written.

    Args:
        recipe: The recipe of the run.
        folder: Folder of the run. It must be new or empty unless the run is resumed. The folder of a run that was killed before its first
            state counts as empty.
        resume: Whether to continue from the state in the folder. It starts from the beginning if there is a run without a state.
        device: `auto`, `cpu`, `cuda`, `cuda:1` …

    Raises:
        KshotError: The recipe asks for something impossible. Nothing has been written.
    """
    where = pick_device(device)
    if recipe.training.tensorboard:
        require_tensorboard()
    data_source(recipe.data)  # missing data are named before the folder of the run
    resume = goes_on(folder, recipe, resume)
    dataset = open_dataset(recipe.data)
    split = divide(dataset, recipe.data) if not resume else saved_division(folder, dataset, recipe.data)
    val = split.part("val")
    look = recipe.validation
    look_shape = validation_shape(recipe, dataset, val)
    with _naming(split, "val", "validation"):
        validation = EpisodeSet.draw(dataset, val, f"{split.name}/val", look_shape, episodes=look.episodes, seed=recipe.seed)
    steps = recipe.training
    plan = Plan(steps.updates, optimization_of(steps), validate_every=look.every, patience=look.patience, seed=recipe.seed)
    spec = with_features(learner_spec(recipe, dataset), dataset)
    learner = spec.build(recipe.seed).to(where)
    if learner.training_source == "none":
        raise RecipeError(f"the learner {spec.learner!r} is not trained, so a recipe has nothing to do. Use it without training.")
    started_from = start_of(learner, steps, split.part(recipe.data.train_part))
    with _naming(split, recipe.data.train_part, "items" if learner.training_source == "items" else "episodes"):
        stream = training_stream(recipe, learner.training_source, dataset, split, where)
        check_update_size(stream)
        first = stream.batches(0)[0]
    try_training(learner, first)
    with _naming(split, "val", "validation"):
        one = EpisodeSet.draw(dataset, val, f"{split.name}/val", look_shape, episodes=1, seed=recipe.seed)
    try_answering(learner, one, where)
    for number in look.steps:
        with_steps(learner, number)
    state = start(learner, plan, stream)
    seen = (f"Note: {note}" for note in notes_on(dataset))
    notes = (*seen, *_validation_note(look_shape, recipe, spec), *_test_warnings(split))
    if resume:
        changed = restore(folder / STATE, state, _identity(recipe, dataset, split, started_from))
        if changed:
            notes += (f"Resumed in another environment ({'; '.join(changed)}): the result is right, but not bit-identical.",)
    return Run(recipe, folder, where, dataset, split, spec, state, stream, plan, validation, notes, started_from)


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
        command: Command that started the run, for the record.
        on_step: Called after every update.
        on_validation: Called with the number of validation episodes scored since the last call.
        stop: Called after every update. If it returns True, the state is saved and the run ends early; it can be resumed.

    Returns:
        The saved learner, or None if the run was stopped early.

    Raises:
        TrainingError: The loss is not a number. The folder holds the last good state.
        DataError: A validation task cannot be learned. The folder holds the state before it.
        SavedError: The disk refused a file, or another run writes into the folder. The last state written is whole.
    """
    recipe, state, folder = ready.recipe, ready.state, ready.folder
    identity = _identity(recipe, ready.dataset, ready.split, ready.started_from)
    with locked(folder, state.update, identity):
        for unfinished in unfinished_files(folder):  # left by a run that was killed during a write
            unfinished.unlink(missing_ok=True)
        if look(folder / STATE, SavedError) == "nothing":
            write_json(folder / RECIPE, recipe.as_dict())
            write_json(folder / DIVISION, ready.split.as_names())
            save_state(folder / STATE, state, identity)

        def validate(learner: Learner) -> Validation:
            steps = recipe.validation.steps
            asked = [with_steps(learner, number) for number in steps] if steps else [learner]
            results = [evaluate(one, ready.validation, device=ready.device, progress=on_validation) for one in asked]
            mean, interval = mean_and_interval(np.mean([result.scores for result in results], axis=0))
            return Validation(mean, interval, learner.family.higher_is_better)

        steps = train(state, ready.stream, ready.plan, validate)
        complete = take_steps(steps, state, folder, identity, recipe.training, on_step=on_step, stop=stop)
        return save_best(ready, folder / LEARNER, command=command) if complete else None


def save_best(ready: Run, folder: Path, *, command: str = "", dtype: torch.dtype | None = None) -> Saved:
    """Save the best state so far as a learner, completed by `after_training`. The run may be unfinished; the record names its updates.

    Args:
        ready: The run.
        folder: Folder of the learner.
        command: Command that started the run, for the record.
        dtype: As in `kshot.saved.folder.save`, whose errors it raises.
    """
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
        "validation": finite_or_none(state.history),
        "environment": environment(),
    }
    save(folder, learner, spec=ready.spec, preprocess=ready.dataset.preprocess, record=record, dtype=dtype)
    keep_certainty(learner, ready.validation, folder)
    return Saved(learner, ready.dataset.preprocess, record, ready.spec, folder)


def _origin(ready: Run) -> dict[str, Any]:
    """Return the part of a learner's record that is known before training."""
    return {
        "data": ready.dataset.name,
        "fingerprint": ready.dataset.fingerprint,
        "split": ready.split.name,
        "division": None if divides_itself(ready.dataset) else ready.split.as_names(),
        "test_sizes": _sizes(ready.split),
        "classes_seen": fold(ready.split.part(ready.recipe.data.train_part).names),
        "seed": ready.recipe.seed,
        "recipe": ready.recipe.as_dict(),
        **({} if ready.started_from is None else {"started_from": ready.started_from}),
    }


def foreseen(ready: Run) -> Saved:
    """Return the learner that a run will save, before training, so that it is known in advance which questions it may be asked."""
    return Saved(ready.spec.build(ready.recipe.seed).eval(), ready.dataset.preprocess, _origin(ready), ready.spec)


def _sizes(split: Split) -> list[int] | None:
    """Return the number of test classes, and the number of items in the smallest of them."""
    test = split.parts.get("test")
    return None if test is None else [len(test), int(test.sizes.min())]


def command_line(arguments: list[str]) -> str:
    """Return the command as a person would type it."""
    return shlex.join(["kshot", *arguments])


def _identity(recipe: Recipe, dataset: Dataset, split: Split, started_from: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a run does, for comparison: the recipe without descriptions and bookkeeping, the data, its division, and its start."""
    division = hashlib.sha256(json.dumps(split.as_names()).encode()).hexdigest()
    start_of_run = {} if started_from is None else {"started_from": started_from["sha256"]}
    return {**compared(recipe), "fingerprint": dataset.fingerprint, "division": division, **start_of_run}


@contextmanager
def _naming(split: Split, part: str, settings: str) -> Iterator[None]:
    """Add to errors of episodes that cannot be drawn which part of the division it was, and which settings asked for them."""
    try:
        yield
    except EpisodeError as error:
        sizes = ", ".join(f"{len(split.parts[name])} {name}" for name in PARTS if name in split.parts)
        few = sum(len(split.parts[name]) for name in PARTS if name in split.parts) < _LEAST_CLASSES
        cure = (
            f"Training needs at least {_LEAST_CLASSES} classes, two for each part: add some, or use a shipped learner with kshot predict."
            if few
            else f"Change {settings}.… with --set, or the division with data.split or data.fractions."
        )
        raise EpisodeError(
            f"the {part} classes cannot give what [{settings}] in the recipe asks for: {error} The division has {sizes} classes. {cure}"
        ) from error


def _validation_note(shape: EpisodeShape, recipe: Recipe, spec: LearnerSpec) -> tuple[str, ...]:
    if recipe.validation.way != 0 or spec.family != "classification" or shape.way_range[1] >= 5:
        return ()
    guessing = f"guessing is right in {per_cent(chance(shape.way))} % of cases"
    return (f"Note: few classes are left for validation, so it is {shape.way}-way: {guessing}.",)


def _test_warnings(split: Split) -> tuple[str, ...]:
    """Warn of test classes that are too small to test."""
    test = split.parts.get("test")
    alone = [] if test is None else [name for name, size in zip(test.names, test.sizes, strict=True) if size < 2]
    if not alone:
        return ()
    shown = ", ".join(map(repr, alone[:3])) + (" …" if len(alone) > 3 else "")
    return (f"Note: a test class needs an item for support and one for query; {shown} has only one. kshot evaluate will refuse it.",)
