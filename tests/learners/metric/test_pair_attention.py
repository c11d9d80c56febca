"""Pair attention: by hand, against loops in NumPy, gradients, what must not matter, a task of places, and bad input."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import kshot.learners.metric.pair_attention as module
from cases.batches import logits_of, unbalanced_batch
from cases.gradients import assert_gradient_of
from kshot.backbones.conv4_maps import Conv4Maps
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.contract.check import check_learner
from kshot.learners.heads.over_items import OVER_ITEMS, over_items
from kshot.learners.learner import Learner, backward_of_query_loss, encode_tasks
from kshot.learners.metric.pair_attention import PairAttention, loss_of_pairs
from kshot.learners.metric.pair_blocks import AttentionBlock
from kshot.learners.metric.protonet import ProtoNet


def learner_of(
    *, width: int = 16, blocks: tuple[int, int] = (1, 2), loss: str = "cross-entropy", over: str = "log-mean-exp"
) -> PairAttention:
    """A small one whose backbone is the identity on maps of 5 channels, with every parameter away from where it starts."""
    torch.manual_seed(0)
    learner = PairAttention(nn.Identity(), features=5, width=width, blocks=blocks, loss=loss, over_items=over).double().eval()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


batch_of = partial(unbalanced_batch, shape=(5, 2, 3), N=3, S=5, Q=4)


def tokens_of(learner: Learner, batch: EpisodeBatch) -> tuple[Tensor, Tensor]:
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    assert isinstance(support, Tensor)
    assert isinstance(query, Tensor)
    return support, query


# By hand.


def test_the_score_of_one_place_at_the_start_is_a_squared_distance() -> None:
    # With one place, each block sees all of the other image: e = v(y) - v(x). With g = 0 and w = 1, r = -Σ over blocks of ‖e‖².
    torch.manual_seed(0)
    learner = PairAttention(nn.Identity(), features=3, width=16, blocks=(0, 1)).double().eval()
    support, query = torch.randn(1, 2, 3, dtype=torch.float64), torch.randn(1, 1, 3, dtype=torch.float64)
    s, q = (learner.encode(part[0]).unsqueeze(0) for part in (support, query))
    block = learner.between[0]
    assert isinstance(block, AttentionBlock)
    v = [block.value(block.norm(tokens)).flatten(2) for tokens in (s, q)]
    expected = -(v[0] - v[1]).square().sum(-1)  # (1, 2)
    torch.testing.assert_close(learner.pair_scores(s, q)[:, 0], expected)


def test_class_logits_by_hand() -> None:
    scores = torch.tensor([[[0.0, math.log(3.0), 5.0]]])
    labels = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(over_items(scores, labels, "log-mean-exp"), torch.tensor([[[math.log(2.0), 5.0, -math.inf]]]))
    torch.testing.assert_close(over_items(scores, labels, "max"), torch.tensor([[[math.log(3.0), 5.0, -math.inf]]]))


def test_the_loss_of_pairs_by_hand() -> None:
    # One same pair with r = 2 and two different ones with r = -1 and 1; for the query of class 7, there is no same pair.
    losses = loss_of_pairs(torch.tensor([[[2.0, -1.0, 1.0]], [[0.0, 0.0, 0.0]]]), torch.tensor([[0, 1, 2]] * 2), torch.tensor([[0], [7]]))
    first = (math.log1p(math.exp(-2)) + (math.log1p(math.exp(-1)) + math.log1p(math.e)) / 2) / 2
    torch.testing.assert_close(losses, torch.tensor([first, math.log(2) / 2]))


# An independent version: loops in NumPy, one place and one pair after the other, the distance written out.


Weights = dict[str, np.ndarray]


def slow_norm(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    y: np.ndarray = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]
    return y


def slow_linear(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    y: np.ndarray = w[f"{name}.weight"] @ x + w.get(f"{name}.bias", np.zeros(1))
    return y


def slow_block(w: Weights, name: str, x: np.ndarray, y: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One image looks at one image: tokens (T, C) of both → tokens and e."""
    T, C = x.shape
    heads, content = C // 16, 13
    a = np.exp(w[f"{name}.log_locality"])
    after, differences = np.zeros_like(x), np.zeros_like(x)
    for i in range(T):
        normed = slow_norm(x[i], w, f"{name}.norm")
        query, own = slow_linear(normed, w, f"{name}.query"), slow_linear(normed, w, f"{name}.value")
        for h in range(heads):
            logits, values = [], []
            for j in range(T):
                there = slow_norm(y[j], w, f"{name}.norm")
                key = slow_linear(there, w, f"{name}.key")[h * content : (h + 1) * content]
                alike = query[h * content : (h + 1) * content] @ key / math.sqrt(content)
                logits.append(alike - a[h] * ((places[i] - places[j]) ** 2).sum())
                values.append(slow_linear(there, w, f"{name}.value")[h * 16 : (h + 1) * 16])
            weights = np.exp(logits - np.max(logits))
            weights /= weights.sum()
            seen = sum(weight * value for weight, value in zip(weights, values, strict=True))
            differences[i, h * 16 : (h + 1) * 16] = seen - own[h * 16 : (h + 1) * 16]
        z = x[i] + slow_linear(differences[i], w, f"{name}.out")
        hidden = np.maximum(slow_linear(slow_norm(z, w, f"{name}.layer.0"), w, f"{name}.layer.1"), 0)
        after[i] = z + slow_linear(hidden, w, f"{name}.layer.3")
    return after, differences


