"""The perceptron by hand."""

import torch
from torch import nn

from kshot.backbones.mlp import MLP


def test_one_hidden_layer_by_hand() -> None:
    network = MLP(2, (2,), 1)
    first, last = network.layers[0], network.layers[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        first.bias.copy_(torch.tensor([0.0, 1.0]))
        last.weight.copy_(torch.tensor([[2.0, 10.0]]))
        last.bias.copy_(torch.tensor([0.5]))
    # (3, 4) → (3, -3) → (3, 0) → 6.5; (-1, -1) → (-1, 2) → (0, 2) → 20.5
    assert network(torch.tensor([[3.0, 4.0], [-1.0, -1.0]])).tolist() == [[6.5], [20.5]]


def test_layers_and_flattening() -> None:
    network = MLP(12, (5, 4), 3)
    assert [tuple(parameter.shape) for parameter in network.parameters()] == [(5, 12), (5,), (4, 5), (4,), (3, 4), (3,)]
    x = torch.rand(2, 3, 4)
    assert network(x).shape == (2, 3)
    assert torch.equal(network(x), network(x.flatten(1)))
    assert [type(layer) for layer in network.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_without_hidden_layers_it_is_linear() -> None:
    assert [type(layer) for layer in MLP(4, (), 2).layers] == [nn.Linear]


def test_without_outputs_it_ends_with_the_last_hidden_layer() -> None:
    network = MLP(4, (5, 3), 0)
    assert [type(layer) for layer in network.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]
    assert network(torch.randn(6, 4)).shape == (6, 3)
