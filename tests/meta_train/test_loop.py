"""The outer loop: when it validates, what it keeps, when it stops, and that it can be started again from any state."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.data.arrays import ArrayDataset
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import RecipeError, TrainingError
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.loop import Plan, Step, Validation, start, train
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import TrainState
from kshot.meta_train.state_file import restore, save_state


def made_pictures(side: int = 16) -> ArrayDataset:
    random = np.random.default_rng(0)
    x = random.random((30, 1, side, side), dtype=np.float32)
    return ArrayDataset(x, np.repeat(np.arange(6), 5))


DATA = made_pictures()


def stream(way: Any = 3, tasks: int = 1, seed: int = 0) -> EpisodeStream:
    return EpisodeStream(DATA, DATA.index, "all", EpisodeShape(way=way, shot=1, query=1), seed, tasks=tasks)


def learner() -> Learner:
    torch.manual_seed(1)
    return ProtoNet(nn.Sequential(Conv4(width=3), nn.Dropout(0.2)))  # dropout: stock randomness must be repeatable too


def weights(state: TrainState) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.learner.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Scores:
    """A validation whose scores are written down beforehand."""

    def __init__(self, *scores: float, higher: bool = True) -> None:
        self.scores, self.higher, self.seen = list(scores), higher, 0

    def __call__(self, learner: Learner) -> Validation:
        assert not learner.training
        self.seen += 1
        return Validation(self.scores[self.seen - 1], 0.01, self.higher)


def test_validates_at_the_interval_and_at_the_end() -> None:
    plan, scores = Plan(7, validate_every=3), Scores(0.1, 0.2, 0.3)
    state = start(learner(), plan)
    steps = list(train(state, stream(), plan, scores))
    assert [step.update for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [step.update for step in steps if step.validation is not None] == [3, 6, 7]
    assert [entry["update"] for entry in state.history] == [3, 6, 7]
    for entry, (first, last) in zip(state.history, [(0, 3), (3, 6), (6, 7)], strict=True):
        assert entry["loss"] == pytest.approx(sum(step.loss for step in steps[first:last]) / (last - first))
    assert not state.learner.training


def test_the_last_update_is_not_validated_twice() -> None:
    plan, scores = Plan(4, validate_every=2), Scores(0.1, 0.2)
    list(train(start(learner(), plan), stream(), plan, scores))
    assert scores.seen == 2


@pytest.mark.parametrize(
    ("higher", "scores", "best"), [(True, (0.3, 0.5, 0.4), 2), (False, (0.3, 0.5, 0.2), 3), (True, (0.3, 0.3, 0.1), 1)]
)
def test_the_best_state_is_kept_and_does_not_move(higher: bool, scores: tuple[float, ...], best: int) -> None:
    plan = Plan(3, validate_every=1)
    state = start(learner(), plan)
    seen = []
    steps = []
    for step in train(state, stream(), plan, Scores(*scores, higher=higher)):
        seen.append(weights(state))
        steps.append(step)
    assert [step.best for step in steps].count(True) >= 1
    assert max(step.update for step in steps if step.best) == best
    assert state.best_update == best
    assert state.best_score == scores[best - 1]
    assert same(state.best, seen[best - 1])
    assert same(state.best_or_last(), seen[best - 1])
    assert not same(seen[0], seen[2])


def test_a_score_that_is_not_a_number_is_never_the_best() -> None:
    plan = Plan(3, validate_every=1)
    state = start(learner(), plan)
    list(train(state, stream(), plan, Scores(math.nan, 0.2, 0.1)))
    assert (state.best_score, state.best_update) == (0.2, 2)


def test_patience_stops_after_so_many_without_a_better_one() -> None:
    plan, scores = Plan(20, validate_every=2, patience=2), Scores(0.1, 0.3, 0.2, 0.3, 0.9)
    state = start(learner(), plan)
    assert [step.update for step in train(state, stream(), plan, scores)] == list(range(1, 9))  # better at 4; not at 6, not at 8
    assert state.stopped
    assert state.best_update == 4
    assert list(train(state, stream(), plan, scores)) == []


def test_a_better_score_gives_patience_back() -> None:
    plan, scores = Plan(5, validate_every=1, patience=2), Scores(0.1, 0.0, 0.2, 0.1, 0.3)
    state = start(learner(), plan)
    assert len(list(train(state, stream(), plan, scores))) == 5
    assert not state.stopped


def test_without_validation_the_last_state_is_the_best() -> None:
    plan = Plan(4, validate_every=1, patience=1)
    state = start(learner(), plan)
    steps = list(train(state, stream(), plan))
    assert all(step.validation is None and not step.best for step in steps)
    assert state.history == []
    assert same(state.best_or_last(), weights(state))


def test_a_finished_run_does_nothing_more() -> None:
    plan = Plan(2)
    state = start(learner(), plan)
    list(train(state, stream(), plan))
    before = weights(state)
    assert list(train(state, stream(), plan)) == []
    assert same(before, weights(state))


def score_of(learner: Learner) -> Validation:
    value = float(next(learner.parameters()).detach().sum())
    return Validation(value, 0.0)


def plain(step: Step) -> tuple[Any, ...]:
    return step.update, step.loss, step.gradient_norm, step.lr, step.validation, step.best


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_restart_from_any_state_ends_at_the_same_bits(tmp_path: Path, optimizer: Any) -> None:
    optimization = Optimization(optimizer, lr=0.01, weight_decay=0.01, schedule="cosine", warmup=2, clip_norm=1.0)
    plan = Plan(7, optimization, validate_every=3, seed=5)
    ways = (2, 4)  # several rectangles an update
    whole = start(learner(), plan)
    steps = []
    save_state(tmp_path / "0", whole, {})
    for step in train(whole, stream(ways, 3), plan, score_of):
        steps.append(plain(step))
        save_state(tmp_path / str(step.update), whole, {})
        torch.rand(3)  # what others draw between two updates does not matter
    for stop in range(8):
        again = start(learner(), plan)
        restore(tmp_path / str(stop), again, {})
        assert [plain(step) for step in train(again, stream(ways, 3), plan, score_of)] == steps[stop:]
        assert same(weights(whole), weights(again)), stop
        assert same(whole.best, again.best), stop
        assert again.history == whole.history
        save_state(tmp_path / "end", again, {})
        assert (tmp_path / "end").read_bytes() == (tmp_path / "7").read_bytes(), stop


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    def run(seed: int) -> tuple[list[Any], dict[str, Tensor]]:
        plan = Plan(3, seed=seed)
        state = start(learner(), plan)
        return [plain(step) for step in train(state, stream(seed=seed), plan)], weights(state)

    first, second, other = run(0), run(0), run(1)
    assert first[0] == second[0]
    assert same(first[1], second[1])
    assert first[0] != other[0]
    plan = Plan(3, seed=9)  # the same episodes, other dropout
    state = start(learner(), plan)
    assert [plain(step) for step in train(state, stream(seed=0), plan)] != first[0]


class Squared(nn.Module):
    """What is 1e38 becomes infinite here."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x


