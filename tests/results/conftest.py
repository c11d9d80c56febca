"""Small data and learners that the tests of results share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs, map_inputs
from kshot.data.preprocess import Preprocess
from kshot.episodes.shape import EpisodeShape
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.score.episode_set import EpisodeSet

CLASSES, ITEMS, SIDE = 12, 12, 8


@dataclass(frozen=True)
class Doubles:
    """Bytes as float64, so that two ways of computing can be compared closely."""

    name: ClassVar[str] = "doubles"

    def read(self, thing: object) -> NoReturn:
        raise NotImplementedError

    def to_input(self, kept: Inputs) -> Inputs:
        return map_inputs(lambda value: value.double() / 255, kept)

    def arguments(self) -> Mapping[str, Any]:
        return {}


def _pictures(channels: int = 1, preprocess: Preprocess | None = None, names: tuple[str, ...] = ()) -> ArrayDataset:
    """A random pattern a class, with so much noise that a learner makes some mistakes."""
    random = np.random.default_rng(0)
    pattern = random.uniform(0, 255, (CLASSES, 1, channels, SIDE, SIDE))
    noisy = 0.25 * pattern + 0.75 * random.uniform(0, 255, (CLASSES, ITEMS, channels, SIDE, SIDE))
    names = names or tuple(f"group{label % 3}/class{label:02}" for label in range(CLASSES))
    labels = [names[label] for label in range(CLASSES) for _ in range(ITEMS)]
    return ArrayDataset(noisy.reshape(-1, channels, SIDE, SIDE).astype(np.uint8), labels, name="patterns", preprocess=preprocess)


def _protonet(norm: bool = False, channels: int = 1) -> ProtoNet:
    """A linear embedding; with batch norm, running statistics that are not those it was made with."""
    generator = torch.Generator().manual_seed(0)
    inputs = channels * SIDE * SIDE
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), *([nn.BatchNorm1d(16), nn.ReLU()] if norm else []))
    for value in backbone.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + (0.1 if value.dim() == 1 else -0.5))
    return ProtoNet(backbone).eval()


def _episodes(dataset: ArrayDataset, shape: EpisodeShape, episodes: int = 20, seed: int = 0) -> EpisodeSet:
    return EpisodeSet.draw(dataset, dataset.index, "all/test", shape, episodes=episodes, seed=seed)


@pytest.fixture
def pictures() -> Callable[..., ArrayDataset]:
    return _pictures


@pytest.fixture
def protonet() -> Callable[..., ProtoNet]:
    return _protonet


@pytest.fixture
def draw() -> Callable[..., EpisodeSet]:
    return _episodes


@pytest.fixture
def doubles() -> Preprocess:
    return Doubles()


class _RawPairs(ProtoNet):
    """Prototypes of raw pixels: nothing is computed for an item alone, and features are a mapping."""

    def encode(self, x: Inputs) -> Inputs:  # type: ignore[override]
        assert isinstance(x, Tensor)
        return {"pixels": x}

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        return super().adapt(support_features["pixels"].flatten(2), support_y, way=way)  # type: ignore[index]

    def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
        return super().predict(adapted, query_features["pixels"].flatten(2))  # type: ignore[index]


@pytest.fixture
def raw_pairs() -> ProtoNet:
    return _RawPairs(nn.Identity()).eval()
