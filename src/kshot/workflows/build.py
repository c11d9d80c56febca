"""From a recipe's plain values to the objects of the stages: the only place where a configuration is taken apart.

In: parts of a `Recipe`. Out: a device, a data set, its division, how a learner is built, what it is trained on. Next:
`kshot.workflows.experiment`.
"""

from collections.abc import Sized
from dataclasses import replace
from inspect import signature

import torch

from kshot.backbones.table import build_backbone, fitting_arguments
from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.inputs import form_of
from kshot.data.preprocess import Preprocess
from kshot.data.split import Split
from kshot.data.table import Source, item_form, kind_of, source_of
from kshot.data.table import divide as divide_classes
from kshot.data.target_dataset import has_targets
from kshot.episodes.augment import of_classes
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.nearness import least_classes
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import KshotError, RecipeError
from kshot.learners.table import LEARNERS, LearnerSpec
from kshot.meta_train.optimization import Optimization
from kshot.seeding import seeded
from kshot.workflows.recipe import Recipe
from kshot.workflows.recipe_sections import Count, DataRecipe, EpisodesRecipe, TrainingRecipe, ValidationRecipe

VALIDATION_WAY = 5
"""A validation episode whose way is not asked for has at most this many classes."""


def open_dataset(data: DataRecipe, preprocess: Preprocess | None = None) -> Dataset:
    """Open the data set that a recipe names.

    Args:
        data: Name, kind, preprocessing and settings.
        preprocess: The preprocessing of a saved learner, in place of the recipe's.

    Raises:
        DataError: The data are missing or hold unusable items, or the learner does not read this kind of data.
        RecipeError: There is no such kind, or the settings contradict each other.
    """
    return data_source(data, preprocess).open()


def data_source(data: DataRecipe, preprocess: Preprocess | None = None) -> Source:
    """Find out what `open_dataset` would open: equal sources are the same items, read in the same way.

    Raises:
        DataError: As of `open_dataset`.
        RecipeError: As of `open_dataset`.
    """
    shared = {"rotations": data.rotations, "zoom": data.zoom, "channels": data.channels, "fit": data.fit}
    if data.size:
        shared["size"] = data.size
    asked = data.preprocess if preprocess is None else preprocess
    return source_of(data.name, data.kind, preprocess=asked, settings=shared, own=data.arguments)


def divide(dataset: Dataset, data: DataRecipe) -> Split:
    """Divide a data set's classes into train, val and test as a recipe says.

    Raises:
        DataError: The split is unknown, or there are too few classes.
    """
    return divide_classes(dataset, data.split, fractions=data.fractions, seed=data.split_seed)


def learner_spec(recipe: Recipe, dataset: Dataset) -> LearnerSpec:
    """Name the learner of a recipe, for the data's kind of task; its backbone is told the form of the items unless the recipe says it."""
    told = fitting_arguments(recipe.backbone.name, item_form(dataset))
    backbone = {**recipe.backbone.arguments, **{key: value for key, value in told.items() if key not in recipe.backbone.arguments}}
    family = "regression" if has_targets(dataset) else "classification"
    return LearnerSpec(recipe.learner.name, recipe.backbone.name, dict(recipe.learner.arguments), backbone, family)


def with_features(spec: LearnerSpec, dataset: Dataset) -> LearnerSpec:
    """Tell a learner the length of its features, where its constructor takes `features`: the number that its backbone gives for an item.

    For features that are maps (M, C, H, W), the number is C. A number in the recipe is checked.

    Raises:
        RecipeError: The backbone cannot read the data, or makes another number of features than the recipe says.
    """
    if spec.learner not in LEARNERS or "features" not in signature(LEARNERS[spec.learner]).parameters:
        return spec
    x = dataset.preprocess.to_input(dataset.gather(dataset.index.items[:1]))  # (1, …)
    with seeded(0, "features"), torch.no_grad():
        network = build_backbone(spec.backbone, spec.backbone_arguments).eval()
        try:
            features = network(x)
        except KshotError:
            raise
        except (RuntimeError, ValueError) as error:
            raise RecipeError(f"the backbone cannot read one item, {form_of(x)}: {error}. Check [backbone] and [data].") from error
    found, said = int(features.shape[1]), spec.learner_arguments.get("features")
    if said not in (None, found):
        raise RecipeError(f"learner.features={said}, but the backbone {spec.backbone!r} gives {found} features. Leave the setting out.")
    return replace(spec, learner_arguments={**spec.learner_arguments, "features": found})


