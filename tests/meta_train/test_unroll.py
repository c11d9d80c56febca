"""The two estimates of the meta-gradient against slow versions, the windows of a stream, and trajectories."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.meta_train.objectives.networks import Networks
from kshot.meta_train.objectives.quadratics import Quadratics
from kshot.meta_train.trajectory import progress_of, trajectories
from kshot.meta_train.unroll import FLOOR, LATE, Unrolling, WindowStream, gradients_at, minimise

HORIZON, TRUNCATION, TASKS = 6, 3, 2
MEAN_WEIGHT = sum(1 + LATE * (step + 1) / HORIZON for step in range(HORIZON)) / 2
"""Of the steps of one of the two windows, in the mean."""


@pytest.fixture
def float64() -> Iterator[None]:
    """Everything that is made from here on is in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def stream(seed: int = 0) -> WindowStream:
    return WindowStream({"quadratics": (Quadratics(), TASKS)}, seed=seed, horizon=HORIZON, truncation=TRUNCATION)


def learned(longer: float = 0.0) -> LearnedOptimizer:
    """A small rule; its steps are e^longer times as long as its initial weights have them."""
    optimizer = LearnedOptimizer(hidden=3, layers=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in optimizer.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
        optimizer.learnt["bias"][0] += longer
    return optimizer


def value_of(losses: Tensor, first: Tensor) -> Tensor:
    """What one step adds to L, before its weight."""
    return (losses + FLOOR * first).log() + torch.maximum(losses / first - 1, torch.zeros_like(losses))


def gradient_of(optimizer: LearnedOptimizer) -> Tensor:
    return torch.cat([value.grad.flatten() for value in optimizer.parameters() if value.grad is not None])


def values_by_hand(rule: object, updates: int, *, graph_of_last: bool) -> list[Tensor]:
    """L of every function in every window so far, by the definition; the losses of the last window may carry a graph."""
    objective = stream().batches(0)[0].objective
    parameters = objective.start
    state = rule.init(parameters)  # type: ignore[attr-defined]
    first = objective.full_loss(parameters)
    values = []
    for window in range(updates):
        steps = range(window * TRUNCATION, (window + 1) * TRUNCATION)
        weights = torch.tensor([1 + LATE * (step + 1) / HORIZON for step in steps])
        total = torch.zeros(TASKS)
        for weight, step in zip(weights / MEAN_WEIGHT, steps, strict=True):
            gradients = gradients_at(objective, parameters, step)[1]
            parameters, state = rule.update(gradients, state, parameters, step)  # type: ignore[attr-defined]
            total = total + weight * value_of(objective.full_loss(parameters), first)
        values.append(total)
        if not (graph_of_last and window == updates - 1):
            parameters = {name: value.detach() for name, value in parameters.items()}
            state = {name: value.detach() for name, value in state.items()}
    return values


@pytest.mark.parametrize(("updates", "longer"), [(1, 0.0), (2, 0.0), (1, 3.0), (2, 3.0)])
def test_the_truncated_gradient_is_that_of_the_losses_of_its_window(updates: int, longer: float) -> None:
    """The slow version lets autograd go through the losses themselves; earlier windows are constants."""
    optimizer, windows = learned(longer), stream()
    trained = Unrolling(optimizer, windows)
    for update in range(updates):
        optimizer.zero_grad()
        losses = trained.meta_backward(windows.batches(update)[0], 0.0)
    found = gradient_of(optimizer)
    optimizer.zero_grad()
    values = values_by_hand(optimizer.rule, updates, graph_of_last=True)[-1]
    begun = windows.batches(0)[0].objective.full_loss(windows.batches(0)[0].objective.start)
    assert bool((values.detach() > 1.5 * begun.log()).any()) == (longer > 0)  # whether losses lie above their start
    values.mean().backward()
    torch.testing.assert_close(found, gradient_of(optimizer), rtol=1e-4, atol=1e-6)
    first = ((1 + FLOOR) * windows.batches(0)[0].objective.full_loss(windows.batches(0)[0].objective.start)).log()
    last = range((updates - 1) * TRUNCATION, updates * TRUNCATION)
    torch.testing.assert_close(losses, values.detach() - sum(1 + LATE * (step + 1) / HORIZON for step in last) / MEAN_WEIGHT * first)


@pytest.mark.parametrize("longer", [0.0, 3.0])
def test_the_gradient_of_second_order_is_that_of_finite_differences(longer: float, float64: None) -> None:
    """In the first and in a later window, of every eleventh weight; the first order differs."""
    optimizer, windows = learned(longer), stream()
    trained = Unrolling(optimizer, windows, second_order=True)
    flat = torch.cat([value.detach().flatten() for value in optimizer.parameters()])
    sizes = [value.numel() for value in optimizer.parameters()]
    lane = dict(trained.lanes["quadratics"].named_buffers())
    for update in range(2):
        window = windows.batches(update)[0]
        reached = {name: value[0].clone() for name, value in lane.items() if "/" in name}

        def loss_at(weights: Tensor) -> float:
            parts = zip(optimizer.learnt.items(), torch.split(weights, sizes), strict=True)
            rule = optimizer.rule.with_learnt({name: part.view_as(value) for (name, value), part in parts})
            with torch.no_grad():
                return float(minimise(rule, window, reached, lane["loss"][0], TRUNCATION, HORIZON)[0].mean())  # noqa: B023

        places = torch.arange(0, len(flat), 11)
        expected = torch.empty(len(places))
        for number, place in enumerate(places):
            step = torch.zeros_like(flat)
            step[place] = 1e-6
            expected[number] = (loss_at(flat + step) - loss_at(flat - step)) / 2e-6
        optimizer.zero_grad()
        trained.meta_backward(window, 0.0)
        torch.testing.assert_close(gradient_of(optimizer)[places], expected, rtol=1e-5, atol=1e-7)
    first_order = Unrolling(optimizer, windows)
    optimizer.zero_grad()
    first_order.meta_backward(windows.batches(0)[0], 0.0)
    paper = gradient_of(optimizer)
    optimizer.zero_grad()
    Unrolling(optimizer, windows, second_order=True).meta_backward(windows.batches(0)[0], 0.0)
    assert float((paper - gradient_of(optimizer)).abs().max()) > 1e-3


def test_the_persistent_gradient_is_the_formula_of_its_paper() -> None:
    """Two windows, one pair: the noises of both are drawn again, and the particles minimise on their own."""
    sigma, windows, optimizer = 0.05, stream(), learned()
    trained = Unrolling(optimizer, windows, estimator="persistent", pairs=1, sigma=sigma)
    flat = torch.cat([value.detach().flatten() for value in optimizer.parameters()])
    objective = windows.batches(0)[0].objective
    paths = []
    for _ in range(2):
        paths.append((objective.start, optimizer.rule.init(objective.start)))
    drift, first = torch.zeros_like(flat), objective.full_loss(objective.start)
    for update in range(2):
        window = windows.batches(update)[0]
        noise = sigma * torch.randn(len(flat), generator=torch.Generator().manual_seed(window.key >> 1))
        drift += noise
        outcomes = []
        for side, sign in enumerate((1, -1)):
            learnt, place = {}, 0
            for name, value in optimizer.learnt.items():
                learnt[name] = (flat + sign * noise)[place : place + value.numel()].view_as(value)
                place += value.numel()
            rule, (parameters, state), total = optimizer.rule.with_learnt(learnt), paths[side], torch.zeros(TASKS)
            steps = range(window.first, window.first + TRUNCATION)
            weights = torch.tensor([1 + LATE * (step + 1) / HORIZON for step in steps])
            for weight, step in zip(weights / MEAN_WEIGHT, steps, strict=True):
                with torch.no_grad():
                    parameters, state = rule.update(gradients_at(objective, parameters, step)[1], state, parameters, step)
                total += weight * value_of(objective.full_loss(parameters), first)
            paths[side] = (parameters, state)
            outcomes.append(total.mean())
        expected = drift * (outcomes[0] - outcomes[1]) / (2 * sigma**2)
        optimizer.zero_grad()
        trained.meta_backward(window, 0.0)
        torch.testing.assert_close(gradient_of(optimizer), expected, rtol=1e-3, atol=1e-4)


def test_new_functions_begin_at_their_start() -> None:
    windows, optimizer = stream(), learned()
    trained, fresh = Unrolling(optimizer, windows), Unrolling(optimizer, windows)
    for update in range(2):
        trained.meta_backward(windows.batches(update)[0], 0.0)
    second = windows.batches(2)[0]
    assert second.first == 0
    assert second.numbers.tolist() == [2, 3]
    torch.testing.assert_close(trained.meta_backward(second, 0.0), fresh.meta_backward(second, 0.0), rtol=0, atol=0)


def test_a_window_is_a_function_of_the_number_of_the_update() -> None:
    lanes = {"a": (Quadratics(), 2), "b": (Quadratics(), 3)}
    forwards, backwards = (WindowStream(lanes, seed=1, horizon=HORIZON, truncation=TRUNCATION) for _ in range(2))
    there = [forwards.batches(update) for update in range(5)]
    back = [backwards.batches(update) for update in reversed(range(5))][::-1]
    for one, other in zip(there, back, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a.lane, a.first, a.key, a.numbers.tolist()) == (b.lane, b.first, b.key, b.numbers.tolist())
            assert torch.equal(a.objective.start["theta"], b.objective.start["theta"])
    assert [[window.first for window in each] for each in there] == [[0, 3], [3, 0], [0, 3], [3, 0], [0, 3]]
    assert len({window.key for each in there for window in each}) == 10
    assert forwards.size == 5


def test_a_horizon_of_parts_of_windows_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"multiple of optimizer\.truncation; found 7 and 3"):
        WindowStream({"quadratics": (Quadratics(), 1)}, seed=0, horizon=7, truncation=3)


