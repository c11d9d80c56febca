"""Near and far classes: a slow version in plain Python, the promises over many draws, and what cannot be drawn."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cases.slow_draw import MASK, slow_sample, slow_word
from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.centres import pixel_distances
from kshot.episodes.draw import check_drawable, draw_episodes, episode_key
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.identity import episodes_hash
from kshot.episodes.nearness import ClassDistances, Nearness, least_classes
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import EpisodeError
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.saved.shipped import load

ITEMS = 6


def index_of(classes: int, groups: list[str] | None = None) -> ClassIndex:
    items = {f"class {n}": range(ITEMS * n, ITEMS * n + ITEMS) for n in range(classes)}
    return ClassIndex.build(items, None if groups is None else dict(zip(items, groups, strict=True)))


def table_of(index: ClassIndex, seed: int = 0) -> ClassDistances:
    return ClassDistances.of(index, np.random.default_rng(seed).normal(size=(len(index), 3)))


def draw(
    index: ClassIndex, shape: EpisodeShape, numbers: Iterable[int], distances: ClassDistances | None, key: int = 1
) -> list[DrawnEpisodes]:
    return draw_episodes(index, shape, key, np.array(list(numbers)), distances)


# The table.


def test_distances_worked_by_hand() -> None:
    found = ClassDistances.of(index_of(3), np.array([[1.0, 1.0], [4.0, 5.0], [1.0, 0.0]]))
    whole = 2.0**25 / 4  # 4 is the largest difference from the first row; two columns leave 25 bits
    assert found.names == ("class 0", "class 1", "class 2")
    assert found.table.dtype == np.float32
    np.testing.assert_array_equal(found.table / np.float32(whole**2), [[0, 25, 1], [25, 0, 34], [1, 34, 0]])


@pytest.mark.slow
def test_distances_are_whole_numbers_that_every_order_of_adding_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for columns in (1, 3, 784, 21_168):
        index, rows = index_of(20), random.normal(size=(20, columns)) * 1e-3 + 7
        found = ClassDistances.of(index, rows)
        bits = (51 - int(np.ceil(np.log2(columns)))) // 2
        moved = rows - rows[:1]
        whole = [[int(value) for value in row] for row in np.rint(moved / np.abs(moved).max() * 2.0**bits)]
        slow = [[sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) for b in whole] for a in whole]
        assert max(map(max, slow)) < 2**53
        np.testing.assert_array_equal(found.table, np.array(slow, dtype=np.float32))
        np.testing.assert_allclose(
            found.table[1, 2] / found.table[3, 4], np.square(rows[1] - rows[2]).sum() / np.square(rows[3] - rows[4]).sum(), rtol=1e-3
        )
        monkeypatch.setattr("kshot.episodes.nearness._CELLS", 60)  # in blocks of three rows
        np.testing.assert_array_equal(ClassDistances.of(index, rows).table, found.table)
        monkeypatch.undo()


def test_the_fingerprint_is_that_of_names_and_centres() -> None:
    index, rows = index_of(4), np.random.default_rng(0).normal(size=(4, 3))
    other = ClassIndex.build({f"other {n}": [n] for n in range(4)})
    changed = rows.copy()
    changed[2, 1] += 1e-4
    fingerprints = {
        ClassDistances.of(*given).fingerprint for given in ((index, rows), (other, rows), (index, changed), (index, rows[::-1]))
    }
    assert len(fingerprints) == 4
    assert ClassDistances.of(index, rows + 1e-12).fingerprint == ClassDistances.of(index, rows).fingerprint  # rounding apart


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 2)), r"one row of numbers per class, \(4, D\) for these 4 classes; found float64 \(3, 2\)"),
        (np.zeros(4), r"found float64 \(4,\)"),
        (np.zeros((4, 0)), r"found float64 \(4, 0\)"),
        (np.full((4, 2), "a"), r"found <U1 \(4, 2\)"),
        (np.array([[0, 1], [1, 2], [np.nan, 0], [3, np.inf]]), r"the centre of class 'class 2' is not \(2 of 4 are not\). Look for NaN"),
        (np.ones((4, 2)), "the centres of all 4 classes are the same, so none is near or far"),
    ],
)
def test_centres_that_give_no_distances_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        ClassDistances.of(index_of(4), rows)


# An independent slow version.


def slow_classes(nearness: Nearness, table: np.ndarray, key: int, number: int, way: int, groups: list[str] | None = None) -> list[int]:
    seed, C = slow_word(key, number), len(table)
    members = list(range(C))
    smallest, largest = C, C
    if groups is not None:
        large = {name: [c for c in range(C) if groups[c] == name] for name in sorted(set(groups))}
        largest = max(map(len, large.values()))
        eligible = [one for one in large.values() if len(one) >= 2 * way]
        smallest = min(map(len, eligible))
        members = eligible[(slow_word(seed, 3) >> 32) * len(eligible) >> 32]
    if nearness == "near":
        (first,) = slow_sample(seed, 4, 1, members, largest)
        pool = sorted((c for c in members if c != first), key=lambda c: table[first, c])[: 2 * (way - 1)]
        classes = [first, *slow_sample(seed, 5, way - 1, pool, len(pool))]
    else:
        pool = slow_sample(seed, 4, min(4 * (way - 1) + 1, smallest), members, largest)
        classes = pool[:1]
        while len(classes) < way:
            classes.append(max((c for c in pool if c not in classes), key=lambda c: min(table[c, chosen] for chosen in classes)))
    return [classes[n] for n in slow_sample(seed, 4 + largest, way, list(range(way)), way)]


@pytest.mark.parametrize("nearness", ["near", "far"])
@pytest.mark.parametrize("way", [2, 5, 15, 30])  # more are drawn one after another up to 24
@pytest.mark.parametrize("grouped", [False, True])
def test_equals_the_slow_version(nearness: Nearness, way: int, grouped: bool) -> None:
    groups = [["Greek", "Runes", "Braille"][n % 7 % 3] for n in range(170)] if grouped else None
    index = index_of(170, groups)
    distances = table_of(index)
    shape = EpisodeShape(way, 1, 1, within_groups=grouped, nearness=nearness)
    numbers = [0, 1, 2, 17, 1000, 2**40]
    (drawn,) = draw(index, shape, numbers, distances, key=9)
    assert drawn.classes.tolist() == [slow_classes(nearness, distances.table, 9, number, way, groups) for number in numbers]


# The promises.

INDEX = index_of(40)
DISTANCES = table_of(INDEX)
DRAWS = 10_000


@pytest.fixture(scope="module", params=["near", "far"])
def drawn(request: pytest.FixtureRequest) -> tuple[EpisodeShape, DrawnEpisodes]:
    shape = EpisodeShape(4, 1, 2, nearness=request.param)
    (rectangle,) = draw(INDEX, shape, range(DRAWS), DISTANCES)
    return shape, rectangle


@pytest.mark.slow
def test_10000_draws_keep_the_promises(drawn: tuple[EpisodeShape, DrawnEpisodes]) -> None:
    _, rectangle = drawn
    assert all(len(set(row)) == 4 for row in rectangle.classes.tolist())
    for items, y in ((rectangle.support_items, rectangle.support_y), (rectangle.query_items, rectangle.query_y)):
        assert (items // ITEMS == np.take_along_axis(rectangle.classes, y, axis=1)).all()
    together = np.concatenate([rectangle.support_items, rectangle.query_items], axis=1)
    assert all(len(set(row)) == 12 for row in together.tolist())


def test_10000_draws_give_every_class_each_of_its_labels_equally_often(drawn: tuple[EpisodeShape, DrawnEpisodes]) -> None:
    _, rectangle = drawn
    counts = np.stack([np.bincount(rectangle.classes[:, label], minlength=40) for label in range(4)])  # (N, classes)
    used = counts.sum(0)
    assert (used > 0).all()  # every class is the first one in some
    expected, freedom = used / 4, 3 * 40
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 64, 3000])
def test_10000_draws_are_the_same_for_every_batch_size(drawn: tuple[EpisodeShape, DrawnEpisodes], size: int) -> None:
    shape, rectangle = drawn
    last = DRAWS if size > 7 else 500
    parts = [draw(INDEX, shape, range(start, min(start + size, last)), DISTANCES) for start in range(0, last, size)]
    for name in ("numbers", "classes", "support_items", "query_items"):
        assert (np.concatenate([getattr(one, name) for part in parts for one in part]) == getattr(rectangle, name)[:last]).all()


class Numbers:
    """A data set whose item m is the number m."""

    name = "numbers"
    fingerprint = hashlib.sha256(b"numbers").hexdigest()
    preprocess = AsIs()
    index = INDEX

    def __len__(self) -> int:
        return 40 * ITEMS

    def gather(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).float()[:, None]


@pytest.mark.parametrize("nearness", ["near", "far"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_the_same_episodes_out_in_any_order(nearness: Nearness, ranks: int) -> None:
    shape = EpisodeShape((2, 4), 1, 2, nearness=nearness)
    key = episode_key(Numbers.fingerprint, "train", shape, 7, DISTANCES)
    whole = episodes_hash("", draw_episodes(INDEX, shape, key, np.arange(120), DISTANCES))
    streams = [
        EpisodeStream(Numbers(), INDEX, "train", shape, 7, tasks=4, rank=rank, ranks=ranks, distances=DISTANCES) for rank in range(ranks)
    ]
    found = [rectangle for stream in streams for update in reversed(range(30)) for rectangle in stream.drawn(update)]
    assert episodes_hash("", found) == whole


@pytest.mark.slow
@settings(derandomize=True, max_examples=40)
@given(
    nearness=st.sampled_from(["near", "far"]),
    classes=st.integers(12, 30),
    way=st.tuples(st.integers(2, 4), st.integers(0, 2)),
    key=st.integers(0, MASK),
    numbers=st.lists(st.integers(0, 2**50), min_size=1, max_size=12, unique=True),
    columns=st.integers(1, 4),
)
def test_every_shape_is_the_same_in_any_company(
    nearness: Nearness, classes: int, way: tuple[int, int], key: int, numbers: list[int], columns: int
) -> None:
    index = index_of(classes)
    distances = ClassDistances.of(
        index, np.random.default_rng(classes).integers(0, 3, (classes, columns)) + np.eye(classes)[:, :columns]
    )  # many are equal
    shape = EpisodeShape((way[0], sum(way)), (1, 2), (1, 2), balanced=False, nearness=nearness)
    together = draw_episodes(index, shape, key, np.array(numbers), distances)
    alone = [one for number in numbers for one in draw_episodes(index, shape, key, np.array([number]), distances)]
    assert episodes_hash("", together) == episodes_hash("", alone)
    assert all(len(set(row)) == one.way for one in together for row in one.classes.tolist())


def spread(drawn: DrawnEpisodes, table: np.ndarray) -> float:
    """The mean over episodes of the smallest distance between two classes."""
    between = np.sqrt(table[drawn.classes[:, :, None], drawn.classes[:, None, :]])  # (B, N, N)
    return float(between[:, ~np.eye(drawn.way, dtype=bool)].min(1).mean())


def test_near_classes_are_nearer_and_far_ones_farther() -> None:
    found = {}
    for nearness in ("near", "any", "far"):
        (rectangle,) = draw(INDEX, EpisodeShape(4, 1, 2, nearness=nearness), range(2000), DISTANCES)  # type: ignore[arg-type]
        found[nearness] = spread(rectangle, DISTANCES.table)
    assert found["near"] < 0.8 * found["any"]
    assert found["any"] < 0.8 * found["far"]


def test_within_groups_near_classes_are_near_among_their_group() -> None:
    groups = [["a", "b"][n % 2] for n in range(40)]
    index = index_of(40, groups)
    (near,) = draw(index, EpisodeShape(3, 1, 2, within_groups=True, nearness="near"), range(1000), DISTANCES)
    of_class = np.array(groups)[near.classes]
    assert (of_class == of_class[:, :1]).all()
    assert abs(int((of_class[:, 0] == "a").sum()) - 500) < 5 * 250**0.5


# What an episode is a function of.


def test_any_keeps_its_key_and_needs_no_distances() -> None:
    plain = EpisodeShape(2, 1, 2)
    assert "nearness" not in plain.as_dict()
    assert episode_key("data", "train", plain, 0) == 6406803233835621513  # as before there was a choice; see test_draw
    assert episode_key("data", "train", plain, 0, DISTANCES) == 6406803233835621513
    assert EpisodeShape(2, 1, 2, nearness="near").as_dict()["nearness"] == "near"


def test_near_and_far_keys_depend_on_the_distances() -> None:
    near, far = EpisodeShape(2, 1, 2, nearness="near"), EpisodeShape(2, 1, 2, nearness="far")
    other = table_of(INDEX, seed=1)
    keys = {episode_key("data", "train", shape, 0, distances) for shape in (near, far) for distances in (DISTANCES, other)}
    assert len(keys) == 4


def test_sets_and_streams_take_the_pixels_unless_told_otherwise() -> None:
    shape = EpisodeShape(3, 1, 2, nearness="near")
    pixels = pixel_distances(Numbers(), INDEX)
    assert EpisodeStream(Numbers(), INDEX, "train", shape, 0).distances is not None
    drawn = [EpisodeSet.draw(Numbers(), INDEX, "train", shape, episodes=20, distances=given) for given in (None, pixels, DISTANCES)]
    assert drawn[0].hash == drawn[1].hash != drawn[2].hash
    assert EpisodeStream(Numbers(), INDEX, "train", EpisodeShape(3, 1, 2), 0).distances is None
    between = np.abs(np.diff(np.sort(drawn[0].drawn[0].classes, axis=1)))  # class n is at 6 n + 2.5: near ones have near numbers
    assert between.max() <= 4


# What cannot be drawn.


@pytest.mark.parametrize("nearness", ["near", "far"])
def test_twice_as_many_classes_are_needed(nearness: Nearness) -> None:
    shape = EpisodeShape(4, 1, 1, nearness=nearness)
    with pytest.raises(EpisodeError, match=rf"way=4 nearness='{nearness}' needs at least 8 classes; found 7: class 0, .* Lower way or add"):
        check_drawable(index_of(7), shape)
    (drawn,) = draw(index_of(8), shape, range(30), table_of(index_of(8)))
    assert drawn.classes.shape == (30, 4)
    within = EpisodeShape(3, 1, 1, within_groups=True, nearness=nearness)
    with pytest.raises(EpisodeError, match=rf"nearness='{nearness}' within one group needs a group of 6 classes; the largest, 'b', has 5"):
        check_drawable(index_of(9, ["a"] * 4 + ["b"] * 5), within)
    assert least_classes(4, "any") == 4


def test_one_class_has_no_other_near_it() -> None:
    with pytest.raises(EpisodeError, match=r"way must be at least 2; found 1"):
        EpisodeSet.draw(Numbers(), index_of(1), "all", EpisodeShape(1, 1, 1, nearness="near"), episodes=3)
    with pytest.raises(EpisodeError, match=r"way=2 nearness='near' needs at least 4 classes; found 1: class 0"):
        EpisodeSet.draw(Numbers(), index_of(1), "all", EpisodeShape(2, 1, 1, nearness="near"), episodes=3)


def test_a_table_that_is_missing_or_of_other_classes_is_refused() -> None:
    shape = EpisodeShape(3, 1, 1, nearness="near")
    with pytest.raises(
        EpisodeError, match=r"nearness='near' needs the distances between the classes; none were given. Measure them with pixel"
    ):
        draw(INDEX, shape, [0], None)
    with pytest.raises(
        EpisodeError, match=r"belong to other classes: 40 in the table, 41 to draw from; class 'class 40' is not in the table"
    ):
        draw(index_of(41), shape, [0], DISTANCES)
    backwards = INDEX.subset(reversed(INDEX.names))
    with pytest.raises(EpisodeError, match=r"40 in the table, 40 to draw from; the order of the classes differs"):
        draw(backwards, shape, [0], DISTANCES)


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(EpisodeError, match=r"nearness must be one of any, near, far; found 'hard'"):
        EpisodeShape(nearness="hard")  # type: ignore[arg-type]


@pytest.mark.slow
def test_near_episodes_are_hard_and_far_ones_easy_for_the_shipped_learner(omniglot: Omniglot) -> None:
    learner = load("omniglot-protonet")
    classes = omniglot.split("vinyals").part("test")
    distances = pixel_distances(omniglot, classes)
    scores = {}
    for nearness in ("near", "any", "far"):
        shape = EpisodeShape(5, 1, 5, nearness=nearness)  # type: ignore[arg-type]
        test = EpisodeSet.draw(omniglot, classes, "vinyals/test", shape, episodes=120, distances=distances)
        scores[nearness] = evaluate(learner, test)
    # 87.6, 98.8 and 99.4 over 1,000 episodes
    assert scores["near"].mean + 3 * scores["near"].interval < scores["any"].mean
    assert scores["any"].mean < scores["far"].mean
    assert scores["near"].as_dict()["nearness"] == "near"
    assert "queries per class, near classes" in str(scores["near"])