def slow_tokens(w: Weights, maps: np.ndarray, within: int) -> tuple[np.ndarray, np.ndarray]:
    """(C, H, W) → tokens (T, C) and places (T, 2)."""
    _, H, W = maps.shape
    tokens, places = [], []
    for i in range(H):
        for j in range(W):
            p = np.array([(2 * i + 1) / H - 1, (2 * j + 1) / W - 1])
            sines = [math.sin(math.pi / 2 * 2**k * coordinate) for coordinate in p for k in range(4)]
            cosines = [math.cos(math.pi / 2 * 2**k * coordinate) for coordinate in p for k in range(4)]
            # Each coordinate's sines, then its cosines.
            waves = np.array(sines[:4] + cosines[:4] + sines[4:] + cosines[4:])
            tokens.append(slow_linear(maps[:, i, j], w, "enter") + slow_linear(waves, w, "where"))
            places.append(p)
    x = np.array(tokens)
    for number in range(within):
        x, _ = slow_block(w, f"within.{number}", x, x, np.array(places))
    return x, np.array(places)


def slow_one_way(w: Weights, x: np.ndarray, y: np.ndarray, places: np.ndarray, between: int) -> float:
    distance = 0.0
    for number in range(between):
        x, e = slow_block(w, f"between.{number}", x, y, places)
        for token in e:
            distance += (np.exp(w["log_weights"][number]) * token**2).sum() / len(e)
    mean = np.mean([slow_norm(token, w, "norm") for token in x], axis=0)
    judged = slow_linear(np.maximum(slow_linear(mean, w, "judge.0"), 0), w, "judge.2")
    return float(judged[0] - distance)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "blocks"), [(16, (1, 2)), (32, (0, 1)), (32, (2, 2))])
def test_equals_the_slow_version(width: int, blocks: tuple[int, int]) -> None:
    learner, batch = learner_of(width=width, blocks=blocks), batch_of(S=3, Q=2)
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    w = {name: value.detach().numpy() for name, value in learner.named_parameters()}
    expected = np.zeros((2, 2, 3))
    for b in range(2):
        support = [slow_tokens(w, maps, blocks[0]) for maps in batch.support_x[b].numpy()]
        query = [slow_tokens(w, maps, blocks[0]) for maps in batch.query_x[b].numpy()]
        for i, (x, places) in enumerate(query):
            for j, (y, _) in enumerate(support):
                expected[b, i, j] = (slow_one_way(w, x, y, places, blocks[1]) + slow_one_way(w, y, x, places, blocks[1])) / 2
    found = learner.pair_scores(*tokens_of(learner, batch)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


# What must not matter.


def test_a_pair_has_one_score_whichever_comes_first() -> None:
    learner = learner_of()
    support, query = tokens_of(learner, batch_of())
    forth, back = learner.pair_scores(support, query).detach(), learner.pair_scores(query, support).detach()
    torch.testing.assert_close(forth, back.mT, rtol=1e-12, atol=1e-12)
    assert float(forth.std()) > 0.1, "the scores must differ for this test to say anything"


@pytest.mark.parametrize("over", OVER_ITEMS)
def test_the_order_of_the_support_set_does_not_matter(over: str) -> None:
    learner, batch = learner_of(over=over), batch_of()
    support, query = tokens_of(learner, batch)
    order = torch.tensor([3, 0, 4, 1, 2])
    expected = learner.predict(learner.adapt(support, batch.support_y, way=3), query)
    found = learner.predict(learner.adapt(support[:, order], batch.support_y[:, order], way=3), query)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_renumbering_the_classes_permutes_the_logits() -> None:
    learner, batch = learner_of(), batch_of()
    support, query = tokens_of(learner, batch)
    new_label = torch.tensor([2, 0, 1])
    found = learner.predict(learner.adapt(support, new_label[batch.support_y], way=3), query)
    torch.testing.assert_close(found[..., new_label], logits_of(learner, batch), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 6, 30, 35, 70, 180])
