"""A learned optimiser against hand-made ones: AdamW against PyTorch's, the choice of rates, the numbers, the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.errors import RecipeError
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.meta_train.objectives.quadratics import Quadratics
from kshot.meta_train.trajectory import trajectories
from kshot.results.score.hand_made import HAND_MADE, RATES
from kshot.results.score.loss_curves import LEARNED, Curve, LossCurves, measure_curves, trajectories_of
from kshot.results.score.plot_curves import plot_curves

FEW = Quadratics(tested=2)


@pytest.mark.slow  # the first use of PyTorch's optimisers takes seconds
@pytest.mark.parametrize("name", list(HAND_MADE))
def test_a_hand_made_optimiser_is_pytorch_s(name: str) -> None:
    made = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    parameter = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    peer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9) if name == "momentum" else made[name]([parameter], lr=0.1)
    rule = HAND_MADE[name](0.1)
    parameters = {"w": parameter.detach()[None].clone()}
    state = rule.init(parameters)
    for step in range(5):
        parameter.grad = torch.randn(3, 4, dtype=torch.float64)
        parameters, state = rule.update({"w": parameter.grad[None].clone()}, state, parameters, step)
        peer.step()
    torch.testing.assert_close(parameters["w"][0], parameter.detach())


@pytest.fixture(scope="module")
def measured() -> tuple[LossCurves, list[int]]:
    done: list[int] = []
    curves = measure_curves(LearnedOptimizer(hidden=4), {"quadratics": FEW}, steps=20, seeds=range(3), progress=done.append)
    return curves, done


@pytest.mark.slow
def test_the_rate_is_the_best_on_the_training_part(measured: tuple[LossCurves, list[int]]) -> None:
    finals = {
        rate: float(trajectories(HAND_MADE["sgd"](rate), FEW, seed=0, numbers=range(4), part="train", steps=20)[-1].mean())
        for rate in RATES
    }
    curve = measured[0].curves["quadratics"]["sgd"]
    assert curve.rate == min(finals, key=lambda rate: finals[rate])
    by_hand = [
        trajectories(HAND_MADE["sgd"](curve.rate), FEW, seed=seed, numbers=[0, 1], part="test", steps=20).mean(1) for seed in range(3)
    ]
    np.testing.assert_allclose(curve.losses, np.stack(by_hand), rtol=1e-6)


@pytest.mark.slow
def test_the_bar_counts_every_trajectory(measured: tuple[LossCurves, list[int]]) -> None:
    assert sum(measured[1]) == trajectories_of(1, 3)


@pytest.mark.slow
def test_as_dict_is_json_and_the_picture_is_drawn(measured: tuple[LossCurves, list[int]], tmp_path: Path) -> None:
    plain = json.loads(json.dumps(measured[0].as_dict(), allow_nan=False))
    assert (plain["horizon"], plain["steps"], plain["seeds"]) == (100, 20, [0, 1, 2])
    rows = plain["kinds"]["quadratics"]["optimizers"]
    assert list(rows) == [LEARNED, *HAND_MADE]
    assert rows["adam"]["final_loss"] == pytest.approx(rows["adam"]["curve"][-1])
    assert rows[LEARNED]["rate"] is None
    with Image.open(plot_curves(measured[0], tmp_path / "curves.png")) as picture:
        assert picture.size[0] > 300


def curves_of(**finals: float) -> LossCurves:
    rows = {name: Curve(None if name == LEARNED else 0.1, np.array([[2.0, final], [4.0, final]])) for name, final in finals.items()}
    return LossCurves(100, 20, (0, 1), {"quadratics": "quadratics of 10 numbers"}, {"quadratics": 2}, {"quadratics": rows})


def test_the_sentence_names_who_is_better() -> None:
    assert curves_of(learned=1.0, adam=1.5).sentence() == "The learned optimiser reaches the lowest mean final loss on every kind."
    assert curves_of(learned=1.0, sgd=0.9, adam=0.5).sentence().endswith("on 0 of 1 kinds; lower ones: adam on quadratics.")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_said_and_none_in_json(tmp_path: Path) -> None:
    curves = curves_of(learned=1.0, sgd=float("inf"))
    assert "not finite" in curves.table()
    assert json.loads(json.dumps(curves.as_dict(), allow_nan=False))["kinds"]["quadratics"]["optimizers"]["sgd"]["final_loss"] is None
    plot_curves(curves, tmp_path / "curves.png")


def test_steps_that_do_not_divide_are_refused() -> None:
    with pytest.raises(RecipeError, match="multiple of 20, for example 100; found 30"):
        measure_curves(LearnedOptimizer(hidden=4), {"quadratics": FEW}, steps=30)
