"""From a recipe's plain values to the objects of the stages: the one place where a configuration is taken apart.

In: parts of a `Recipe`. Out: a device, a data set, its division, how a learner is built, what it is trained on. Next:
`kshot.workflows.experiment`.
"""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import torch
from torch import Tensor

from kshot.backbones.table import build_backbone
from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself
from kshot.data.inputs import Inputs
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.sinusoids import Sinusoids
from kshot.data.split import Split, divide_by_file, divide_by_fraction
from kshot.data.target_dataset import has_targets
from kshot.episodes.augment import of_classes
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.nearness import least_classes
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, RecipeError, SetupError
from kshot.learners.table import LEARNERS, LearnerSpec
from kshot.seeding import seeded
from kshot.workflows.recipe import Count, DataRecipe, Recipe

_DEVICES = ("cpu", "cuda", "mps", "xpu")
OMNIGLOT_SPLITS = ("vinyals", "characters", "alphabets")


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one.

    Raises:
        SetupError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if name.partition(":")[0] not in _DEVICES:
            raise RuntimeError(f"no device of kshot's: {name}")
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch has no one class for it
        have = ["cpu"] + [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        raise SetupError(f"there is no device {name!r} here; this machine has {', '.join(have)}. Use one of these, or auto.") from error
    return device


def open_dataset(data: DataRecipe, preprocess: Preprocess | None = None) -> Dataset:
    """The data set a recipe names.

    Args:
        data: Name, preprocessing and size.
        preprocess: In place of the recipe's; a saved learner brings its own.

    Raises:
        DataError: The folder is missing or holds unusable pictures, or the learner does not read this kind of data.
        RecipeError: The settings contradict each other.
    """
    if data.name == "omniglot":
        if data.preprocess == "picture":
            raise RecipeError("omniglot is ink; data.preprocess='picture' is for folders of pictures. Use 'auto' or 'ink'.")
        if preprocess is not None and not isinstance(preprocess, Ink):
            raise DataError(f"omniglot is ink on paper; this learner reads {preprocess!r}. Give it data of its own kind.")
        ink = preprocess if isinstance(preprocess, Ink) else Ink(data.size or 28, data.zoom)
        return Omniglot(size=ink.size, zoom=ink.zoom, rotations=data.rotations)
    if data.name == "sinusoids":
        if preprocess is not None and not isinstance(preprocess, AsIs):
            raise DataError(f"the sinusoids are plain numbers; this learner reads {preprocess!r}. Give it data of its own kind.")
        return Sinusoids()
    if preprocess is None:
        preprocess = Ink(data.size or 28, data.zoom) if data.preprocess == "ink" else Picture(data.size or 84, data.channels, data.fit)
    return ImageFolder(Path(data.name), preprocess)


def divide(dataset: Dataset, data: DataRecipe) -> Split:
    """The data set's classes in train, val and test.

    Raises:
        DataError: The split is unknown, or there are too few classes.
    """
    if divides_itself(dataset):
        return dataset.split(data.split, seed=data.split_seed)
    if data.split.endswith(".json"):
        return divide_by_file(dataset.index, Path(data.split))
    if data.split not in ("fractions", *OMNIGLOT_SPLITS):
        raise DataError(f"a folder's classes are divided by data.split='fractions' or a .json file; found {data.split!r}.")
    return divide_by_fraction(dataset.index, data.fractions, data.split_seed)


def learner_spec(recipe: Recipe, dataset: Dataset) -> LearnerSpec:
    """The learner of a recipe, for the data's kind of task; its backbone is told the form of the items unless the recipe says."""
    backbone = dict(recipe.backbone.arguments)
    if recipe.backbone.name in ("conv4", "conv4_maps", "conv4_strided", "conv_maps", "resnet12"):
        backbone.setdefault("channels", dataset.preprocess.channels if isinstance(dataset.preprocess, Picture) else 1)
    elif recipe.backbone.name == "mlp" and isinstance(x := one_item(dataset), Tensor):
        backbone.setdefault("inputs", x[0].numel())
    family = "regression" if has_targets(dataset) else "classification"
    return LearnerSpec(recipe.learner.name, recipe.backbone.name, dict(recipe.learner.arguments), backbone, family)


def one_item(dataset: Dataset) -> Inputs:
    """An item as a network reads it, (1, …)."""
    return dataset.preprocess.to_input(dataset.gather(dataset.index.items[:1]))


def with_features(spec: LearnerSpec, dataset: Dataset) -> LearnerSpec:
    """A learner that must be told the length of its features (`features`) is told what its backbone makes of an item of the data.

    Of features that are maps (M, C, H, W), C is meant. What a recipe says itself is checked.

    Raises:
        RecipeError: The backbone cannot read the data, or makes another number of features than the recipe says.
    """
    if spec.learner not in LEARNERS or "features" not in signature(LEARNERS[spec.learner]).parameters:
        return spec
    x = one_item(dataset)
    with seeded(0, "features"), torch.no_grad():
        network = build_backbone(spec.backbone, spec.backbone_arguments).eval()
        try:
            features = network(x)
        except (RuntimeError, ValueError) as error:
            raise RecipeError(f"the backbone cannot read one item: {error}. Check backbone and data.size.") from error
    found, said = int(features.shape[1]), spec.learner_arguments.get("features")
    if said not in (None, found):
        raise RecipeError(f"learner.features={said}, but the backbone {spec.backbone!r} gives {found} features. Leave the setting out.")
    return replace(spec, learner_arguments={**spec.learner_arguments, "features": found})


def training_stream(recipe: Recipe, source: str, dataset: Dataset, split: Split, device: torch.device) -> EpisodeStream | ItemStream:
    """What a learner is trained on.

    Args:
        recipe: Its episodes or its items.
        source: The learner's `training_source`, `episodes` or `items`.
        dataset: Where the items are.
        split: Its classes, divided.
        device: Where the tensors shall be.

    Raises:
        EpisodeError: The classes cannot give what the recipe asks for.
    """
    part, name, ask = split.part(recipe.data.train_part), f"{split.name}/{recipe.data.train_part}", recipe.episodes
    if source == "items":
        return ItemStream(dataset, part, name, recipe.seed, recipe.items.batch, recipe.items.augment, device=device)
    rules = (ask.balanced, ask.within_groups, ask.replacement, ask.augment, ask.same_positions, ask.nearness)
    most = min(20, len(part) // least_classes(1, ask.nearness))
    way = ask.way or 1 if has_targets(dataset) else way_or_all(ask.way, part, most)
    shape = EpisodeShape(way, ask.shot, query_or_rest(ask.query, ask.shot, part), *rules)
    return EpisodeStream(dataset, part, name, shape, recipe.seed, tasks=ask.tasks, device=device)


def validation_shape(recipe: Recipe, dataset: Dataset, val: ClassIndex) -> EpisodeShape:
    """The validation episodes: way, shot and query of their own, the rules of the training episodes.

    An augmentation that makes other classes of the classes belongs to the rules; one that varies items is for training alone, and so is
    the choice of near or far classes, which makes training harder or easier.
    """
    ask, look = recipe.episodes, recipe.validation
    rules = (True, ask.within_groups, ask.replacement, of_classes(ask.augment), ask.same_positions)
    way = look.way or 1 if has_targets(dataset) else way_or_all(look.way, val, 5)
    return EpisodeShape(way, look.shot, query_or_rest(look.query, look.shot, val), *rules)


def way_or_all(asked: Count, index: ClassIndex, most: int) -> Count:
    """The way as asked; 0 is as many classes as there are, at most `most`."""
    return asked if asked != 0 else max(2, min(most, len(index)))


def query_or_rest(asked: Count, shot: Count, index: ClassIndex, most: int = 5) -> Count:
    """The queries as asked; 0 is as many as the shots leave of the smallest class, at most `most`."""
    return asked if asked != 0 else max(1, min(most, int(index.sizes.min()) - (shot if isinstance(shot, int) else max(shot))))
