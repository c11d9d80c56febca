"""From a recipe's plain values to the objects of the stages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.arrays import ArrayDataset
from kshot.data.class_index import ClassIndex
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.sinusoids import Sinusoids
from kshot.data.tables.synthetic_tables import SyntheticTables
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, EpisodeError, RecipeError
from kshot.workflows.build import (
    divide,
    learner_spec,
    open_dataset,
    shape_for,
    training_stream,
    validation_shape,
    way_or_all,
    with_features,
)
from kshot.workflows.recipe import Recipe, read_recipe
from kshot.workflows.recipe_sections import BackboneRecipe, DataRecipe, LearnerRecipe


def folder_of(root: Path, classes: int = 4, pictures: int = 3) -> Path:
    random = np.random.default_rng(0)
    for number in range(classes):
        (root / f"class{number}").mkdir(parents=True)
        for item in range(pictures):
            Image.fromarray(random.integers(0, 255, (12, 16, 3), dtype=np.uint8)).save(root / f"class{number}" / f"{item}.png")
    return root


def test_a_folder_is_pictures_or_ink_as_asked(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pets")
    assert open_dataset(DataRecipe(name=str(root))).preprocess == Picture(84, 3, "crop")
    assert open_dataset(DataRecipe(name=str(root), size=20, channels=1, fit="pad")).preprocess == Picture(20, 1, "pad")
    assert open_dataset(DataRecipe(name=str(root), size=20), Picture(9)).preprocess == Picture(9)  # a saved learner brings its own
    assert open_dataset(DataRecipe(name=str(root)), Picture(9)).gather(np.array([0])).shape == (1, 3, 9, 9)  # type: ignore[union-attr]


def test_contradictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"omniglot is ink on paper; it takes no preprocessing 'picture'.* one of 'auto', 'ink'"):
        open_dataset(DataRecipe(preprocess="picture"))
    with pytest.raises(DataError, match=r"omniglot is ink on paper; this learner reads Picture\(size=84"):
        open_dataset(DataRecipe(), Picture())
    with pytest.raises(DataError, match=r"nothing there"):
        open_dataset(DataRecipe(name=str(tmp_path / "nowhere")))


def test_a_folders_classes_are_divided_by_fractions_or_a_file(tmp_path: Path) -> None:
    dataset = open_dataset(DataRecipe(name=str(folder_of(tmp_path / "pets")), size=8))
    parts = divide(dataset, DataRecipe(split="fractions", fractions=(0.5, 0.25, 0.25))).as_names()
    assert {part: len(names) for part, names in parts.items()} == {"train": 2, "val": 1, "test": 1}
    assert divide(dataset, DataRecipe(split="fractions", fractions=(0.5, 0.25, 0.25))).as_names() == parts
    file = tmp_path / "mine.json"
    file.write_text('{"train": ["class1", "class2"], "val": ["class0"], "test": ["class3"]}')
    assert divide(dataset, DataRecipe(split=str(file))).as_names()["val"] == ["class0"]
    with pytest.raises(DataError, match=r"divided by data\.split='fractions' or a \.json file; found 'thirds'"):
        divide(dataset, DataRecipe(split="thirds"))


@pytest.mark.parametrize(
    ("backbone", "preprocess", "expected"),
    [
        (BackboneRecipe("conv4", {"width": 8}), Ink(28), {"width": 8, "channels": 1}),
        (BackboneRecipe("conv4"), Picture(84, 3), {"channels": 3}),
        (BackboneRecipe("conv4_maps", {"width": 8}), Picture(84, 3), {"width": 8, "channels": 3}),
        (BackboneRecipe("conv4_strided"), Picture(84, 3), {"channels": 3}),
        (BackboneRecipe("conv_maps"), Picture(84, 3), {"channels": 3}),
        (BackboneRecipe("resnet12"), Picture(84, 1), {"channels": 1}),
        (BackboneRecipe("conv4", {"channels": 2}), Picture(84, 3), {"channels": 2}),
        (BackboneRecipe("mlp"), Picture(10, 3), {"inputs": 300}),
        (BackboneRecipe("mlp"), Ink(10), {"inputs": 100}),
    ],
)
def test_a_backbone_is_told_what_it_reads(backbone: BackboneRecipe, preprocess: Any, expected: dict[str, int]) -> None:
    pictures = np.zeros((2, preprocess.channels if isinstance(preprocess, Picture) else 1, preprocess.size, preprocess.size), np.uint8)
    dataset = ArrayDataset(pictures, ["a", "b"], preprocess=preprocess)
    spec = learner_spec(Recipe(backbone=backbone, learner=LearnerRecipe("protonet_cosine", {"scale": 3.0})), dataset)
    assert spec.backbone_arguments == expected
    assert spec.learner_arguments == {"scale": 3.0}
    assert spec.build().training


@pytest.mark.parametrize(
    ("learner", "backbone", "features"),
    [
        (LearnerRecipe("simple_shot"), BackboneRecipe("conv4", {"width": 8}), 8),
        (LearnerRecipe("relation"), BackboneRecipe("conv4_maps", {"width": 6}), 6),
        (LearnerRecipe("simple_shot", {"features": 8}), BackboneRecipe("conv4", {"width": 8}), 8),
        (LearnerRecipe("protonet"), BackboneRecipe("conv4", {"width": 8}), None),
    ],
)
def test_a_learner_is_told_how_long_its_features_are(learner: LearnerRecipe, backbone: BackboneRecipe, features: int | None) -> None:
    dataset = ArrayDataset(np.zeros((2, 1, 28, 28), np.uint8), ["a", "b"])
    spec = with_features(learner_spec(Recipe(backbone=backbone, learner=learner), dataset), dataset)
    assert spec.learner_arguments.get("features") == features


def test_a_backbone_that_cannot_read_the_data_is_named_before_the_learner_is_built() -> None:
    dataset = ArrayDataset(np.zeros((2, 1, 8, 8), np.uint8), ["a", "b"])
    spec = learner_spec(Recipe(learner=LearnerRecipe("simple_shot"), backbone=BackboneRecipe("conv4", {"width": 8})), dataset)
    with pytest.raises(RecipeError, match="the backbone cannot read one item"):
        with_features(spec, dataset)


def test_zero_ways_are_all_there_are_up_to_a_limit() -> None:
    three = ClassIndex.build({name: [number] for number, name in enumerate("abc")})
    one = ClassIndex.build({"a": [0]})
    assert way_or_all(0, three, 20) == 3
    assert way_or_all(0, three, 2) == 2
    assert way_or_all(0, one, 5) == 2  # which the drawing then refuses in words
    assert way_or_all(7, three, 5) == 7
    assert way_or_all((2, 9), three, 5) == (2, 9)


@pytest.mark.slow
def test_sinusoids_are_tasks_of_real_targets() -> None:
    recipe = read_recipe("sinusoid-ridge")
    waves = open_dataset(recipe.data)
    split = divide(waves, recipe.data)
    assert {part: len(names) for part, names in split.as_names().items()} == {"train": 10_000, "val": 1_000, "test": 1_000}
    spec = learner_spec(recipe, waves)
    assert (spec.family, spec.backbone_arguments["inputs"]) == ("regression", 1)
    stream = training_stream(recipe, "episodes", waves, split, torch.device("cpu"))
    (batch,) = stream.batches(0)
    assert (batch.way, batch.support_x.shape, batch.query_y.shape) == (None, (25, 5, 1), (25, 10, 1))
    assert validation_shape(recipe, waves, split.part("val")).way == 1
    with pytest.raises(EpisodeError, match="way must be 1; found way=5"):
        training_stream(replace(recipe, episodes=replace(recipe.episodes, way=5)), "episodes", waves, split, torch.device("cpu"))
    with pytest.raises(DataError, match="one split, 'sinusoids'; found 'vinyals'"):
        divide(waves, DataRecipe(name="sinusoids"))
    with pytest.raises(DataError, match="the sinusoids are plain numbers; this learner reads Ink"):
        open_dataset(recipe.data, Ink(28))


def test_a_task_on_tables_is_a_task_on_one_table() -> None:
    recipe, tables = read_recipe("tables-in-context"), SyntheticTables(60, 30, 1)
    split = divide(tables, recipe.data)
    spec = with_features(learner_spec(recipe, tables), tables)
    assert (spec.family, spec.learner_arguments["features"]) == ("classification", 32)
    stream = training_stream(recipe, "episodes", tables, split, torch.device("cpu"))
    assert isinstance(stream, EpisodeStream)
    assert stream.shape.within_groups
    assert validation_shape(recipe, tables, split.part("val")).within_groups


def test_a_shape_is_what_the_data_require() -> None:
    asked = EpisodeShape(5, 1, 2)
    assert shape_for(SyntheticTables(1, 1, 1), asked) == EpisodeShape(5, 1, 2, within_groups=True)
    assert shape_for(Sinusoids(1, 1, 1), asked) == EpisodeShape(1, 1, 2)
    assert shape_for(ArrayDataset(np.eye(4, dtype=np.float32), [0, 0, 1, 1]), asked) == asked
