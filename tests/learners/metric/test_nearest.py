"""The nearest neighbour: by hand, against loops in NumPy, on pixels and on an encoder; it refuses to be trained."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.mlp import MLP
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, FIRST, INDUCTIVE, UNORDERED, check_learner, made_batch
from kshot.learners.metric.nearest import NearestNeighbour


def test_by_hand() -> None:
    learner = NearestNeighbour(nn.Identity()).eval()
    # Class 0: (0, 0), (6, 8); class 1: (3, 4). The query (6, 6) is 72 and 4 from the first, 13 from the second.
    task = learner.adapt(torch.tensor([[[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]]), torch.tensor([[0, 1, 0]]), way=2)
    assert learner.predict(task, torch.tensor([[[6.0, 6.0]]])).tolist() == [[[-4.0, -13.0]]]


def test_equals_the_slow_version() -> None:
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(2, 9, 6, generator=generator, dtype=torch.float64)
    query = torch.randn(2, 7, 6, generator=generator, dtype=torch.float64)
    y = torch.stack([torch.randperm(9, generator=generator) % 4 for _ in range(2)])
    learner = NearestNeighbour(nn.Identity()).eval()
    found = learner.predict(learner.adapt(support, y, way=4), query)
    for b in range(2):
        for q in range(7):
            distances = [sum((float(u) - float(v)) ** 2 for u, v in zip(query[b, q], support[b, i], strict=True)) for i in range(9)]
            best = int(np.argmin(distances))
            assert int(found[b, q].argmax()) == int(y[b, best])
            for k in range(4):
                nearest = min(distances[i] for i in range(9) if int(y[b, i]) == k)
                assert float(found[b, q, k]) == pytest.approx(-nearest, rel=1e-10)


def test_pixels_are_flattened_and_an_encoder_is_used_as_it_is() -> None:
    images = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(NearestNeighbour(nn.Identity()).encode(images), images.reshape(3, 20))
    torch.manual_seed(0)
    encoder = MLP(20, (), 3)
    assert torch.equal(NearestNeighbour(encoder).eval().encode(images), encoder(images))


def test_renumbering_the_classes_permutes_the_logits() -> None:
    batch, learner = made_batch(), NearestNeighbour(nn.Identity()).eval()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    support, query = batch.support_x.flatten(2), batch.query_x.flatten(2)
    new_label = torch.tensor([2, 0, 3, 1, 4])
    plain = learner.predict(learner.adapt(support, batch.support_y, way=5), query)
    renumbered = learner.predict(learner.adapt(support, new_label[batch.support_y], way=5), query)
    assert torch.equal(renumbered[..., new_label], plain)
    assert float(learner.family.score(plain, batch.query_y).mean()) > 0.9  # noisy copies of one image a class


def test_a_class_without_support_items_is_never_the_answer() -> None:
    learner = NearestNeighbour(nn.Identity()).eval()
    task = learner.adapt(torch.tensor([[[0.0], [9.0]]]), torch.tensor([[0, 2]]), way=4)
    logits = learner.predict(task, torch.tensor([[[5.0]]]))
    assert logits.tolist() == [[[-25.0, -math.inf, -16.0, -math.inf]]]


def test_constant_features_answer_with_the_smallest_label() -> None:
    learner = NearestNeighbour(nn.Identity()).eval()
    task = learner.adapt(torch.ones(1, 3, 2), torch.tensor([[2, 1, 0]]), way=3)
    logits = learner.predict(task, torch.ones(1, 1, 2))
    assert logits.tolist() == [[[0.0, 0.0, 0.0]]]
    assert logits.argmax(-1).item() == 0


def test_the_contract_holds_for_pixels_but_for_training() -> None:
    held = check_learner(NearestNeighbour(nn.Identity()))
    assert sorted(held) == sorted({**FIRST, **ALWAYS, **CLASSIFICATION, **INDUCTIVE, **UNORDERED})


def test_it_refuses_to_be_trained() -> None:
    learner = NearestNeighbour(nn.Identity())
    assert learner.training_source != "episodes"
    with pytest.raises(RecipeError, match=r"a nearest neighbour learns nothing in training.*Evaluate it without training"):
        learner.meta_backward(made_batch(), 0.0)


def test_real_valued_targets_are_refused() -> None:
    with pytest.raises(RecipeError, match="NearestNeighbour learns classification tasks; found family 'regression'"):
        NearestNeighbour(nn.Identity(), family=Regression())
