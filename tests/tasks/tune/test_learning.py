"""One step of learning: the loss by hand, parts that add up to the batch, and what must not change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cases.tunable import PLAN, learning_encoder, noisy_texts
from kshot.errors import TrainingError
from kshot.tasks.tune.learning import Learning, learning_mode, loss_of, mean_directions, vectors_of

CPU = torch.device("cpu")


def test_the_loss_by_hand() -> None:
    vectors, directions = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    # cosines (0.6, 0.8) and (0, 1), times 2
    expected = (math.log(math.exp(1.2) + math.exp(1.6)) - 1.2 + math.log(1 + math.exp(2)) - 2) / 2
    assert float(loss_of(vectors, directions, torch.tensor([0, 1]), 2.0)) == pytest.approx(expected)


def test_mean_directions_by_hand() -> None:
    found = mean_directions(np.array([[2, 0], [0, 3], [0, 1]], np.float32), np.array([0, 0, 2]), 3)
    assert found.numpy() == pytest.approx(np.array([[0.5, 0.5], [1 / 3, 2 / 3], [0, 1]]))


def test_a_batch_in_parts_is_the_batch(tmp_path: Path) -> None:
    """Without dropout, which is drawn anew in each part."""
    examples = noisy_texts(3)
    gradients = []
    for most in (10_000, 7):
        tunable = learning_encoder(tmp_path / str(most)).tunable()
        next(module for module in tunable.network.modules() if isinstance(module, nn.Dropout)).p = 0.0
        tunable.most_cost = most  # type: ignore[misc]  # of this one object
        items = [tunable.read(text) for text in examples.things]
        learning = Learning(tunable, PLAN, torch.eye(3, 6), CPU)
        loss = learning.step(items, np.repeat([0, 1, 2], 3), np.array([len(item) for item in items]), 0, 10, 0)
        gradients.append((loss, *(parameter.grad.clone() for parameter in (*learning.trained(), learning.directions))))  # type: ignore[union-attr]  # every one has learned
    for one, other in zip(*gradients, strict=True):
        assert one == pytest.approx(other, abs=1e-6) if isinstance(one, float) else torch.allclose(one, other, atol=1e-6)


def test_a_step_lowers_the_loss_and_is_the_same_each_time(tmp_path: Path) -> None:
    examples, labels = noisy_texts(4), np.repeat([0, 1, 2], 4)
    runs = []
    for name in "ab":
        tunable = learning_encoder(tmp_path / name).tunable()
        items = [tunable.read(text) for text in examples.things]
        costs = np.array([len(item) for item in items])
        learning = Learning(tunable, PLAN, mean_directions(vectors_of(tunable, items, costs, CPU), labels, 3), CPU)
        runs.append([learning.step(items, labels, costs, step, 20, 0) for step in range(20)])
    assert runs[0] == runs[1]
    assert runs[0][-1] < 0.5 * runs[0][0]


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    tunable = learning_encoder(tmp_path).tunable()
    with torch.no_grad():
        next(tunable.network.parameters()).fill_(math.nan)
    learning = Learning(tunable, PLAN, torch.eye(3, 6), CPU)
    with pytest.raises(TrainingError, match="the loss of step 5 is nan"):
        learning.step([tunable.read("apple")], np.array([0]), np.array([1]), 4, 10, 0)


def test_statistics_of_batch_normalisation_stay() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    learning_mode(network)
    network(torch.randn(8, 2))
    assert network[0].running_mean.tolist() == [0, 0]
    assert network[1].training


def test_vectors_are_those_of_the_encoder_in_any_order(tmp_path: Path) -> None:
    encoder = learning_encoder(tmp_path)
    tunable = encoder.tunable()
    texts = ["apple noise1", "bolt", "cloud noise2 noise3 noise4", "noise5"]
    expected = encoder.encode([encoder.read(text) for text in texts])
    assert vectors_of(tunable, [tunable.read(text) for text in texts], np.array([2, 1, 4, 1]), CPU) == pytest.approx(expected, abs=1e-6)
