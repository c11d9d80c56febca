"""The front of a learned optimiser: all that PyTorch's loops, schedulers and checkpoints do, and bad input."""

import copy
import io

import pytest
import torch
from torch import nn

from kshot.errors import RecipeError, TrainingError
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.learned_updates.torch_optimizer import LearnedUpdates


@pytest.fixture(params=["tensor_lstm", "coordinate_lstm"])
def learned(request: pytest.FixtureRequest) -> LearnedOptimizer:
    return LearnedOptimizer(request.param, hidden=4)


def model(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> list[float]:
    losses = []
    for step in range(first, first + steps):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = (network(x) - x[:, :2]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_it_trains_from_the_first_initial_weights() -> None:
    network = model()
    losses = train(network, LearnedOptimizer().optimizer(network.parameters()), 60)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_checkpoint_goes_on_bit_identically(learned: LearnedOptimizer) -> None:
    whole, parts = model(), model()
    train(whole, learned.optimizer(whole.parameters()), 6)
    optimizer = learned.optimizer(parts.parameters())
    train(parts, optimizer, 3)
    file = io.BytesIO()
    torch.save({"model": parts.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    kept = torch.load(file, weights_only=True)
    resumed = model(1)
    resumed.load_state_dict(kept["model"])
    after = learned.optimizer(resumed.parameters())
    after.load_state_dict(kept["optimizer"])
    train(resumed, after, 3, first=3)
    assert same(whole, resumed)


def test_a_checkpoint_of_bfloat16_parameters_keeps_float32_states(learned: LearnedOptimizer) -> None:
    parts = model().bfloat16()
    optimizer = learned.optimizer(parts.parameters())
    for parameter in parts.parameters():
        parameter.grad = torch.rand_like(parameter)
    optimizer.step()
    other = learned.optimizer(parts.parameters())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for parameter in parts.parameters():
        for name, value in optimizer.state[parameter].items():
            kept = other.state[parameter][name]
            assert kept == value if name == "step" else kept.dtype == torch.float32 and torch.equal(kept, value)


def test_lr_multiplies_the_step_and_schedulers_change_it(learned: LearnedOptimizer) -> None:
    moved = []
    for lr in (1.0, 0.5):
        network = model()
        before = [parameter.detach().clone() for parameter in network.parameters()]
        train(network, learned.optimizer(network.parameters(), lr=lr), 1)
        moved.append([parameter.detach() - old for parameter, old in zip(network.parameters(), before, strict=True)])
    for whole, half in zip(*moved, strict=True):
        torch.testing.assert_close(half, whole / 2, rtol=1e-3, atol=1e-6)
    network = model()
    optimizer = learned.optimizer(network.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    train(network, optimizer, 1)
    scheduler.step()
    before = copy.deepcopy(network)
    train(network, optimizer, 2)
    assert same(before, network)


def test_two_groups_keep_their_own_rates(learned: LearnedOptimizer) -> None:
    network = model()
    first, last = network[0], network[2]
    optimizer = learned.optimizer([{"params": first.parameters(), "lr": 1e-30}, {"params": last.parameters()}])
    assert [group["lr"] for group in optimizer.param_groups] == [1e-30, 1.0]
    before = copy.deepcopy(network)
    train(network, optimizer, 2)
    assert same(before[0], first)
    assert not same(before[2], last)


def test_a_closure_is_called_once_with_gradients_and_its_loss_returned(learned: LearnedOptimizer) -> None:
    with_closure, without = model(), model()
    optimizer, calls = learned.optimizer(with_closure.parameters()), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        loss = (with_closure(x) - x[:, :2]).square().mean()
        loss.backward()
        calls.append(loss.item())
        return loss

    loss = optimizer.step(closure)
    assert [loss.item()] == calls == train(without, learned.optimizer(without.parameters()), 1)
    assert same(with_closure, without)


def test_parameters_without_a_gradient_stay(learned: LearnedOptimizer) -> None:
    network = model()
    optimizer = learned.optimizer(network.parameters())
    optimizer.step()  # no gradient at all
    network[2].weight.grad = torch.ones(2, 4)
    before = copy.deepcopy(network)
    optimizer.step()
    assert same(before[0], network[0])
    assert not torch.equal(before[2].weight, network[2].weight)
    assert optimizer.state[network[2].weight]["step"] == 1
    assert not optimizer.state[network[0].weight]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_types_move_as_float32_does(learned: LearnedOptimizer, dtype: torch.dtype) -> None:
    plain, other = torch.nn.Parameter(torch.zeros(4, 6)), torch.nn.Parameter(torch.zeros(4, 6, dtype=dtype))
    plain.grad = torch.randn(4, 6).to(dtype).float()
    other.grad = plain.grad.to(dtype)
    learned.optimizer([plain]).step()
    learned.optimizer([other]).step()
    assert other.dtype == dtype
    torch.testing.assert_close(other.detach(), plain.detach().to(dtype))


def test_a_transposed_parameter_moves_as_a_plain_one_does(learned: LearnedOptimizer) -> None:
    value, gradient = torch.randn(5, 3), torch.randn(5, 3)
    plain, other = torch.nn.Parameter(value.clone()), torch.nn.Parameter(value.T.contiguous().T)
    plain.grad, other.grad = gradient.clone(), gradient.T.contiguous().T
    learned.optimizer([plain]).step()
    learned.optimizer([other]).step()
    torch.testing.assert_close(other.detach(), plain.detach())


BAD = {
    "frozen": (torch.nn.Parameter(torch.zeros(2), requires_grad=False), r"parameter 1 of group 0, of shape \(2,\), is frozen"),
    "whole numbers": (torch.nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False), r"is torch\.int64; .* needs floating"),
    "complex": (torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64)), r"is torch\.complex64; .* needs floating"),
    "sparse": (torch.nn.Parameter(torch.eye(2).to_sparse()), "is sparse"),
    "elsewhere": (torch.nn.Parameter(torch.zeros(2, device="meta")), "is on meta, the first on cpu"),
}


@pytest.mark.parametrize("what", BAD)
def test_parameters_that_cannot_be_trained(what: str) -> None:
    bad, words = BAD[what]
    good = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(RecipeError, match=words):
        LearnedOptimizer().optimizer([good, bad])
    optimizer = LearnedOptimizer().optimizer([good])
    with pytest.raises(RecipeError, match=words.replace("parameter 1 of group 0", "parameter 0 of group 1")):
        optimizer.add_param_group({"params": [bad]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_a_rate_that_makes_no_sense(lr: float) -> None:
    with pytest.raises(RecipeError, match="lr must be a positive number"):
        LearnedOptimizer().optimizer([torch.nn.Parameter(torch.zeros(2))], lr=lr)


@pytest.mark.parametrize("horizon", [0, 2.5])
def test_a_horizon_that_makes_no_sense(horizon: int) -> None:
    with pytest.raises(RecipeError, match="horizon must be"):
        LearnedOptimizer().optimizer([torch.nn.Parameter(torch.zeros(2))], horizon=horizon)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(learned: LearnedOptimizer, bad: float) -> None:
    network = model()
    optimizer = learned.optimizer(network.parameters())
    train(network, optimizer, 2)
    before, state = copy.deepcopy(network), copy.deepcopy(optimizer.state_dict())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    network[2].bias.grad[1] = bad
    with pytest.raises(TrainingError, match=r"gradient of parameter 3 of group 0, of shape \(2,\), is not finite"):
        optimizer.step()
    assert same(before, network)
    after = optimizer.state_dict()
    assert all(
        torch.equal(value, after["state"][number][name]) if name != "step" else value == after["state"][number][name]
        for number, values in state["state"].items()
        for name, value in values.items()
    )


def test_a_sparse_gradient_is_refused(learned: LearnedOptimizer) -> None:
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = learned.optimizer(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RecipeError, match="sparse=False"):
        optimizer.step()


def test_a_rule_that_does_not_exist() -> None:
    with pytest.raises(RecipeError, match=r"no learned rule 'tensor'\. Did you mean 'tensor_lstm'"):
        LearnedOptimizer("tensor")


def test_repr_is_one_line() -> None:
    assert repr(LearnedOptimizer()).startswith("LearnedOptimizer(rule='tensor_lstm', hidden=20")
    assert isinstance(LearnedOptimizer().optimizer([torch.nn.Parameter(torch.zeros(1))]), LearnedUpdates)
