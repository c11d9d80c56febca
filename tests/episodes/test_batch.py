"""Gathering: the right items in the right places, for tensors and for mappings, augmented and preprocessed."""

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.episodes.batch import gather_batch, gather_inputs
from kshot.episodes.draw import draw_episodes
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.errors import EpisodeError

CPU = torch.device("cpu")
INDEX = ClassIndex.build({f"class {n}": list(range(5 * n, 5 * n + 5)) for n in range(6)})


@dataclass
class Pictures:
    """Item m is a 2×2 byte picture that begins with m; with `captions`, a mapping that has a caption, too."""

    captions: bool = False
    asked: list[int] = field(default_factory=list)
    name: ClassVar[str] = "pictures"
    fingerprint: ClassVar[str] = hashlib.sha256(b"pictures").hexdigest()
    preprocess: ClassVar[AsIs] = AsIs()
    index: ClassVar[ClassIndex] = INDEX

    def __len__(self) -> int:
        return 30

    def gather(self, items: np.ndarray) -> Inputs:
        self.asked.append(len(items))
        first = torch.from_numpy(items).to(torch.uint8)
        pictures = torch.stack([first, first * 0, first * 0, first * 0 + 255], dim=1).reshape(-1, 1, 2, 2)
        if not self.captions:
            return pictures
        return {"picture": pictures, "caption": torch.from_numpy(items)[:, None].repeat(1, 3)}


def draw(shape: EpisodeShape) -> DrawnEpisodes:
    return draw_episodes(INDEX, shape, 1, np.arange(4))[0]


def test_a_case_small_enough_to_read() -> None:
    drawn = DrawnEpisodes(
        numbers=np.array([8]),
        classes=np.array([[3, 1]]),
        support_items=np.array([[17, 6]]),
        support_y=np.array([[0, 1]]),
        query_items=np.array([[15, 19, 9]]),
        query_y=np.array([[0, 0, 1]]),
    )
    batch = gather_batch(Pictures(), drawn, "none", CPU)
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.support_x.dtype == torch.float32
    assert batch.support_x.shape == (1, 2, 1, 2, 2)
    assert torch.equal(batch.support_x[0, 0], torch.tensor([[[17, 0], [0, 255]]]) / 255)
    assert (batch.query_x[0, :, 0, 0, 0] * 255).round().tolist() == [15, 19, 9]
    assert batch.support_y.tolist() == [[0, 1]]
    assert batch.query_y.tolist() == [[0, 0, 1]]
    assert (batch.way, batch.numbers.tolist(), len(batch)) == (2, [8], 1)


@pytest.mark.parametrize("augment", ["none", "quarter_turns"])
def test_every_item_is_where_its_number_was(augment: str) -> None:
    drawn = draw(EpisodeShape(way=3, shot=2, query=3, augment=augment))
    data = Pictures()
    batch = gather_batch(data, drawn, augment, CPU)
    assert data.asked == [4 * (6 + 9)]  # one call for everything
    for x, items, changes in (
        (batch.support_x, drawn.support_items, drawn.support_changes),
        (batch.query_x, drawn.query_items, drawn.query_changes),
    ):
        assert isinstance(x, Tensor)
        for b, i in np.ndindex(items.shape):
            kept = data.gather(items[b, i : i + 1])
            assert isinstance(kept, Tensor)
            turns = 0 if changes is None else int(changes[b, i])
            assert torch.equal(x[b, i], torch.rot90(kept[0], turns, (1, 2)).float() / 255)


def test_a_mapping_is_gathered_name_by_name() -> None:
    drawn = draw(EpisodeShape(way=3, shot=1, query=2))
    batch = gather_batch(Pictures(captions=True), drawn, "none", CPU)
    assert not isinstance(batch.support_x, Tensor)
    assert not isinstance(batch.query_x, Tensor)
    assert {name: tuple(value.shape) for name, value in batch.query_x.items()} == {"picture": (4, 6, 1, 2, 2), "caption": (4, 6, 3)}
    assert (batch.support_x["caption"][:, :, 0].numpy() == drawn.support_items).all()
    assert batch.query_x["caption"].dtype == torch.int64
    assert torch.equal((batch.query_x["picture"][:, :, 0, 0, 0] * 255).round().long(), batch.query_x["caption"][:, :, 0])


def test_a_mapping_cannot_be_turned() -> None:
    drawn = draw(EpisodeShape(way=3, shot=1, query=2, augment="quarter_turns"))
    with pytest.raises(EpisodeError, match=r"turns square images .*found a mapping. Use augment='none'"):
        gather_batch(Pictures(captions=True), drawn, "quarter_turns", CPU)


@pytest.mark.parametrize("shape", [EpisodeShape(way=2, shot=1, query=1), EpisodeShape(way=2, shot=(1, 2), query=1, balanced=False)])
def test_labels_can_be_written_to(shape: EpisodeShape) -> None:
    # A read-only array would make torch warn, and a shared one would let tasks change each other.
    (one,) = draw_episodes(INDEX, shape, 1, np.arange(1))
    batch = gather_batch(Pictures(), one, "none", CPU)
    batch.support_y.add_(1)
    batch.query_y.add_(1)
    assert batch.query_y.tolist() == [[1, 2]]


def test_single_items_with_their_own_turns() -> None:
    x = gather_inputs(Pictures(), np.array([7, 7]), np.array([0, 2], dtype=np.int16), "quarter_turns", CPU)
    assert isinstance(x, Tensor)
    assert (x[:, 0] * 255).round().tolist() == [[[7, 0], [0, 255]], [[255, 0], [0, 7]]]