def optimization_of(steps: TrainingRecipe) -> Optimization:
    """The settings of the outer optimiser.

    Raises:
        RecipeError: A setting makes no sense.
    """
    return Optimization(
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


def training_stream(recipe: Recipe, source: str, dataset: Dataset, split: Split, device: torch.device) -> EpisodeStream | ItemStream:
    """Build the stream that a learner is trained on.

    Args:
        recipe: Its `episodes` or its `items` say what is drawn.
        source: The learner's `training_source`, `episodes` or `items`.
        dataset: Holds the items.
        split: The classes of the data set, divided.
        device: The device of the tensors.

    Raises:
        EpisodeError: The classes cannot give what the recipe asks for.
    """
    part, name, ask = split.part(recipe.data.train_part), f"{split.name}/{recipe.data.train_part}", recipe.episodes
    if source == "items":
        items = recipe.items
        return ItemStream(dataset, part, split=name, seed=recipe.seed, batch=items.batch, augment=items.augment, device=device)
    most = min(20, len(part) // least_classes(1, ask.nearness))
    shape = replace(_asked_shape(recipe, ask, dataset, part, most), balanced=ask.balanced, augment=ask.augment, nearness=ask.nearness)
    return EpisodeStream(dataset, part, name, shape, recipe.seed, tasks=ask.tasks, device=device)


def validation_shape(recipe: Recipe, dataset: Dataset, val: ClassIndex) -> EpisodeShape:
    """Give the shape of the validation episodes: way, shot and query of their own, and the rules of the training episodes.

    An augmentation that creates new classes belongs to the rules. One that varies items is for training alone, and so is the choice of near
    or far classes, which makes training harder or easier.
    """
    asked = _asked_shape(recipe, recipe.validation, dataset, val, VALIDATION_WAY)
    return replace(asked, augment=of_classes(recipe.episodes.augment))


def _asked_shape(recipe: Recipe, asked: EpisodesRecipe | ValidationRecipe, dataset: Dataset, part: ClassIndex, most: int) -> EpisodeShape:
    """Give what training and validation episodes share: the asked way, shot and query as far as the classes allow, and the rules."""
    rules = recipe.episodes
    return EpisodeShape(
        way=asked.way or 1 if has_targets(dataset) else way_or_all(asked.way, part, most),
        shot=asked.shot,
        query=query_or_rest(asked.query, asked.shot, part),
        within_groups=rules.within_groups or groups_are_tasks(dataset),
        replacement=rules.replacement,
        same_positions=rules.same_positions,
    )


def shape_for(dataset: Dataset, shape: EpisodeShape) -> EpisodeShape:
    """Return the shape as the data require it: one class per task if items have real targets; classes of one group if a group is a task."""
    shape = replace(shape, within_groups=shape.within_groups or groups_are_tasks(dataset))
    return replace(shape, way=1) if has_targets(dataset) else shape


def groups_are_tasks(dataset: Dataset) -> bool:
    """Whether classes of different groups are never in one task."""
    kind = kind_of(dataset)
    return kind is not None and kind.groups_are_tasks


def way_or_all(asked: Count, index: Sized, most: int) -> Count:
    """Return the way as asked; 0 means all classes, but at most `most`."""
    return asked if asked != 0 else max(2, min(most, len(index)))


def query_or_rest(asked: Count, shot: Count, index: ClassIndex, most: int = 5) -> Count:
    """Return the queries as asked; 0 means what the shots leave of the smallest class, but at most `most`."""
    return asked if asked != 0 else max(1, min(most, int(index.sizes.min()) - (shot if isinstance(shot, int) else max(shot))))
