"""Training by labelled items: the head is in the state and in nothing that is saved, and a run goes on from its state bit by bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kshot.backbones.conv4 import Conv4
from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs
from kshot.episodes.item_stream import ItemStream
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import RecipeError, TrainingError
from kshot.learners.learner import Learner
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.transfer.baseline import Baseline
from kshot.learners.transfer.baseline_plus_plus import BaselinePlusPlus
from kshot.learners.transfer.finetune import FineTune
from kshot.learners.transfer.simple_shot import SimpleShot
from kshot.meta_train.loop import Plan, Validation, start, train
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import TrainState
from kshot.meta_train.state_file import restore, save_state
from kshot.saved.folder import load_folder, save


def pictures(classes: int = 6) -> ArrayDataset:
    """Noisy copies of one picture a class."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), 8)
    clean = random.random((classes, 1, 16, 16))
    return ArrayDataset((0.7 * clean[y] + 0.3 * random.random((len(y), 1, 16, 16))).astype(np.float32), y)


DATA = pictures()
LEARNERS = {
    "baseline": lambda network: Baseline(network),
    "baseline++": lambda network: BaselinePlusPlus(network),
    "finetune": lambda network: FineTune(network),
    "simple_shot": lambda network: SimpleShot(network, features=3),
}


def learner_of(name: str) -> Learner:
    torch.manual_seed(1)
    return LEARNERS[name](nn.Sequential(Conv4(width=3), nn.Dropout(0.2)))  # dropout: stock randomness must be repeatable too


def stream_of(data: ArrayDataset = DATA, batch: int = 20, seed: int = 0) -> ItemStream:
    return ItemStream(data, data.index, "all", seed, batch)


def validate(learner: Learner) -> Validation:
    assert not any(module.training for module in learner.modules())
    return Validation(float(sum(value.detach().double().sum() for value in learner.parameters())), 0.1)


PLAN = Plan(8, Optimization("adam", lr=0.01, schedule="cosine"), validate_every=3, seed=5)


def tensors_of(state: TrainState) -> dict[str, torch.Tensor]:
    optimizer = state.optimizer.state_dict()["state"].items()
    return {
        **state.trained.state_dict(),
        **{f"best/{name}": value for name, value in state.best.items()},
        **{f"{number}/{name}": value for number, values in optimizer for name, value in values.items()},
    }


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("name", list(LEARNERS))
def test_a_run_goes_on_from_its_state_to_the_same_bits(name: str, optimizer: Any, tmp_path: Path) -> None:
    plan = Plan(8, Optimization(optimizer, lr=0.01), validate_every=3, seed=5)
    whole = start(learner_of(name), plan, stream_of())
    losses = [step.loss for step in train(whole, stream_of(), plan, validate)]
    half = start(learner_of(name), plan, stream_of())
    for step in train(half, stream_of(), plan, validate):
        if step.update == 5:
            save_state(tmp_path / "state", half, {})
            break
    resumed = start(learner_of(name), plan, stream_of())
    assert restore(tmp_path / "state", resumed, {}) == []
    assert [step.loss for step in train(resumed, stream_of(), plan, validate)] == losses[5:]
    expected, found = tensors_of(whole), tensors_of(resumed)
    assert expected.keys() == found.keys()
    assert any(key.startswith("head.") for key in expected)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_the_head_s_start_is_a_function_of_the_plan_s_seed() -> None:
    def head(seed: int, disturb: bool = False) -> torch.Tensor:
        learner = learner_of("baseline")
        if disturb:
            torch.randn(100)
        return start(learner, Plan(8, seed=seed), stream_of()).trained.state_dict()["head.weight"]

    assert torch.equal(head(0), head(0, disturb=True))
    assert not torch.equal(head(0), head(1))
    assert head(0).shape == (6, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LEARNERS))
def test_what_is_saved_has_no_head(name: str, tmp_path: Path) -> None:
    state = start(learner_of(name), PLAN, stream_of())
    list(train(state, stream_of(), PLAN, validate))
    assert sorted(state.best_or_last()) == sorted(learner_of(name).state_dict())
    assert not any("head" in key for key in state.best_or_last())
    state.learner.load_state_dict(state.best_or_last())
    save(tmp_path / "saved", state.learner)
    fresh = learner_of(name)
    load_folder(tmp_path / "saved", into=fresh)
    assert all(torch.equal(value, state.best[key]) for key, value in fresh.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LEARNERS))
def test_training_learns_the_classes(name: str) -> None:
    plan = Plan(60, Optimization("adam", lr=0.01), seed=5)
    torch.manual_seed(0)
    learner = LEARNERS[name](Conv4(width=3))
    losses = [step.loss for step in train(start(learner, plan, stream_of()), stream_of(), plan)]
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


def test_a_stream_of_the_other_kind_is_refused_before_training_and_both_are_named() -> None:
    episodes = EpisodeStream(DATA, DATA.index, "all", EpisodeShape(3, 1, 1), 0)
    item_learner, episode_learner = learner_of("baseline"), ProtoNet(Conv4(width=3))
    message = r"Baseline has training_source='items', but EpisodeStream gives episodes\. Give it an ItemStream"
    with pytest.raises(RecipeError, match=message):
        start(item_learner, PLAN, episodes)
    with pytest.raises(RecipeError, match=message):
        next(train(start(item_learner, PLAN), episodes, PLAN))
    message = r"ProtoNet has training_source='episodes', but ItemStream gives items\. Give it an EpisodeStream"
    with pytest.raises(RecipeError, match=message):
        start(episode_learner, PLAN, stream_of())
    with pytest.raises(RecipeError, match=message):
        next(train(start(episode_learner, PLAN), stream_of(), PLAN))
    with pytest.raises(RecipeError, match=r"NearestNeighbour has training_source='none'.*Give it none: it is not trained"):
        start(NearestNeighbour(nn.Linear(2, 2)), PLAN, stream_of())


def test_started_without_a_stream_it_says_what_is_missing() -> None:
    with pytest.raises(RecipeError, match=r"no output for them without its head\. kshot\.start\(learner, plan, stream\)"):
        next(train(start(learner_of("baseline"), PLAN), stream_of(), PLAN))


def test_a_loss_that_is_not_a_number_names_the_items_and_changes_nothing() -> None:
    class Torn(ArrayDataset):
        """Item 17 cannot be read, and nobody noticed."""

        def gather(self, items: np.ndarray) -> Inputs:
            x = super().gather(items)
            assert isinstance(x, torch.Tensor)
            x[torch.from_numpy(items == 17)] = torch.nan
            return x

    sound = DATA.gather(np.arange(len(DATA)))
    assert isinstance(sound, torch.Tensor)
    bad = Torn(sound.numpy(), np.repeat(np.arange(6), 8))
    state = start(Baseline(nn.Sequential(nn.Flatten(), nn.Linear(256, 4))), PLAN, stream_of(bad, batch=48))
    before = {name: value.clone() for name, value in state.trained.state_dict().items()}
    with pytest.raises(TrainingError, match=r"the loss is not a number at update 1, item 17\. The last good state is kept"):
        next(train(state, stream_of(bad, batch=48), PLAN))
    assert all(torch.equal(value, before[name]) for name, value in state.trained.state_dict().items())


def test_bfloat16_trains_by_items() -> None:
    plan = Plan(3, Optimization(precision="bfloat16"))
    for name in LEARNERS:
        state = start(learner_of(name), plan, stream_of())
        assert all(np.isfinite(step.loss) for step in train(state, stream_of(), plan))
        assert {value.dtype for value in state.trained.parameters()} == {torch.float32}
