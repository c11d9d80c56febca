"""The whole story: data → episodes → learner → meta-training → results → saved learner, in the order of the path.

In: a `Recipe`. Out: a run's folder:

    recipe.json         what the run does, every setting
    division.json       which classes are for training, validation and test
    state.safetensors   the latest state; `--resume` goes on from it
    metrics.jsonl       one line an update
    learner/            the best state as a saved learner
"""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from kshot.atomic import write_json
from kshot.config import Count, DataRecipe, Recipe
from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.image_folder import ImageFolder
from kshot.data.ink import Ink
from kshot.data.omniglot import Omniglot
from kshot.data.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.split import PARTS, Split, divide_by_file, divide_by_fraction, divide_by_names
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, RecipeError, SavedError, SetupError
from kshot.learners.learner import Learner, Mode
from kshot.learners.table import LearnerSpec
from kshot.meta_train.loop import Plan, Step, Validation, meta_train, start
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import TrainState, environment, restore, save_state
from kshot.meta_train.track import Track
from kshot.results.evaluate import EpisodeSet, evaluate
from kshot.results.result import Results
from kshot.saved.folder import Saved, save

STATE, METRICS, LEARNER = "state.safetensors", "metrics.jsonl", "learner"
OMNIGLOT_SPLITS = ("vinyals", "characters", "alphabets")


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one.

    Raises:
        SetupError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        have = ["cpu"] + [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        raise SetupError(f"there is no device {name!r} here; this machine has {', '.join(have)}. Drop --device to use the CPU.") from error
    return device


def open_dataset(data: DataRecipe, preprocess: Preprocess | None = None) -> Dataset:
    """The data set a recipe names.

    Args:
        data: Name, preprocessing and size.
        preprocess: In place of the recipe's; a saved learner brings its own.

    Raises:
        DataError: The folder is missing or holds unusable pictures.
        RecipeError: The settings contradict each other.
    """
    if data.name == "omniglot":
        if data.preprocess == "picture":
            raise RecipeError("omniglot is ink; data.preprocess='picture' is for folders of pictures. Use 'auto' or 'ink'.")
        size = preprocess.size if isinstance(preprocess, Ink) else data.size or 28
        return Omniglot(size=size, rotations=data.rotations)
    if preprocess is None:
        preprocess = Ink(data.size or 28) if data.preprocess == "ink" else Picture(data.size or 84, data.channels, data.fit)
    return ImageFolder(Path(data.name), preprocess)


def divide(dataset: Dataset, data: DataRecipe) -> Split:
    """The data set's classes in train, val and test.

    Raises:
        DataError: The split is unknown, or there are too few classes.
    """
    if isinstance(dataset, Omniglot):
        return dataset.split(data.split, seed=data.split_seed)
    if data.split.endswith(".json"):
        return divide_by_file(dataset.index, Path(data.split))
    if data.split not in ("fractions", *OMNIGLOT_SPLITS):
        raise DataError(f"a folder's classes are divided by data.split='fractions' or a .json file; found {data.split!r}.")
    return divide_by_fraction(dataset.index, data.fractions, data.split_seed)


def learner_spec(recipe: Recipe, preprocess: Preprocess) -> LearnerSpec:
    """The learner of a recipe; a backbone of pictures is told how many channels they have unless the recipe says."""
    backbone = dict(recipe.backbone.arguments)
    channels = preprocess.channels if isinstance(preprocess, Picture) else 1
    size = getattr(preprocess, "size", None)
    if recipe.backbone.name in ("conv4", "resnet12"):
        backbone.setdefault("channels", channels)
    elif recipe.backbone.name == "mlp" and size is not None:
        backbone.setdefault("inputs", channels * size * size)
    return LearnerSpec(recipe.learner.name, recipe.backbone.name, dict(recipe.learner.arguments), backbone)


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
        stream: Its training episodes.
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
    stream: EpisodeStream
    plan: Plan
    validation: EpisodeSet
    notes: tuple[str, ...] = ()


def prepare(recipe: Recipe, folder: Path, *, resume: bool = False, device: str = "auto") -> Run:
    """Build every stage of a run, and check all of it before anything is written.

    Args:
        recipe: What to do.
        folder: Where to write; new or empty, unless resuming.
        resume: Go on from the folder's state.
        device: `auto`, `cpu`, `cuda`, `cuda:1` …

    Raises:
        KshotError: Something asked for cannot be had; nothing has been written.
    """
    where = pick_device(device)
    state_file = folder / STATE
    if folder.exists() and not folder.is_dir():
        raise SavedError(f"{folder} is a file; a run writes a folder. Choose another --out.")
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise SavedError(f"{folder} is not empty. Go on with its run by --resume, or choose another --out.")
    if resume and not state_file.exists():
        raise SavedError(f"{folder} has no run to resume: there is no {STATE}. Start it without --resume.")
    dataset = open_dataset(recipe.data)
    split = divide(dataset, recipe.data) if not resume else _saved_division(folder, dataset, recipe.data)
    train, val = split.part(recipe.data.train_part), split.part("val")
    ask, look = recipe.episodes, recipe.validation
    shape = EpisodeShape(
        _way(ask.way, train, 20), ask.shot, ask.query, ask.balanced, ask.within_groups, ask.replacement, ask.augment
    )
    seen = EpisodeShape(_way(look.way, val, 5), look.shot, look.query, replacement=ask.replacement, augment=ask.augment)
    name = f"{split.name}/{recipe.data.train_part}"
    stream = EpisodeStream(dataset, train, name, shape, recipe.seed, tasks=ask.tasks, device=where)
    validation = EpisodeSet.draw(dataset, val, f"{split.name}/val", seen, episodes=look.episodes, seed=recipe.seed)
    steps = recipe.training
    optimization = Optimization(
        steps.optimizer, steps.lr, steps.weight_decay, steps.momentum, steps.schedule, steps.halve_every, steps.warmup,
        steps.clip_norm, steps.precision,
    )  # fmt: skip
    plan = Plan(steps.updates, optimization, look.every, look.patience, recipe.seed)
    spec = learner_spec(recipe, dataset.preprocess)
    learner = spec.build(recipe.seed).to(where)
    _try(learner, stream)
    state = start(learner, plan)
    notes: tuple[str, ...] = ()
    if resume:
        changed = restore(state_file, state, _identity(recipe, dataset))
        if changed:
            notes = (f"Resumed on another environment ({'; '.join(changed)}): right, but not bit-identical.",)
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
        SavedError: The disk refused a file; the last state written is whole.
    """
    recipe, state, folder = ready.recipe, ready.state, ready.folder
    identity = _identity(recipe, ready.dataset)
    if not (folder / STATE).exists():
        write_json(folder / "recipe.json", recipe.as_dict())
        write_json(folder / "division.json", ready.split.as_names())
        save_state(folder / STATE, state, identity)

    def validate(learner: Learner) -> Validation:
        result = evaluate(learner, ready.validation, device=ready.device, progress=on_validation)
        return Validation(result.mean, result.interval, learner.family.higher_is_better)

    board = folder / "tensorboard" if recipe.training.tensorboard else None
    with Track(folder / METRICS, since=state.update, tensorboard=board) as track:
        for step in meta_train(state, ready.stream, ready.plan, validate):
            track.write(step)
            if on_step is not None:
                on_step(step)
            stopping = stop()
            if stopping or step.validation is not None or state.update % recipe.training.save_every == 0:
                track.flush()
                save_state(folder / STATE, state, identity)
            if stopping and state.update < recipe.training.updates:
                return None
    return _save(ready, command)


def _save(ready: Run, command: str) -> Saved:
    """The best state as a saved learner."""
    state = ready.state
    learner = ready.spec.build().eval()
    learner.load_state_dict(state.best_or_last())
    record = {
        "data": ready.dataset.name,
        "fingerprint": ready.dataset.fingerprint,
        "split": ready.split.name,
        "division": None if isinstance(ready.dataset, Omniglot) else ready.split.as_names(),
        "classes_seen": list(ready.split.part(ready.recipe.data.train_part).names),
        "seed": ready.recipe.seed,
        "command": command,
        "updates": state.update,
        "best_update": state.best_update,
        "validation": state.history,
        "recipe": ready.recipe.as_dict(),
        "environment": environment(),
    }
    folder = ready.folder / LEARNER
    save(folder, learner, spec=ready.spec, preprocess=ready.dataset.preprocess, record=record)
    return Saved(learner, ready.dataset.preprocess, record, ready.spec, folder)


@dataclass(frozen=True)
class Question:
    """What to evaluate a saved learner on.

    Attributes:
        data: `omniglot`, a folder, or None for what the learner was trained on.
        split: `NAME`, `NAME/PART`, a part (`train`, `val`, `test`), `all`, or None for the test part of the learner's own split.
        shape: Way, shot, query.
        episodes: How many.
        seed: Of the episodes.
        mode: Inductive or transductive.
    """

    data: str | None = None
    split: str | None = None
    shape: EpisodeShape = EpisodeShape()  # noqa: RUF009  # frozen
    episodes: int = 1000
    seed: int = 0
    mode: Mode = "inductive"


def ask(saved: Saved, question: Question) -> tuple[EpisodeSet, ClassIndex]:
    """The episodes a question asks for, and their classes.

    Raises:
        DataError: The data or the split cannot be found, or the learner has seen some of the classes in training and the
            question does not name its training part.
    """
    record = saved.record
    trained_on = record.get("recipe", {}).get("data", {})
    data = DataRecipe(**{key: tuple(value) if isinstance(value, list) else value for key, value in trained_on.items()})
    own = question.data is None or question.data == data.name
    if question.data is None and not trained_on:
        raise DataError("this learner's record names no data; give --data omniglot or a folder of class folders.")
    if not own:
        data = replace(data, name=str(question.data), split="vinyals")
    dataset = open_dataset(data, saved.preprocess)
    name, index = _classes(dataset, data, record, question.split, own)
    part = name.rpartition("/")[2]
    seen = set(record.get("classes_seen", ())) if record.get("fingerprint") == dataset.fingerprint else set()
    overlap = [class_name for class_name in index.names if class_name in seen]
    if overlap and part not in ("train", "trainval"):
        raise DataError(
            f"{len(overlap)} of the {len(index)} classes of {name} were seen in training: {', '.join(overlap[:5])} … "
            f"A score on them says nothing about new classes. Use the learner's own split, {record.get('split')!r}."
        )
    episodes = EpisodeSet.draw(dataset, index, name, question.shape, episodes=question.episodes, seed=question.seed)
    return episodes, index


def _classes(
    dataset: Dataset, data: DataRecipe, record: Mapping[str, Any], asked: str | None, own: bool
) -> tuple[str, ClassIndex]:
    """The classes that `asked` names, and what a record calls them."""
    name, _, part = (asked or "").partition("/")
    if name in (*PARTS, "trainval", "all"):
        name, part = "", name
    if part == "all":
        return "all", dataset.index
    if isinstance(dataset, Omniglot):
        split = dataset.split(name or str(data.split), seed=data.split_seed)
    elif own and record.get("division"):
        if name and name != record.get("split"):
            raise DataError(f"the learner's folder has one division, {record.get('split')!r}; there is no split {name!r}.")
        split = divide_by_names(dataset.index, record["division"], str(record["split"]))
    elif name.endswith(".json") or part.endswith(".json"):
        split = divide_by_file(dataset.index, Path(str(asked)))
    elif asked:
        raise DataError(f"{dataset.name} has no split {asked!r}; give a .json file of class names, or no --split for all classes.")
    else:
        return "all", dataset.index
    return f"{split.name}/{part or 'test'}", split.part(part or "test")


def answer(
    saved: Saved, episodes: EpisodeSet, mode: Mode, device: str = "auto", progress: Callable[[int], None] | None = None
) -> Results:
    """Score a saved learner on episodes."""
    return evaluate(saved.learner, episodes, mode=mode, device=pick_device(device), progress=progress)


def command_line(arguments: list[str]) -> str:
    """The command as a person would type it again."""
    return shlex.join(["kshot", *arguments])


def _identity(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """What a run does, for comparing: the recipe without words and bookkeeping, and the data itself."""
    plain = recipe.as_dict()
    plain.pop("description")
    plain["training"].pop("save_every")
    plain["training"].pop("tensorboard")
    return {**plain, "fingerprint": dataset.fingerprint}


def _saved_division(folder: Path, dataset: Dataset, data: DataRecipe) -> Split:
    """The division that the run was started with."""
    try:
        content = json.loads((folder / "division.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SavedError(f"{folder / 'division.json'} cannot be read ({error}); the run cannot be resumed without it.") from error
    return divide_by_names(dataset.index, content, divide(dataset, data).name if isinstance(dataset, Omniglot) else "division")


def _way(asked: Count, index: ClassIndex, most: int) -> Count:
    """The way as asked, or as many as there are up to `most`."""
    return asked if asked != 0 else max(2, min(most, len(index)))


def _try(learner: Learner, stream: EpisodeStream) -> None:
    """One forward pass of one item, so that a network that does not fit the data is found before the run begins."""
    x = stream.batches(0)[0].support_x
    one = x[:1, 0] if isinstance(x, torch.Tensor) else {name: value[:1, 0] for name, value in x.items()}
    was_training = learner.training
    learner.eval()
    try:
        with torch.no_grad():
            learner.encode(one)
    except (RuntimeError, ValueError) as error:
        shape = tuple(one.shape) if isinstance(one, torch.Tensor) else {name: tuple(value.shape) for name, value in one.items()}
        raise RecipeError(f"the backbone cannot read one item of shape {shape}: {error}. Check backbone and data.size.") from error
    learner.train(was_training)
