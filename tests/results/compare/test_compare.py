from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, RecipeError
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.compare.compare import compare
from kshot.results.compare.cost import Cost
from kshot.results.compare.paired import paired_difference
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate


@pytest.fixture
def data(pictures: Callable[..., ArrayDataset]) -> ArrayDataset:
    return pictures()


@pytest.fixture
def sets(data: ArrayDataset, draw: Callable[..., EpisodeSet]) -> list[EpisodeSet]:
    return [draw(data, EpisodeShape(3, shot, 4), 40) for shot in (1, 3)]


@pytest.fixture
def learners(protonet: Callable[..., ProtoNet]) -> dict[str, Any]:
    return {"protonet": protonet(), "nearest": NearestNeighbour(nn.Identity()), "normed": protonet(norm=True)}


def test_each_scores_what_it_scores_alone(learners: dict[str, Any], sets: list[EpisodeSet]) -> None:
    seen: list[int] = []
    comparison = compare(learners, sets, progress=seen.append)
    assert sum(seen) == 3 * 80
    for one, episodes in zip(comparison.rounds, sets, strict=True):
        alone = {name: evaluate(learner, episodes) for name, learner in learners.items()}
        for name in learners:
            np.testing.assert_array_equal(one.results[name].scores, alone[name].scores)
            assert one.results[name].episodes_hash == episodes.hash
        best, *others = one.standings
        assert best.mean == max(result.mean for result in alone.values())
        for other in others:
            assert other.difference == paired_difference(alone[other.name].scores, alone[best.name].scores)
    assert "with 1 thread" in comparison.machine or f"with {torch.get_num_threads()} threads" in comparison.machine


def test_the_order_of_learners_and_sets_does_not_matter(learners: dict[str, Any], sets: list[EpisodeSet]) -> None:
    comparison, turned = compare(learners, sets), compare(dict(reversed(learners.items())), sets[::-1])
    assert comparison.sentence() == turned.sentence()
    assert [one.standings for one in comparison.rounds] == [one.standings for one in turned.rounds]


def test_the_same_hash_is_printed_for_all(learners: dict[str, Any], sets: list[EpisodeSet]) -> None:
    comparison = compare(learners, sets)
    for one, episodes in zip(comparison.as_dict()["rounds"], sets, strict=True):
        assert {learner["episodes_hash"] for learner in one["learners"]} == {one["episodes_hash"]} == {episodes.hash}
        assert comparison.table().count(episodes.hash) == 1


def test_equal_learners_do_not_differ(protonet: Callable[..., ProtoNet], sets: list[EpisodeSet]) -> None:
    assert compare({"one": protonet(), "two": protonet()}, sets).sentence() == "one and two do not differ at 1 and 3 shots."


def test_items_are_encoded_once_whatever_the_number_of_shots(sets: list[EpisodeSet], monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(ProtoNet):
        items = 0

        def encode(self, x: Inputs) -> Tensor:
            assert isinstance(x, Tensor)
            self.items += len(x)
            return super().encode(x)

    counting = Counting(nn.Flatten())
    cost = Cost(0.0, 0.0, 1, 12, 0, 0, 0, None)
    monkeypatch.setattr("kshot.results.compare.compare.measure_costs", lambda learners, episodes, **_: dict.fromkeys(learners, cost))
    compare({"counting": counting, "other": ProtoNet(nn.Flatten())}, sets)
    used = {item for one in sets for drawn in one.drawn for items in (drawn.support_items, drawn.query_items) for item in items.flat}
    assert counting.items == len(used) + 1  # one, to see how large features are


def test_a_learner_may_read_the_same_items_in_its_own_way(
    pictures: Callable[..., ArrayDataset], doubles: Preprocess, sets: list[EpisodeSet], protonet: Callable[..., ProtoNet]
) -> None:
    own = pictures(preprocess=doubles)
    comparison = compare({"float": protonet(), "double": protonet().double()}, sets, datasets={"double": own})
    assert {one.episodes_hash for one in comparison.rounds[0].results.values()} == {sets[0].hash}
    alone = evaluate(protonet().double(), replace(sets[0], dataset=own))
    np.testing.assert_array_equal(comparison.rounds[0].results["double"].scores, alone.scores)


def test_training_mode_is_given_back(learners: dict[str, Any], sets: list[EpisodeSet]) -> None:
    learners["normed"].train()
    compare(learners, sets[:1])
    assert learners["normed"].training
    assert not learners["protonet"].training


class Together(ProtoNet):
    modes = ("inductive", "transductive")

    def predict_together(self, adapted: Any, query_features: Inputs) -> Tensor:
        return self.predict(adapted, query_features)


def test_all_must_offer_the_mode(sets: list[EpisodeSet]) -> None:
    both = {"one": Together(nn.Flatten()), "two": Together(nn.Flatten())}
    assert compare(both, sets[:1], mode="transductive").rounds[0].first.mode == "transductive"
    with pytest.raises(RecipeError, match=r"alone offers inductive prediction; transductive was asked for"):
        compare({**both, "alone": ProtoNet(nn.Flatten())}, sets[:1], mode="transductive")


def test_what_cannot_be_compared_is_refused(
    learners: dict[str, Any], sets: list[EpisodeSet], data: ArrayDataset, draw: Callable[..., EpisodeSet], pictures: Callable[..., Any]
) -> None:
    real = ProtoNet(nn.Flatten())
    real.family = Regression()
    with pytest.raises(RecipeError, match=r"at least two learners; found protonet\. Name another"):
        compare({"protonet": learners["protonet"]}, sets)
    with pytest.raises(RecipeError, match=r"at least two learners; found none"):
        compare({}, sets)
    with pytest.raises(RecipeError, match=r"protonet learns classification tasks, but real learns regression tasks"):
        compare({"protonet": learners["protonet"], "real": real}, sets)
    with pytest.raises(RecipeError, match=r"at least one set of episodes; found none"):
        compare(learners, [])
    with pytest.raises(RecipeError, match=r"each number of shots may occur once"):
        compare(learners, [sets[0], sets[0]])
    for other in (
        draw(data, EpisodeShape(3, 2, 5), 40),
        draw(data, EpisodeShape(4, 2, 4), 40),
        draw(data, EpisodeShape(3, 2, 4), 39),
        draw(data, EpisodeShape(3, 2, 4), 40, seed=1),
        draw(pictures(), EpisodeShape(3, 2, 4), 40),
        EpisodeSet.draw(data, data.index.subset(data.index.names[:5]), "all/test", EpisodeShape(3, 2, 4), episodes=40),
    ):
        with pytest.raises(RecipeError, match=r"may differ only in their shots"):
            compare(learners, [sets[0], other])
    other_items = ArrayDataset(np.zeros((144, 1, 8, 8), np.uint8), [0] * 144, name="zeros")
    with pytest.raises(DataError, match=r"the episodes are from patterns, the data for nearest is zeros"):
        compare(learners, sets, datasets={"nearest": other_items})
