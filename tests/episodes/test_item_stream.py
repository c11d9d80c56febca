"""Plain labelled batches: each a function of its number, every item once a round, labels that name the class, and what is refused."""

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.episodes.item_stream import ItemStream, all_items
from kshot.errors import EpisodeError, KshotError

ORDER = np.random.default_rng(0).permutation(30)


class Numbers:
    """A data set whose item m is the number m; class n has 4 + n items, numbered in no order."""

    name = "numbers"
    fingerprint = hashlib.sha256(b"numbers").hexdigest()
    preprocess = AsIs()
    index = ClassIndex.build({f"class {n}": part for n, part in enumerate(np.split(ORDER, [4, 9, 15, 22]))})

    def __len__(self) -> int:
        return 30

    def gather(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).float()[:, None]


class Corners(Numbers):
    """Item m is a picture of 2×2 whose upper left corner is m + 1."""

    def gather(self, items: np.ndarray) -> Tensor:
        pictures = torch.zeros(len(items), 1, 2, 2)
        pictures[:, 0, 0, 0] = torch.from_numpy(items).float() + 1
        return pictures


def stream_of(batch: int = 7, **settings: Any) -> ItemStream:
    return ItemStream(Numbers(), Numbers.index, "train", settings.pop("seed", 3), batch, **settings)


def numbers_of(stream: ItemStream, updates: Any) -> list[int]:
    return [int(number) for update in updates for batch in stream.batches(update) for number in batch.numbers]


def test_a_batch_holds_the_items_that_its_numbers_and_labels_say() -> None:
    (batch,) = stream_of().batches(4)
    assert isinstance(batch.x, Tensor)
    assert (len(batch), batch.way, batch.y.dtype, batch.unit) == (7, 5, torch.int64, "item")
    assert batch.x[:, 0].tolist() == batch.numbers.tolist()
    for number, label in zip(batch.numbers, batch.y.tolist(), strict=True):
        assert number in Numbers.index.items_of(f"class {label}")


@pytest.mark.parametrize("batch", [2, 7, 15, 30])
def test_every_round_holds_every_item_once_in_an_order_of_its_own(batch: int) -> None:
    seen = numbers_of(stream_of(batch), range(90 // batch + 1))
    rounds = [seen[start : start + 30] for start in (0, 30, 60)]
    for one in rounds:
        assert sorted(one) == list(range(30))
    assert len({tuple(one) for one in rounds}) == 3


def test_what_stands_in_a_place_does_not_depend_on_the_size_of_a_batch() -> None:
    assert numbers_of(stream_of(6), range(20)) == numbers_of(stream_of(24), range(5))


def test_update_t_is_the_same_whatever_was_asked_before() -> None:
    forwards, backwards = stream_of(), stream_of()
    updates = [*range(30), 1000]
    first = {update: numbers_of(forwards, [update]) for update in updates}
    assert first == {update: numbers_of(backwards, [update]) for update in reversed(updates)}
    assert numbers_of(stream_of(), [13]) == first[13]  # as after a resume
    assert len(forwards._rounds) <= 2  # memory stays flat


def test_ranks_share_an_update_out() -> None:
    one, three = stream_of(), [stream_of(rank=rank, ranks=3) for rank in range(3)]
    for update in (0, 1, 2, 77):
        shares = [numbers_of(stream, [update]) for stream in three]
        assert sorted(number for share in shares for number in share) == sorted(numbers_of(one, [update]))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_seed_split_and_augmentation_make_another_stream() -> None:
    others = [
        stream_of(),
        stream_of(seed=4),
        ItemStream(Numbers(), Numbers.index, "test", 3, 7),
        ItemStream(Corners(), Numbers.index, "train", 3, 7, "quarter_turns"),
    ]
    assert len({tuple(numbers_of(stream, range(5))) for stream in others}) == 4


@pytest.mark.slow
def test_every_place_is_as_likely_for_every_item() -> None:
    first = Counter(numbers_of(stream_of(10, seed=seed), [0])[0] for seed in range(3000))
    assert set(first) == set(range(30))
    expected = 100
    assert sum((count - expected) ** 2 / expected for count in first.values()) < 58.3  # chi-square, 29 degrees of freedom, 0.1 %


def test_a_turned_class_is_a_class_of_its_own() -> None:
    stream = ItemStream(Corners(), Numbers.index, "train", 0, 30, "quarter_turns")
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]  # of a turn counter-clockwise by 0, 1, 2, 3 quarters
    turns = Counter()
    assert stream.way == 20
    for update in range(40):
        (batch,) = stream.batches(update)
        assert isinstance(batch.x, Tensor)
        for picture, label, number in zip(batch.x, batch.y.tolist(), batch.numbers, strict=True):
            turn = label % 4
            assert number in Numbers.index.items_of(f"class {label // 4}")
            assert float(picture[0][corners[turn]]) == number + 1
            turns[turn] += 1
    assert all(230 < turns[turn] < 370 for turn in range(4))  # 300 expected, 15 standard deviation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 31}, r"a batch of 31 items is larger than the 30 items in the 5 classes of train\. Lower the batch \(items\.batch"),
        ({"batch": 0}, r"0 ≤ rank < ranks ≤ batch; found rank=0 ranks=1 batch=0"),
        ({"rank": 2, "ranks": 2}, r"found rank=2 ranks=2 batch=7"),
        ({"batch": 2, "ranks": 3}, r"found rank=0 ranks=3 batch=2"),
        ({"seed": -1}, r"seed of items must be 0 or more; found -1"),
        ({"augment": "blur"}, r"no augmentation 'blur'"),
        ({"augment": 7}, r"no augmentation 7\."),
        ({"batch": 2.5}, r"batch of a stream must be a whole number, 0 or more; found 2\.5"),
        ({"ranks": "2"}, r"ranks of a stream must be a whole number, 0 or more; found '2'"),
        ({"seed": 0.5}, r"seed of items must be a whole number, 0 or more; found 0\.5"),
    ],
)
def test_what_cannot_be_had_is_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        stream_of(settings.pop("batch", 7), **settings)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(KshotError, match=r"at least 2 of them; train has only 'class 2'\. Add classes"):
        ItemStream(Numbers(), Numbers.index.subset(["class 2"]), "train", 0, 3)


def test_all_items_are_every_item_of_the_classes_once() -> None:
    index = Numbers.index.subset(["class 3", "class 0"])
    chunks = list(all_items(Numbers(), index, torch.device("cpu")))
    assert torch.cat([chunk for chunk in chunks if isinstance(chunk, Tensor)])[:, 0].tolist() == index.items.tolist()
