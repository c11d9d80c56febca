"""Local matching: by hand, against loops in NumPy, gradients, what must not matter, shifted pictures, and bad input."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import kshot.learners.metric.local_matching as module
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.contract.check import check_learner
from kshot.learners.metric.local_matching import LocalMatching

# Tolerances of values are those of the learnt numbers, which start in float32.


def learner_of(features: int = 5, **arguments: float) -> LocalMatching:
    return LocalMatching(nn.Identity(), features=features, **arguments).double().eval()  # type: ignore[arg-type]  # numbers only


def maps_of(B: int = 2, n: int = 3, C: int = 5, H: int = 2, W: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(B, n, C, H, W, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_place_is_twice_the_scaled_cosine() -> None:
    # With one place there is one counterpart: m = cos, in both directions.
    learner = learner_of(2, scale=3.0)
    support = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-5.0, 0.0]], dtype=torch.float64).view(1, 3, 2, 1, 1)
    query = torch.tensor([3.0, 3.0], dtype=torch.float64).view(1, 1, 2, 1, 1)
    expected = torch.tensor([[[1.0, 1.0, -1.0]]], dtype=torch.float64) * 6 / math.sqrt(2)
    torch.testing.assert_close(learner.pair_scores(support, query), expected, rtol=1e-6, atol=1e-6)


def test_a_place_without_ink_does_not_count() -> None:
    # Only the first place of each is not zero; the two are alike, so both means are of one cosine of 1, at d = 0.
    ink = torch.tensor([[0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)  # rows: place; columns: feature
    maps = torch.zeros(1, 1, 2, 1, 2, dtype=torch.float64)
    maps[0, 0, :, 0, 0] = ink[0]
    learner = learner_of(2, scale=1.0, sharpness=200.0, nearness=50.0)
    torch.testing.assert_close(learner.pair_scores(maps, maps), torch.full((1, 1, 1), 2.0, dtype=torch.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("sharpness", "nearness", "scale"), [(10.0, 2.0, 10.0), (2.5, 0.3, 1.0), (30.0, 9.0, 4.0)])
def test_equals_the_slow_version(sharpness: float, nearness: float, scale: float) -> None:
    support, query = maps_of(n=3), maps_of(n=2, seed=1)
    found = learner_of(sharpness=sharpness, nearness=nearness, scale=scale).pair_scores(support, query).detach().numpy()
    places = [((2 * i + 1) / 2 - 1, (2 * j + 1) / 3 - 1) for i in range(2) for j in range(3)]

    def one_way(x: np.ndarray, y: np.ndarray) -> float:
        lengths = np.sqrt((x**2).sum(0))
        total = 0.0
        for i, p in enumerate(places):
            terms = []
            for j, q in enumerate(places):
                cosine = x[:, i] @ y[:, j] / np.sqrt((x[:, i] ** 2).sum() * (y[:, j] ** 2).sum())
                terms.append(math.exp(sharpness * cosine - nearness * ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2)))
            total += lengths[i] / lengths.sum() * math.log(sum(terms)) / sharpness
        return total

    for b in range(2):
        for i in range(2):
            for j in range(3):
                x, y = query[b, i].flatten(1).numpy(), support[b, j].flatten(1).numpy()
                assert found[b, i, j] == pytest.approx(scale * (one_way(x, y) + one_way(y, x)), rel=1e-6)


def test_sharp_and_far_is_the_best_counterpart_anywhere() -> None:
    # β → ∞ and γ → 0: m is the largest cosine, as in DN4 with one neighbour.
    support, query = maps_of(B=1), maps_of(B=1, n=1, seed=1)
    found = learner_of(sharpness=500.0, nearness=1e-6, scale=1.0).pair_scores(support, query)[0, 0].detach()
    x = query[0, 0].flatten(1)
    for j in range(3):
        y = support[0, j].flatten(1)
        cosines = (x / x.norm(dim=0)).T @ (y / y.norm(dim=0))
        u, v = (z.norm(dim=0) / z.norm(dim=0).sum() for z in (x, y))
        assert float(found[j]) == pytest.approx(float(cosines.amax(1) @ u + cosines.amax(0) @ v), abs=0.01)


@pytest.mark.slow
def test_first_and_second_derivatives() -> None:
    learner = learner_of(2, sharpness=3.0, scale=2.0)
    support, query = (maps_of(1, n, 2, 2, 2, seed).requires_grad_() for n, seed in ((2, 0), (2, 1)))
    inputs = (support, query, *learner.parameters())

    def scores(s: Tensor, q: Tensor, *_: Tensor) -> Tensor:
        return learner.pair_scores(s, q)

    assert torch.autograd.gradcheck(scores, inputs)
    assert torch.autograd.gradgradcheck(scores, inputs)


def test_a_pair_has_one_score_whichever_comes_first() -> None:
    support, query = maps_of(), maps_of(seed=1)
    forth, back = learner_of().pair_scores(support, query), learner_of().pair_scores(query, support)
    torch.testing.assert_close(forth, back.mT, rtol=1e-12, atol=1e-12)
    assert float(forth.detach().std()) > 0.1, "the scores must differ for this test to say anything"


def test_renumbering_the_classes_permutes_the_logits() -> None:
    learner, support, query = learner_of(), maps_of(n=4), maps_of(n=2, seed=1)
    y, new_label = torch.tensor([[0, 1, 2, 1], [2, 0, 0, 1]]), torch.tensor([2, 0, 1])
    logits = learner.predict(learner.adapt(support, y, way=3), query)
    found = learner.predict(learner.adapt(support, new_label[y], way=3), query)
    torch.testing.assert_close(found[..., new_label], logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("at_once", [1, 108, 216, 324, 648, 10_000])
def test_blocks_of_any_size_give_the_same_scores(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    # A query before a task's support set is 3·36 = 108 pairs of places, a task 216.
    learner, support, query = learner_of(), maps_of(B=3), maps_of(B=3, n=2, seed=1)
    whole = learner.pair_scores(support, query)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", at_once)
    torch.testing.assert_close(learner.pair_scores(support, query), whole, rtol=1e-12, atol=1e-12)


def test_a_picture_moved_by_a_place_is_found_again() -> None:
    # Each class is one bright feature at one place; queries are moved one place to the right. Cosine of the whole maps is at chance.
    support = torch.zeros(1, 4, 4, 5, 5)
    for k in range(4):
        support[0, k, k, 2, 1] = 1.0
    query = support.roll(1, dims=4)
    learner = LocalMatching(nn.Identity(), features=4).eval()
    logits = learner.predict(learner.adapt(support, torch.arange(4)[None], way=4), query)
    assert logits.argmax(2).tolist() == [[0, 1, 2, 3]]
    assert float((support.flatten(2) @ query.flatten(2).mT).abs().max()) == 0


def test_it_passes_the_contract_suite_on_maps() -> None:
    batch = EpisodeBatch(
        maps_of(2, 6).float(), torch.arange(3).repeat(2, 2), maps_of(2, 9, seed=1).float(), torch.arange(3).repeat(2, 3), 3, np.arange(2)
    )
    learner = LocalMatching(nn.Conv2d(5, 8, 1), features=8)
    check_learner(learner, batch)


# Bad input.


def test_a_class_without_a_support_item_has_no_chance() -> None:
    learner, support, query = learner_of(), maps_of(n=3), maps_of(n=2, seed=1)
    y = torch.tensor([[0, 2, 2], [2, 0, 0]])
    logits = learner.predict(learner.adapt(support, y, way=3), query)
    assert bool((logits[..., 1] == -math.inf).all())
    assert bool(logits[..., [0, 2]].isfinite().all())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_give_the_same_logit_for_all_classes(value: float) -> None:
    learner = learner_of()
    maps = torch.full((1, 3, 5, 2, 3), value, dtype=torch.float64, requires_grad=True)
    logits = learner.predict(learner.train().adapt(maps, torch.tensor([[0, 1, 2]]), way=3), maps)
    torch.testing.assert_close(logits, logits[..., :1].expand_as(logits))
    logits.logsumexp(2).sum().backward()  # type: ignore[no-untyped-call]  # untyped in torch
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "features of local matching must be a positive number; found 0"),
        ({"sharpness": 0.0}, "sharpness of local matching must be a positive number; found 0"),
        ({"nearness": -1.0}, "nearness of local matching must be a positive number; found -1"),
        ({"scale": math.nan}, "scale of local matching must be a positive number; found nan"),
        ({"over_items": "mean"}, "over_items of local matching must be one of log-mean-exp, max; found 'mean'"),
        ({"family": Regression()}, "LocalMatching learns classification tasks; found family 'regression'"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        LocalMatching(nn.Identity(), **{"features": 5, **arguments})  # type: ignore[arg-type]  # that is the point


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"LocalMatching was built with features=5 and expects .*; its backbone gives \(4, 3, 3\) per item"
    ):
        learner_of().encode(torch.zeros(2, 4, 3, 3, dtype=torch.float64))