def test_a_trajectory_of_gradient_descent_by_hand() -> None:
    """θ ← θ - 2αWᵀ(Wθ - y), in NumPy."""
    curves = trajectories(Descent(0.01), Quadratics(), seed=0, numbers=[4], part="test", steps=4, every=2)
    drawn = Quadratics().draw(0, [4], "test")
    w, y, theta = (value[0].double().numpy() for value in (drawn.w, drawn.y, drawn.start["theta"]))
    expected = []
    for step in range(5):
        if step % 2 == 0:
            expected.append(((w @ theta - y) ** 2).sum())
        theta = theta - 0.01 * 2 * w.T @ (w @ theta - y)
    np.testing.assert_allclose(curves[:, 0].numpy(), expected, rtol=1e-4)


def test_a_diverging_trajectory_is_infinite_from_there_on() -> None:
    curves = trajectories(Descent(1e6), Quadratics(), seed=0, numbers=[0, 1], part="test", steps=40)
    lost = torch.isinf(curves[:, 0]).int()
    assert lost[-1] == 1
    assert bool((lost.diff() >= 0).all())
    assert bool(torch.isfinite(progress_of(curves)).all())


def test_progress_by_hand() -> None:
    """Two steps, weights 2.5 and 4 of 6.5; a loss that stands still is 0."""
    curves = torch.tensor([[4.0, 2.0], [4.0, 1.0], [4.0, 0.5]])
    expected = (2.5 * np.log(0.6 / 1.1) + 4 * np.log(0.35 / 1.1)) / 6.5
    np.testing.assert_allclose(progress_of(curves).numpy(), [0.0, expected], rtol=1e-5, atol=1e-7)


def test_a_loss_above_its_start_counts_for_more_than_its_logarithm() -> None:
    """Twice and a half of the first loss; weights 2.5 and 4 of 6.5."""
    curves = torch.tensor([[4.0], [8.0], [2.0]])
    expected = (2.5 * (np.log(2.1 / 1.1) + 1) + 4 * np.log(0.6 / 1.1)) / 6.5
    np.testing.assert_allclose(progress_of(curves).numpy(), [expected], rtol=1e-5)


@pytest.mark.slow
def test_training_makes_it_better() -> None:
    """30 updates on networks: what it reaches on others is better than before by a good part."""
    kind = Networks("omniglot", "mlp")
    windows = WindowStream({"mlp": (kind, 1)}, seed=0, horizon=20, truncation=10)
    optimizer = LearnedOptimizer(hidden=8, horizon=20)

    def reached() -> float:
        return float(progress_of(trajectories(optimizer.rule, kind, seed=0, numbers=range(3), part="val", steps=20)).mean())

    before, trained = reached(), Unrolling(optimizer, windows)
    outer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for update in range(30):
        outer.zero_grad()
        trained.meta_backward(windows.batches(update)[0], update / 30)
        outer.step()
    assert reached() < before - 0.1
