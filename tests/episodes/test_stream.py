"""A stream's updates are functions of their number, shared out over ranks, whatever was asked before."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.episodes.draw import draw_episodes, episode_key
from kshot.episodes.identity import episodes_hash
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, EpisodeError
from kshot.results.score.episode_set import EpisodeSet


class Numbers:
    """A data set whose item m is the number m."""

    name = "numbers"
    fingerprint = hashlib.sha256(b"numbers").hexdigest()
    preprocess = AsIs()
    index = ClassIndex.build({f"class {n}": range(6 * n, 6 * n + 6) for n in range(9)})

    def __len__(self) -> int:
        return 54

    def gather(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).float()[:, None]


PLAIN = EpisodeShape(way=3, shot=1, query=2)
RANGES = EpisodeShape(way=(2, 4), shot=(1, 2), query=(1, 3), balanced=False)


def stream_of(
    shape: EpisodeShape = PLAIN, *, tasks: int = 4, rank: int = 0, ranks: int = 1, seed: int = 5, split: Any = "train"
) -> EpisodeStream:
    return EpisodeStream(Numbers(), Numbers.index, split, shape, seed, tasks, rank, ranks)


def hash_of(stream: EpisodeStream, update: int) -> str:
    return episodes_hash("", stream.drawn(update))


@pytest.mark.parametrize("shape", [PLAIN, RANGES])
@pytest.mark.parametrize("tasks", [1, 4, 7, 100])
def test_update_t_holds_the_tasks_of_its_numbers(shape: EpisodeShape, tasks: int) -> None:
    stream = stream_of(shape, tasks=tasks)
    key = episode_key(Numbers.fingerprint, "train", shape, 5)
    for update in (0, 1, 15, 16, 17, 1000):
        numbers = np.arange(update * tasks, (update + 1) * tasks)
        assert hash_of(stream, update) == episodes_hash("", draw_episodes(Numbers.index, shape, key, numbers))


@pytest.mark.parametrize("shape", [PLAIN, RANGES])
def test_the_order_of_asking_is_irrelevant(shape: EpisodeShape) -> None:
    forwards, backwards = stream_of(shape), stream_of(shape)
    updates = [*range(40), 500]
    first = {update: hash_of(forwards, update) for update in updates}
    assert first == {update: hash_of(backwards, update) for update in reversed(updates)}
    assert len(set(first.values())) == len(updates)
    assert hash_of(stream_of(shape), 33) == first[33]  # as after a resume
    assert hash_of(forwards, 3) == hash_of(forwards, 3) == first[3]


def test_rectangles_come_in_the_order_of_their_first_task() -> None:
    # Gradients are added up in this order, so it must depend on the update alone.
    stream = stream_of(RANGES, tasks=12)
    key = episode_key(Numbers.fingerprint, "train", RANGES, 5)
    for update in range(20):
        alone = draw_episodes(Numbers.index, RANGES, key, np.arange(12 * update, 12 * update + 12))
        found = [rectangle.numbers.tolist() for rectangle in stream.drawn(update)]
        assert found == [rectangle.numbers.tolist() for rectangle in alone]
        assert [numbers[0] for numbers in found] == sorted(numbers[0] for numbers in found)


@pytest.mark.parametrize("tasks", [3, 4, 5])
@pytest.mark.parametrize("shape", [PLAIN, RANGES])
def test_ranks_share_an_update_s_tasks_out(shape: EpisodeShape, tasks: int) -> None:
    one, three = stream_of(shape, tasks=tasks), [stream_of(shape, tasks=tasks, rank=rank, ranks=3) for rank in range(3)]
    for update in (0, 1, 2, 77):
        shares = [stream.drawn(update) for stream in three]
        for rank, share in enumerate(shares):
            numbers = [int(number) for rectangle in share for number in rectangle.numbers]
            assert numbers  # no rank is idle
            assert {number % 3 for number in numbers} == {rank}
        assert episodes_hash("", [rectangle for share in shares for rectangle in share]) == hash_of(one, update)


def test_seed_and_split_make_another_stream() -> None:
    other_split = EpisodeStream(Numbers(), Numbers.index, "test", PLAIN, 5, 4)
    assert len({hash_of(stream_of(), 0), hash_of(stream_of(seed=6), 0), hash_of(other_split, 0)}) == 3


def test_batches_are_the_items_that_were_drawn() -> None:
    stream = stream_of(RANGES, tasks=6)
    for drawn, batch in zip(stream.drawn(2), stream.batches(2), strict=True):
        assert isinstance(batch.support_x, Tensor)
        assert isinstance(batch.query_x, Tensor)
        assert (batch.support_x[..., 0].numpy() == drawn.support_items).all()
        assert (batch.query_x[..., 0].numpy() == drawn.query_items).all()
        assert batch.way == drawn.way
        assert (batch.numbers == drawn.numbers).all()


def test_memory_stays_flat() -> None:
    stream = stream_of(tasks=1)
    for update in range(0, 2000, 3):
        stream.drawn(update)
    assert len(stream._ahead) <= 64


@pytest.mark.parametrize(
    ("tasks", "rank", "ranks"), [(0, 0, 1), (1, 0, 2), (4, 2, 2), (4, 0, 0)]
)  # fmt: skip
def test_tasks_that_do_not_go_round_are_refused(tasks: int, rank: int, ranks: int) -> None:
    with pytest.raises(EpisodeError, match=f"0 ≤ rank < ranks ≤ tasks; found rank={rank} ranks={ranks} tasks={tasks}"):
        stream_of(tasks=tasks, rank=rank, ranks=ranks)


@pytest.mark.parametrize("name", ["tasks", "rank", "ranks"])
@pytest.mark.parametrize("value", [-1, 0.5, math.nan, "2", None, True, 10**12])
def test_numbers_that_are_no_counts_are_refused(name: str, value: Any) -> None:
    with pytest.raises(EpisodeError, match=f"^{name} of a stream must be "):
        stream_of(**{name: value})


@pytest.mark.parametrize("value", [-1, 0.5, math.nan, "2", None, 10**400])
def test_a_seed_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(EpisodeError, match=r"^the seed of episodes must be "):
        stream_of(seed=value)
    with pytest.raises(EpisodeError, match="the split of episodes must be text, the name of their classes; found 7"):
        stream_of(split=7)
    assert stream_of(seed=np.int64(3)).drawn(0)[0].classes.tolist() == stream_of(seed=3).drawn(0)[0].classes.tolist()


def test_a_shape_that_cannot_be_drawn_is_refused_at_once() -> None:
    with pytest.raises(EpisodeError, match="class 'class 0' has 6 items; way=3 shot=5 query=2 needs 7"):
        stream_of(EpisodeShape(way=3, shot=5, query=2))


class NoGather:
    name, fingerprint, index, preprocess = Numbers.name, Numbers.fingerprint, Numbers.index, Numbers.preprocess


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (object(), "found object without name, fingerprint, index, preprocess, a length, gather. Use one of kshot's"),
        (NoGather(), "found NoGather without a length, gather. Use one of kshot's"),
    ],
)
def test_what_is_no_data_set_is_told_what_it_lacks(thing: Any, message: str) -> None:
    for draw in (
        lambda: EpisodeStream(thing, Numbers.index, "train", PLAIN, 0),
        lambda: ItemStream(thing, Numbers.index, "train", 0, batch=4),
        lambda: EpisodeSet.draw(thing, Numbers.index, "test", PLAIN, episodes=2),
    ):
        with pytest.raises(DataError, match=message):
            draw()
