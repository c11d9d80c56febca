"""The coordinate-wise LSTM: its inputs by hand, torch's own LSTM as the slow version, and the update in place."""

import math

import torch

from kshot.learners.learned_updates.coordinate_lstm import CoordinateLSTM, preprocessed
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.learned_updates.lstm import new_stack, run_stack


def test_the_inputs_of_appendix_a_by_hand() -> None:
    """p = 10: a gradient of 1 is (0, 1), of -e^-5 (-0.5, -1), of e^-20 (-1, e^-10)."""
    found = preprocessed(torch.tensor([1.0, -math.exp(-5), math.exp(-20), 0.0]))
    expected = torch.tensor([[0.0, 1.0], [-0.5, -1.0], [-1.0, math.exp(-10)], [-1.0, 0.0]])
    torch.testing.assert_close(found, expected)


def test_the_stack_is_torch_s_lstm() -> None:
    """Their order of gates is i, f, g, o; ours i, f, o, g."""
    weights = new_stack(3, 5, 2, torch.Generator().manual_seed(0))
    peer = torch.nn.LSTM(3, 5, 2)
    order = torch.tensor([0, 1, 3, 2])
    with torch.no_grad():
        for layer in range(2):
            for ours, theirs in (("x", "weight_ih_l"), ("h", "weight_hh_l"), ("b", "bias_ih_l")):
                value = weights[f"{ours}{layer}"]
                getattr(peer, f"{theirs}{layer}").copy_(value.view(4, 5, *value.shape[1:])[order].reshape(value.shape))
            getattr(peer, f"bias_hh_l{layer}").zero_()
    x = torch.randn(6, 4, 3)
    state, outputs = torch.zeros(4, 2, 2, 5), []
    for each in x:
        h, state = run_stack(weights, each, state)
        outputs.append(h)
    expected, (_, cells) = peer(x)
    torch.testing.assert_close(torch.stack(outputs), expected)
    torch.testing.assert_close(state[:, :, 1], cells.transpose(0, 1))


def test_every_coordinate_is_on_its_own() -> None:
    """The step of a coordinate depends on its own gradients alone, not on its tensor or its place."""
    rule = CoordinateLSTM.new(torch.Generator().manual_seed(0), hidden=4)
    gradients = torch.randn(3, 2, 3, 4)
    start = {"w": torch.zeros(2, 3, 4)}
    parameters, state = start, rule.init(start)
    alone, alone_state = {"v": torch.zeros(1, 1)}, rule.init({"v": torch.zeros(1, 1)})
    for step, gradient in enumerate(gradients):
        parameters, state = rule.update({"w": gradient}, state, parameters, step)
        alone, alone_state = rule.update({"v": gradient[1:2, 2, 3:]}, alone_state, alone, step)
    torch.testing.assert_close(parameters["w"][1, 2, 3], alone["v"][0, 0])


def test_the_update_in_place_equals_the_rule() -> None:
    optimizer = LearnedOptimizer("coordinate_lstm", hidden=3, layers=1)
    model = torch.nn.Parameter(torch.randn(90, 60))  # more than one piece
    parameters = {"w": model.detach()[None].clone()}
    in_place, state = optimizer.optimizer([model], lr=1.0), optimizer.rule.init(parameters)
    for step in range(3):
        model.grad = torch.randn(90, 60)
        gradients = {"w": model.grad[None].clone()}
        in_place.step()
        with torch.no_grad():
            parameters, state = optimizer.rule.update(gradients, state, parameters, step)
    torch.testing.assert_close(model.detach(), parameters["w"][0])
