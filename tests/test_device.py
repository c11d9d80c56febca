"""Devices by name: those that are here, and the one message about those that are not, wherever a device is taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kshot.data.arrays import ArrayDataset
from kshot.device import pick_device
from kshot.episodes.centres import class_centres
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import SetupError
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.results.compare.compare import compare
from kshot.results.compare.cost import measure_costs
from kshot.results.score.answers import answer_episodes
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.score.presentations import score_presentations
from kshot.results.score.verification import verify
from kshot.saved.folder import Saved
from kshot.tasks.classifier import Classifier

DATA = ArrayDataset(np.eye(6, dtype=np.float32), [0, 0, 1, 1, 2, 2])
SHAPE = EpisodeShape(way=2, shot=1, query=1)


@pytest.mark.parametrize(
    "name", ["gpu", "", "cuda:x", "CPU", "meta", "hpu", "privateuseone", "mkldnn", "cuda:99", "vulkan", "cpu,cuda", "lazy"]
)
def test_a_device_that_is_not_here_is_refused_and_those_here_are_named(name: str) -> None:
    with pytest.raises(SetupError, match=rf"there is no device '{name}' here; this machine has cpu"):
        pick_device(name)


def test_devices_that_are_here() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="there is no device 'cuda' here; this machine has cpu"):
        pick_device("cuda")


def nearest() -> NearestNeighbour:
    return NearestNeighbour(nn.Identity())


def test_a_device_may_be_given_instead_of_its_name() -> None:
    assert pick_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(SetupError, match="there is no device 'cuda:99' here"):
        pick_device(torch.device("cuda:99"))


class Drawings:
    """A preprocessing that is never asked."""

    def read(self, item: Any) -> Any:
        raise AssertionError

    to_input = read


def episodes() -> EpisodeSet:
    return EpisodeSet.draw(DATA, DATA.index, "all", SHAPE, episodes=2)


TAKERS: dict[str, Callable[[str], object]] = {
    "evaluate": lambda device: evaluate(nearest(), episodes(), device=device),
    "answer_episodes": lambda device: answer_episodes(nearest(), episodes(), device=device),
    "verify": lambda device: verify(nearest(), episodes(), device=device),
    "compare": lambda device: compare({"a": nearest(), "b": nearest()}, [episodes()], device=device),
    "measure_costs": lambda device: measure_costs({"a": nearest()}, {"a": episodes()}, device=device),
    "score_presentations": lambda device: score_presentations(nearest(), episodes(), device=device),  # type: ignore[arg-type]  # never asked
    "class_centres": lambda device: class_centres(DATA, DATA.index, device=device),
    "EpisodeStream": lambda device: EpisodeStream(DATA, DATA.index, "all", SHAPE, 0, device=device),  # type: ignore[arg-type]  # a name
    "ItemStream": lambda device: ItemStream(DATA, DATA.index, "all", 0, batch=2, device=device),  # type: ignore[arg-type]  # a name
    "Classifier": lambda device: Classifier(Saved(nearest(), Drawings()), {"a": ["a.png"], "b": ["b.png"]}, device=device),
}


@pytest.mark.parametrize("name", TAKERS)
def test_whoever_takes_a_device_refuses_a_missing_one(name: str) -> None:
    with pytest.raises(SetupError, match="there is no device 'cuda:99' here; this machine has cpu"):
        TAKERS[name]("cuda:99")


def test_streams_take_the_name_of_a_device() -> None:
    assert EpisodeStream(DATA, DATA.index, "all", SHAPE, 0, device="cpu").batches(0)[0].device == torch.device("cpu")  # type: ignore[arg-type]  # a name
    assert ItemStream(DATA, DATA.index, "all", 0, batch=2, device="cpu").batches(0)[0].device == torch.device("cpu")  # type: ignore[arg-type]  # a name