def test_blocks_of_any_size_give_the_same_scores(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    # A query before a task's support set is 5 pairs of 6 tokens. 70 is 2 tasks and a query, 180 is all 3 tasks and 2 queries.
    learner, batch = learner_of(), batch_of(B=3)
    support, query = tokens_of(learner, batch)
    whole = learner.pair_scores(support, query)
    sizes: list[tuple[int, int]] = []
    both_ways = PairAttention._both_ways

    def watched(self: PairAttention, support: Tensor, offered: list[tuple[Tensor, Tensor]], query: Tensor, places: Tensor) -> Tensor:
        sizes.append((query.shape[0], query.shape[1]))
        return both_ways(self, support, offered, query, places)

    monkeypatch.setattr(PairAttention, "_both_ways", watched)
    monkeypatch.setattr(module, "_TOKENS_AT_ONCE", at_once)
    torch.testing.assert_close(learner.pair_scores(support, query), whole, rtol=1e-12, atol=1e-12)
    largest = max(tasks * queries for tasks, queries in sizes)
    assert largest == max(1, {70: 2, 180: 6}.get(at_once, 1))
    learner.train()
    sizes.clear()
    torch.testing.assert_close(learner.pair_scores(support, query), whole, rtol=1e-12, atol=1e-12)
    assert sizes == [(3, 4)], "in training, all pairs at once"


def test_maps_of_any_size_and_vectors_are_read() -> None:
    learner = learner_of()
    for shape in ((4, 5, 1, 7), (4, 5, 3, 3), (4, 5)):
        tokens = learner.encode(torch.randn(shape, dtype=torch.float64))
        assert tokens.shape == (4, *(shape[2:] or (1, 1)), 16)


# Gradients.


@pytest.mark.slow
@pytest.mark.parametrize("loss", module.LOSSES)
def test_meta_backward_is_the_gradient_of_the_mean_loss(loss: str) -> None:
    learner, batch = learner_of(loss=loss).train(), batch_of(B=1, S=4, Q=2, shape=(5, 2, 2))

    def mean_loss() -> float:
        with torch.no_grad():
            if loss == "cross-entropy":
                return float(learner.family.loss(logits_of(learner, batch), batch.query_y).mean())
            return float(loss_of_pairs(learner.pair_scores(*tokens_of(learner, batch)), batch.support_y, batch.query_y).mean())

    losses = learner.meta_backward(batch, 0.0)
    assert float(losses.mean()) == pytest.approx(mean_loss(), rel=1e-12)
    assert_gradient_of(mean_loss, learner, per_parameter=2, step=1e-5, rel=1e-4, abs=1e-7)


def test_at_the_start_everything_but_what_g_hides_has_a_gradient() -> None:
    torch.manual_seed(0)
    learner = PairAttention(nn.Identity(), features=5, width=16, blocks=(2, 2)).double()
    learner.meta_backward(batch_of(), 0.0)
    # g's last layer starts at 0, so nothing before it within g learns at the first step, nor what feeds g alone.
    hidden = ("norm.", "judge.0.", "between.1.out.", "between.1.layer.")
    still = [name for name, parameter in learner.named_parameters() if parameter.grad is None or not bool(parameter.grad.any())]
    assert all(name.startswith(hidden) for name in still), still


def test_a_training_step_under_autocast_agrees_with_the_full_one() -> None:
    torch.manual_seed(0)
    learner = PairAttention(Conv4Maps(width=16), features=16, width=32)
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(4).repeat(2, 1)
    images = torch.rand(2, 8, 1, 28, 28, generator=generator)
    batch = EpisodeBatch(images[:, :4], y, images[:, 4:], y, 4, np.arange(2))
    full = learner.meta_backward(batch, 0.0)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        short = learner.meta_backward(batch, 0.0)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, full, rtol=0.05, atol=0.05)


# A task that no bag of features can do: all items have the same two marks, and a class is where one lies from the other.


def batch_of_places(seed: int) -> EpisodeBatch:
    """Four classes of maps 5×5: a mark of one kind, and one of another kind two places above, below, left or right of it."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.tensor([[-2, 0], [2, 0], [0, -2], [0, 2]])
    B, N, Q = 4, 4, 8

    def items(y: Tensor) -> Tensor:
        maps = torch.zeros(*y.shape, 2, 5, 5)
        for b in range(y.shape[0]):
            for i in range(y.shape[1]):
                step = directions[int(y[b, i])]
                low, high = (-step).clamp(min=0), 5 - step.clamp(min=0)
                first = low + (torch.rand(2, generator=generator) * (high - low)).long()
                maps[b, i, 0, int(first[0]), int(first[1])] = 1
                maps[b, i, 1, int(first[0] + step[0]), int(first[1] + step[1])] = 1
        return maps

    support_y = torch.arange(N).repeat(B, 1)
    query_y = torch.arange(N).repeat(B, Q // N)
    return EpisodeBatch(items(support_y), support_y, items(query_y), query_y, N, np.arange(B))


class MeanOverPlaces(nn.Module):
    """A bag of features: a layer at each place, and the mean over places."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(2, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 1))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x).mean((2, 3))
        return features