class Root(nn.Module):
    """What is 0 stays 0 here, with a gradient that is no number."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).abs().sqrt()


@pytest.mark.parametrize(
    ("first", "poison", "message"),
    [
        (Squared(), 1e38, r"the loss is not a number at update 3, episode 2\. "),
        (Root(), 0.0, r"the gradient is not a number at update 3, episodes 2 to 2, although the loss is\. "),
    ],
    ids=["loss", "gradient"],
)
def test_what_is_not_a_number_leaves_the_state_of_the_update_before(first: nn.Module, poison: float, message: str) -> None:
    plan = Plan(5)
    torch.manual_seed(1)
    state = start(ProtoNet(nn.Sequential(first, Conv4(width=3))), plan)
    steps = train(state, stream(), plan)
    next(steps)
    next(steps)
    poisoned = EpisodeStream(
        ArrayDataset(np.full((30, 1, 16, 16), poison, np.float32), np.repeat(np.arange(6), 5)), DATA.index, "all", stream().shape, 0
    )
    before = weights(state)
    with pytest.raises(TrainingError, match=message):
        next(train(state, poisoned, plan))
    assert state.update == 2
    assert same(before, weights(state))
    assert next(train(state, stream(), plan)).update == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": 0}, "updates must be 1 or more; found 0"),
        ({"updates": math.nan}, "updates must be a whole number, 1 or more; found nan"),
        ({"updates": 2.5}, "updates must be a whole number, 1 or more; found 2.5"),
        ({"updates": "3"}, "updates must be a whole number, 1 or more; found '3'"),
        ({"updates": True}, "updates must be a whole number, 1 or more; found True"),
        ({"updates": 1, "validate_every": 0}, "validate_every must be 1 or more; found 0"),
        ({"updates": 1, "validate_every": 0.5}, "validate_every must be a whole number"),
        ({"updates": 1, "patience": -1}, "patience must be 0 or more; found -1"),
        ({"updates": 1, "patience": math.inf}, "patience must be a whole number, 0 or more; found inf"),
        ({"updates": 1, "seed": 1.5}, "seed must be a whole number, 0 or more; found 1.5"),
        ({"updates": 1, "seed": -1}, "seed must be 0 or more; found -1"),
        ({"updates": 1, "optimization": "adam"}, "optimization must be an Optimization; found 'adam'"),
    ],
)
def test_bad_plans_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Plan(**settings)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (Optimization("adam"), Optimization("sgd"), r"asks for the optimiser SGD\(weight_decay=0.0, momentum=0.9\), .* state has Adam\(\)"),
        (Optimization("adam"), Optimization("adamw"), r"asks for the optimiser AdamW\(weight_decay=0.0\), and the state has Adam\(\)"),
        (
            Optimization("sgd", momentum=0.5),
            Optimization("sgd"),
            r"momentum=0.9\), and the state has SGD\(weight_decay=0.0, momentum=0.5\)",
        ),
        (Optimization(weight_decay=0.1), Optimization(), r"Adam\(weight_decay=0.0\), and the state has Adam\(weight_decay=0.1\)"),
    ],
)
def test_a_plan_with_another_optimiser_than_the_state_is_refused(before: Optimization, after: Optimization, message: str) -> None:
    state = start(learner(), Plan(2, before))
    unchanged = weights(state)
    with pytest.raises(RecipeError, match=message + r"\. Train with the optimiser of the state, or start anew: kshot\.start\("):
        next(train(state, stream(), Plan(2, after)))
    assert state.update == 0
    assert same(unchanged, weights(state))


def test_a_plan_may_have_another_rate_schedule_and_length_than_the_state_began_with() -> None:
    state = start(learner(), Plan(1, Optimization(lr=0.1)))
    steps = list(train(state, stream(), Plan(3, Optimization(lr=0.2, schedule="linear", clip_norm=1.0))))
    assert [step.lr for step in steps] == pytest.approx([0.2, 0.4 / 3, 0.2 / 3])


def _other_body(state: TrainState) -> None:
    state.learner.backbone = Conv4(width=3)  # type: ignore[assignment]  # every learner here has a backbone


def _other_learner(state: TrainState) -> None:
    state.learner = learner()


def _other_optimizer(state: TrainState) -> None:
    state.optimizer = torch.optim.Adam(learner().parameters())


@pytest.mark.parametrize("change", [_other_body, _other_learner, _other_optimizer])
def test_a_state_whose_optimiser_moves_other_parameters_is_refused(change: Callable[[TrainState], None]) -> None:
    state = start(learner(), Plan(1))
    change(state)
    with pytest.raises(RecipeError, match=r"the optimiser of the state does not hold \d+ of the \d+ parameters .* kshot\.start\("):
        next(train(state, stream(), Plan(1)))
