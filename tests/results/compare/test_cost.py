from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, RecipeError
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.compare import cost
from kshot.results.compare.cost import adapted_bytes, measure_costs
from kshot.results.score.episode_set import EpisodeSet

SHAPE = EpisodeShape(3, 2, 4)


@pytest.fixture
def episodes(pictures: Callable[..., ArrayDataset], draw: Callable[..., EpisodeSet]) -> EpisodeSet:
    return draw(pictures(), SHAPE, 6)


class Clock:
    """Time that passes only when somebody says so."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cost, "time", made)
    return made


class Timed(ProtoNet):
    """Takes as many seconds as it is told, and counts how often it was asked."""

    def __init__(self, clock: Clock, adapt: float = 0.0, predict: float = 0.0) -> None:
        super().__init__(nn.Flatten())
        self.clock, self.seconds, self.asked = clock, (adapt, predict), 0

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        self.asked += 1
        assert not self.training
        assert not torch.is_grad_enabled()
        self.clock.now += self.seconds[0]
        return super().adapt(support_features, support_y, way=way)

    def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
        self.clock.now += self.seconds[1]
        return super().predict(adapted, query_features)


def test_times_are_those_of_adapting_and_of_predicting(episodes: EpisodeSet, clock: Clock) -> None:
    learners = {"slow": Timed(clock, 0.25, 0.125), "quick": Timed(clock)}
    costs = measure_costs(learners, dict.fromkeys(learners, episodes))
    assert (costs["slow"].adapt_seconds, costs["slow"].predict_seconds) == (0.25, 0.125)
    assert (costs["quick"].adapt_seconds, costs["quick"].predict_seconds) == (0, 0)
    assert costs["slow"].tasks == costs["quick"].tasks == 6
    assert costs["slow"].queries == 12


def test_a_slow_learner_is_timed_on_fewer_tasks(episodes: EpisodeSet, clock: Clock) -> None:
    learners = {"slower": Timed(clock, 1.5, 0.5), "slow": Timed(clock, 0.25, 0.25), "quick": Timed(clock, 0.25)}
    costs = measure_costs(learners, dict.fromkeys(learners, episodes))
    assert (cost.LEAST_TASKS, cost.SECONDS) == (3, 2)
    assert [costs[name].tasks for name in learners] == [3, 5, 6]


def test_encoding_counts_where_it_is_done(episodes: EpisodeSet, clock: Clock) -> None:
    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            clock.now += 0.125 * len(x)  # of 6 support items and 12 queries
            return x.flatten(1)

    only = measure_costs({"a": ProtoNet(Encoder())}, {"a": episodes})["a"]
    assert (only.adapt_seconds, only.predict_seconds) == (0.75, 1.5)


def test_sizes_are_counted_exactly(episodes: EpisodeSet) -> None:
    learner = ProtoNet(nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16)))
    only = measure_costs({"a": learner}, {"a": episodes})["a"]
    assert only.meta_parameters == 64 * 16 + 16 + 16 + 16
    assert only.learner_bytes == 4 * (only.meta_parameters + 16 + 16) + 8  # running mean and variance, a count of batches
    assert only.task_bytes == 3 * 16 * 4 + 3  # centres, and which are known
    assert only.peak_bytes is None or only.peak_bytes == only.learner_bytes + only.working_bytes  # type: ignore[operator]
    assert learner.training  # as it was


@pytest.mark.slow
def test_memory_at_its_highest_is_found(episodes: EpisodeSet) -> None:
    class Hungry(ProtoNet):
        def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
            torch.ones(32 << 18).sum()  # 32 MiB, and freed at once
            return super().adapt(support_features, support_y, way=way)

    only = measure_costs({"a": Hungry(nn.Flatten())}, {"a": episodes})["a"]
    assert only.working_bytes is None or 31 << 20 < only.working_bytes < 48 << 20


def test_bytes_of_whatever_adapt_returns() -> None:
    assert (
        adapted_bytes((torch.zeros(3), {"a": torch.zeros(2, dtype=torch.float64), "b": [torch.zeros(1, dtype=torch.bool)]}, 7, None)) == 29
    )


def test_transductive_prediction_is_timed_where_asked(episodes: EpisodeSet, clock: Clock) -> None:
    class Together(Timed):
        modes = ("transductive",)

        def predict_together(self, adapted: Any, query_features: Inputs) -> Tensor:
            clock.now += 0.5
            return ProtoNet.predict(self, adapted, query_features)

    only = measure_costs({"a": Together(clock, predict=8.0)}, {"a": episodes}, mode="transductive")["a"]
    assert only.predict_seconds == 0.5


def test_a_learner_that_cannot_answer_is_named_before_anything_is_timed(episodes: EpisodeSet, clock: Clock) -> None:
    class Five(ProtoNet):
        def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
            return torch.zeros(1, 12, 5)

    class Refuses(ProtoNet):
        def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> NoReturn:
            raise DataError("five classes, please.")

    patient = Timed(clock)
    form = r"a 3-way task with 6 support items and 12 queries"
    for learner, kind, message in (
        (Five(nn.Flatten()), RecipeError, rf"odd cannot answer {form}: it gives logits of shape \(1, 12, 5\), not \(1, 12, 3\)"),
        (Refuses(nn.Flatten()), DataError, rf"odd cannot answer {form}: five classes, please\."),
        (ProtoNet(nn.Linear(3, 3)), RecipeError, rf"odd cannot answer {form}: .*shapes cannot be multiplied.*Ask for another way"),
    ):
        with pytest.raises(kind, match=message):
            measure_costs({"patient": patient, "odd": learner}, {"patient": episodes, "odd": episodes})
    assert patient.asked <= 3 * 5  # to warm up and to weigh, each of the three times; never the twenty tasks that are timed