def accuracy_after(learner: Learner, updates: int) -> float:
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-3)
    learner.train()
    for number in range(updates):
        optimizer.zero_grad()
        learner.meta_backward(batch_of_places(number), 0.0)
        optimizer.step()
    learner.eval()
    right = []
    with torch.no_grad():
        for number in range(10):
            batch = batch_of_places(10**6 + number)
            right.append((logits_of(learner, batch).argmax(-1) == batch.query_y).double().mean())
    return float(torch.stack(right).mean())


@pytest.mark.slow
def test_learns_where_things_lie_from_each_other_which_a_bag_of_features_cannot() -> None:
    torch.manual_seed(0)
    bag = accuracy_after(ProtoNet(MeanOverPlaces()), 60)
    pairs = accuracy_after(PairAttention(nn.Identity(), features=2, width=16, blocks=(1, 1)), 60)
    assert bag == pytest.approx(0.25, abs=0.1)  # every item has the same bag
    assert pairs > 0.85


# The contract, and bad input.


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "over"), list(zip(module.LOSSES, OVER_ITEMS, strict=True)))
def test_the_contract_holds_on_maps(loss: str, over: str) -> None:
    torch.manual_seed(0)
    check_learner(PairAttention(Conv4Maps(width=8), features=8, width=16, blocks=(1, 1), loss=loss, over_items=over))


def test_cross_entropy_trains_as_most_learners_do() -> None:
    first, second = learner_of(), learner_of()
    losses = first.train().meta_backward(batch_of(), 0.0)
    torch.testing.assert_close(losses, backward_of_query_loss(second.train(), batch_of()))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("over", OVER_ITEMS)
def test_a_class_without_support_items_is_never_the_answer(over: str) -> None:
    learner, batch = learner_of(over=over), batch_of()
    support, query = tokens_of(learner, batch)
    logits = learner.predict(learner.adapt(support, batch.support_y, way=4), query)
    assert bool((logits[..., 3] == -math.inf).all())
    torch.testing.assert_close(logits[..., :3], logits_of(learner, batch))


def test_more_items_of_the_same_kind_do_not_favour_a_class() -> None:
    learner, batch = learner_of(), batch_of(S=3)
    support, query = tokens_of(learner, batch)
    more = torch.cat([support, support[:, :1]], 1)
    y = torch.cat([batch.support_y, batch.support_y[:, :1]], 1)
    torch.testing.assert_close(learner.predict(learner.adapt(more, y, way=3), query), logits_of(learner, batch))


def test_constant_images_give_the_same_logit_for_all_classes() -> None:
    learner = learner_of()
    tokens = learner.encode(torch.ones(6, 5, 3, 3, dtype=torch.float64)).unsqueeze(0)
    logits = learner.predict(learner.adapt(tokens[:, :4], torch.tensor([[0, 1, 2, 2]]), way=3), tokens[:, 4:])
    torch.testing.assert_close(logits, logits[..., :1].expand_as(logits))
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "features must be at least 1; found 0"),
        ({"width": 0}, "width must be a multiple of 16 because each head has 16 numbers; found 0"),
        ({"width": 40}, "width must be a multiple of 16 because each head has 16 numbers; found 40"),
        ({"blocks": (1, 0)}, r"blocks must be two counts, 0 or more within an image and 1 or more between two; found \[1, 0\]"),
        ({"blocks": (-1, 1)}, r"blocks must be two counts, .* found \[-1, 1\]"),
        ({"blocks": (1, 1, 1)}, r"blocks must be two counts, .* found \[1, 1, 1\]"),
        ({"loss": "squared"}, "loss of pair attention must be one of cross-entropy, pairs; found 'squared'"),
        ({"over_items": "mean"}, "over_items of pair attention must be one of log-mean-exp, max; found 'mean'"),
        ({"family": Regression()}, "PairAttention learns classification tasks; found family 'regression'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PairAttention(nn.Identity(), **{"features": 5, **arguments})  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("shape", [(2, 4, 3, 3), (2, 4)])
def test_features_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        RecipeError,
        match=r"PairAttention was built with features=5 and expects .* per item\. Set features .* \(learner.features in a recipe\)",
    ):
        learner_of().encode(torch.zeros(shape, dtype=torch.float64))
