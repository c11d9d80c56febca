"""Full context embeddings: by hand, against loops in NumPy with their own LSTM, gradients, and what the order may change."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import logits_of, query_loss, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.metric.matching import MatchingNet
from kshot.learners.metric.matching_fce import MatchingNetFCE, embed_queries, embed_support

batch_of = partial(unbalanced_batch, shape=(4,), N=3, S=7, Q=4)


def learner_of(D: int = 4, steps: int = 3) -> MatchingNetFCE:
    torch.manual_seed(0)
    return MatchingNetFCE(nn.Identity(), features=D, processing_steps=steps).double().eval()


# By hand.


def test_with_all_weights_zero_it_is_a_matching_network() -> None:
    # Gates are sigmoid(0) = 1/2 and the candidate is tanh(0) = 0, so cells and outputs stay 0: g(x_i, S) = g'(x_i), h_K = f'(x̂).
    batch, learner = batch_of(), learner_of()
    for parameter in learner.parameters():
        nn.init.zeros_(parameter)
    plain = MatchingNet(nn.Identity()).eval()
    expected = plain.predict(plain.adapt(batch.support_x, batch.support_y, way=3), batch.query_x)
    torch.testing.assert_close(logits_of(learner, batch), expected)


def test_one_feature_by_hand() -> None:
    # D = 1, weights 0 but for a bias b of the candidate: each cell adds tanh(b)/2 to half of the last one.
    learner = learner_of(D=1, steps=2)
    for parameter in learner.parameters():
        nn.init.zeros_(parameter)
    b = 0.8
    with torch.no_grad():
        learner.support_lstm.bias_ih_l0[2] = b  # order of the gates in PyTorch: input, forget, candidate, output
        learner.query_lstm.bias_ih[2] = b
    cell = [math.tanh(b) / 2, 0.75 * math.tanh(b)]  # c_1, c_2 = c_1 / 2 + tanh(b) / 2
    out = [math.tanh(value) / 2 for value in cell]
    support = torch.tensor([[[10.0], [20.0]]], dtype=torch.float64)
    g = embed_support(learner.support_lstm, support)  # only the forward direction has the bias
    assert g.flatten().tolist() == pytest.approx([10 + out[0], 20 + out[1]])
    h = embed_queries(learner.query_lstm, torch.tensor([[[3.0]]], dtype=torch.float64), g, 2)
    assert h.item() == pytest.approx(3 + out[1])


# An independent version: loops in NumPy, straight from the appendix.


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_cell(weights: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gates = weights["ih"] @ x + weights["hh"] @ h + weights["bias"]
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def weights_of(module: nn.Module, suffix: str) -> dict[str, np.ndarray]:
    named = {name: value.detach().numpy() for name, value in module.named_parameters()}
    return {
        "ih": named[f"weight_ih{suffix}"],
        "hh": named[f"weight_hh{suffix}"],
        "bias": named[f"bias_ih{suffix}"] + named[f"bias_hh{suffix}"],
    }


def slow_logits(learner: MatchingNetFCE, batch: EpisodeBatch, steps: int) -> np.ndarray:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()
    S, D = support.shape[1:]
    ahead, back = weights_of(learner.support_lstm, "_l0"), weights_of(learner.support_lstm, "_l0_reverse")
    # LSTM(x, [h, r], c): one matrix for x and one for [h, r], which is how the paper writes it.
    cell = weights_of(learner.query_lstm, "")
    attention_cell = {"ih": cell["ih"][:, :D], "hh": np.concatenate([cell["hh"], cell["ih"][:, D:]], 1), "bias": cell["bias"]}
    answer = np.zeros((len(batch), query.shape[1], batch.way))
    for b in range(len(batch)):
        g = support[b].copy()
        h, c = np.zeros(D), np.zeros(D)
        for i in range(S):
            h, c = slow_cell(ahead, support[b, i], h, c)
            g[i] += h
        h, c = np.zeros(D), np.zeros(D)
        for i in reversed(range(S)):
            h, c = slow_cell(back, support[b, i], h, c)
            g[i] += h
        for q in range(query.shape[1]):
            h, c = np.zeros(D), np.zeros(D)
            for _ in range(steps):
                a = np.exp([float(h @ g[i]) for i in range(S)])
                r = sum(a[i] / a.sum() * g[i] for i in range(S))  # (5), (6)
                state, c = slow_cell(attention_cell, query[b, q], np.concatenate([h, r]), c)  # (3)
                h = state + query[b, q]  # (4)
            cosines = [float(h @ g[i]) / math.sqrt(float(h @ h) * float(g[i] @ g[i])) for i in range(S)]
            for i in range(S):
                answer[b, q, y[b, i]] += math.exp(cosines[i]) / sum(map(math.exp, cosines))
    return np.log(answer)


@pytest.mark.parametrize("steps", [1, 3])
def test_equals_the_slow_version(steps: int) -> None:
    batch, learner = batch_of(), learner_of(steps=steps)
    expected = slow_logits(learner, batch, steps)
    np.testing.assert_allclose(logits_of(learner, batch).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


# Gradients.


def test_gradients_of_the_kernels_by_finite_differences() -> None:
    batch, learner = batch_of(B=1, S=3, Q=2), learner_of(steps=2).train()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)

    def in_context(support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        g = embed_support(learner.support_lstm, support)
        return g, embed_queries(learner.query_lstm, query, g, 2)

    assert torch.autograd.gradcheck(in_context, (batch.support_x.requires_grad_(), batch.query_x.requires_grad_()))


@pytest.mark.slow
def test_every_parameter_has_its_gradient() -> None:
    torch.manual_seed(0)
    batch = batch_of()
    learner = MatchingNetFCE(MLP(4, (5,), 3), features=3, processing_steps=2).double().train()

    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(query_loss(learner, batch), rel=1e-12)
    assert_gradient_of(partial(query_loss, learner, batch), learner, per_parameter=8, step=1e-5, abs=1e-7)


# What matters and what does not.


def test_renumbering_the_classes_permutes_the_logits() -> None:
    batch, learner = batch_of(), learner_of()
    new_label = torch.tensor([2, 0, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=3), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_the_order_of_support_items_matters() -> None:
    batch, learner = batch_of(), learner_of()
    assert isinstance(batch.support_x, Tensor)
    turned = learner.predict(learner.adapt(batch.support_x.flip(1), batch.support_y.flip(1), way=3), batch.query_x)
    assert float((turned - logits_of(learner, batch)).detach().abs().max()) > 1e-3


def test_a_class_without_support_items_has_probability_zero() -> None:
    batch, learner = batch_of(), learner_of()
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y, way=4), batch.query_x)
    assert bool((logits[..., 3] == -math.inf).all())
    torch.testing.assert_close(logits[..., :3], logits_of(learner, batch))


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    torch.manual_seed(0)
    batch = batch_of(dtype=torch.float32)
    learner = MatchingNetFCE(MLP(4, (16,), 8), features=8)
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.02)
    assert all(parameter.grad is not None for parameter in learner.parameters())


# Construction.


@pytest.mark.parametrize("argument", ["features", "processing_steps"])
def test_a_count_below_one_is_refused(argument: str) -> None:
    with pytest.raises(RecipeError, match=f"{argument} must be at least 1; found 0"):
        MatchingNetFCE(nn.Identity(), **{argument: 0})


def test_a_backbone_of_another_size_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"built with features=64; its backbone gives \(3,\) per item\. Set features to the number"):
        MatchingNetFCE(MLP(4, (), 3)).encode(torch.zeros(2, 4))


def test_real_valued_targets_are_refused() -> None:
    with pytest.raises(RecipeError, match="MatchingNetFCE learns classification tasks; found family 'regression'"):
        MatchingNetFCE(nn.Identity(), family=Regression())
