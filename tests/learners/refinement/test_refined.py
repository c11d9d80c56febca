"""Learners with a refinement: the contract, every learner's own comparison, what must not matter, and bad input."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, FIRST, UNORDERED, check_learner
from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.learner import Learner
from kshot.learners.metric.matching import MatchingNet, ScaledMatchingNet
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.learners.metric.relation import RelationNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.learners.metric.siamese import SiameseNet
from kshot.learners.refinement.bd_cspn import PrototypeRectification
from kshot.learners.refinement.optimal_transport import OptimalTransport
from kshot.learners.refinement.refined import REFINEMENTS, Refined, Refinement, refinement_named, words_of
from kshot.learners.refinement.soft_k_means import SoftKMeans
from kshot.learners.refinement.tim import InformationMaximisation
from kshot.learners.table import LEARNERS
from kshot.learners.transfer.finetune import FineTune
from kshot.learners.transfer.simple_shot import SimpleShot, SimpleShotL2N

EMBEDDING: dict[str, dict[str, int]] = {
    "protonet": {},
    "protonet_cosine": {},
    "matching": {},
    "matching_scaled": {},
    "matching_fce": {"features": 8},
    "siamese": {"features": 8},
    "ridge": {},
    "simple_shot": {"features": 8},
    "simple_shot_l2n": {},
    "nearest": {},
    "baseline": {},
    "baseline++": {},
}
"""All learners of the table that give an item a vector, with what they are told of a backbone with 8 features."""


def positive_batch(B: int = 2, N: int = 4, K: int = 1, Q: int = 12, D: int = 5, *, dtype: torch.dtype = torch.float64) -> EpisodeBatch:
    """Positive random vectors around a corner a class; one class has two support items more."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(B, N, D, generator=generator, dtype=torch.float64)
    support_y = torch.cat([torch.arange(N).repeat(K), *([torch.zeros(2, dtype=torch.int64)] if K > 1 else [])]).expand(B, -1)
    query_y = torch.arange(Q).remainder(N).expand(B, -1)

    def around(y: Tensor) -> Tensor:
        noise = 0.3 * torch.rand(*y.shape, D, generator=generator, dtype=torch.float64)
        return (corners.gather(1, y.unsqueeze(-1).expand(-1, -1, D)) + noise).to(dtype)

    return EpisodeBatch(around(support_y), support_y, around(query_y), query_y, N, np.arange(B))


def answer(learner: Learner, batch: EpisodeBatch) -> Tensor:
    task = learner.adapt(batch.support_x, batch.support_y, way=batch.way)
    together = "transductive" in learner.modes
    return (learner.predict_together(task, batch.query_x) if together else learner.predict(task, batch.query_x)).detach()


def refined(refinement: Refinement, learner: Learner | None = None) -> Learner:
    return Refined(learner or ProtoNet(nn.Identity()), refinement).double().eval()


# The contract.


def made(name: str) -> Refinement:
    """A refinement of few steps."""
    return refinement_named({"tim": "tim:steps=3,rate=0.1"}.get(name, name))


SPACES = ("protonet", "siamese", "baseline++")
"""Learners that compare by distances, by what they have learnt of pairs, and by angles: the dear refinement is tried on them alone."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "refinement"),
    [(name, refinement) for name in EMBEDDING for refinement in REFINEMENTS if refinement != "optimal_transport" or name in SPACES],
)
def test_every_embedding_learner_keeps_the_contract(name: str, refinement: str) -> None:
    torch.manual_seed(0)
    learner = Refined(LEARNERS[name](nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU()), **EMBEDDING[name]), made(refinement))
    unordered = {} if learner.depends_on_support_order else UNORDERED
    assert sorted(check_learner(learner)) == sorted({**FIRST, **ALWAYS, **CLASSIFICATION, **unordered})


# Without any iteration, the learner's own answer.

ONE_SHOT: dict[str, Callable[[], Learner]] = {
    "protonet": lambda: ProtoNet(nn.Identity()),
    "protonet_cosine": lambda: CosineProtoNet(nn.Identity(), scale=7.0),
    "simple_shot": lambda: SimpleShot(nn.Identity(), features=5),
    "simple_shot_l2n": lambda: SimpleShotL2N(nn.Identity()),
    "matching": lambda: MatchingNet(nn.Identity()),
    "matching_scaled": lambda: ScaledMatchingNet(nn.Identity(), scale=7.0),
    "siamese": lambda: SiameseNet(nn.Identity(), features=5),
    "nearest": lambda: NearestNeighbour(nn.Identity()),
}
NEAREST_CENTRE = ("protonet", "protonet_cosine", "simple_shot", "simple_shot_l2n")


@pytest.mark.parametrize("refinement", [SoftKMeans(iterations=0), OptimalTransport(steps=0), InformationMaximisation(steps=0)])
@pytest.mark.parametrize(("name", "shots"), [*((name, 1) for name in ONE_SHOT), *((name, 3) for name in NEAREST_CENTRE)])
def test_without_iterations_it_is_the_learners_own_answer(name: str, shots: int, refinement: Refinement) -> None:
    batch = positive_batch(K=shots)
    learner = ONE_SHOT[name]().double().eval()
    if isinstance(learner, SimpleShot):
        learner.centre.fill_(0.3)
    own, found = answer(learner, batch), answer(refined(refinement, learner), batch)
    torch.testing.assert_close(found.softmax(-1), own.softmax(-1))  # matching's own logits are normalised
    if not name.startswith("matching"):
        torch.testing.assert_close(found, own)


def test_a_head_that_is_no_centre_gives_way_to_the_nearest_centre_of_its_features() -> None:
    batch = positive_batch(K=3)
    own = answer(refined(SoftKMeans(), RidgeNet(nn.Identity())), batch)
    torch.testing.assert_close(own, answer(refined(SoftKMeans(), ProtoNet(nn.Identity())), batch))


def test_the_learner_inside_still_answers_inductively() -> None:
    batch, inside = positive_batch(), ProtoNet(nn.Identity()).double().eval()
    before = answer(inside, batch)
    assert not torch.equal(answer(refined(SoftKMeans(), inside), batch), before)
    assert torch.equal(answer(inside, batch), before)


# What must not matter.


@pytest.mark.slow
@settings(max_examples=25)
@given(data=st.data(), way=st.sampled_from([2, 3, 5, 20]), name=st.sampled_from(list(REFINEMENTS)))
def test_the_order_of_queries_and_classes_permutes_the_answers(data: st.DataObject, way: int, name: str) -> None:
    batch = positive_batch(N=way, K=2, Q=2 * way)
    learner = refined(made(name))
    queries = torch.tensor(data.draw(st.permutations(range(2 * way))))
    labels = torch.tensor(data.draw(st.permutations(range(way))))
    assert isinstance(batch.query_x, Tensor)
    other = EpisodeBatch(batch.support_x, labels[batch.support_y], batch.query_x[:, queries], batch.query_y, way, batch.numbers)
    torch.testing.assert_close(answer(learner, other)[..., labels], answer(learner, batch)[:, queries], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", list(REFINEMENTS))
def test_autocast_and_short_features_are_computed_in_float32(name: str) -> None:
    batch = positive_batch(dtype=torch.bfloat16)
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    learner = Refined(ProtoNet(nn.Identity()), made(name)).eval()
    exact = answer(learner, EpisodeBatch(batch.support_x.float(), batch.support_y, batch.query_x.float(), batch.query_y, 4, batch.numbers))
    with torch.autocast("cpu", torch.bfloat16):
        found = answer(learner, batch)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


# Degenerate tasks.


@pytest.mark.parametrize("name", list(REFINEMENTS))
def test_a_class_without_support_items_is_never_chosen_and_moves_nothing(name: str) -> None:
    batch = positive_batch(K=2)
    learner = refined(made(name))
    spread = torch.tensor([0, 1, 3, 4])  # labels of five classes, of which 2 has no item
    task = learner.adapt(batch.support_x, spread[batch.support_y], way=5)
    found = learner.predict_together(task, batch.query_x)
    assert bool((found[..., 2] == -math.inf).all())
    torch.testing.assert_close(found[..., spread], answer(learner, batch))


@pytest.mark.parametrize("value", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("name", list(REFINEMENTS))
@pytest.mark.parametrize("inside", ["protonet", "protonet_cosine", "simple_shot"])
def test_constant_features_tie(inside: str, name: str, value: float) -> None:
    batch = positive_batch(N=3)
    x, q = torch.full((2, 3, 5), value), torch.full((2, 12, 5), value)
    found = answer(Refined(ONE_SHOT[inside](), made(name)).eval(), EpisodeBatch(x, batch.support_y, q, batch.query_y, 3, batch.numbers))
    torch.testing.assert_close(found.softmax(-1), torch.full((2, 12, 3), 1 / 3))


def test_one_query() -> None:
    batch = positive_batch(Q=1)
    assert answer(refined(SoftKMeans()), batch).shape == (2, 1, 4)
    assert answer(refined(OptimalTransport(balanced=False)), batch).isfinite().all()
    with pytest.raises(RecipeError, match="gives each of the 4 classes the same number of queries, so it needs at least 4; found 1"):
        answer(refined(OptimalTransport()), batch)


# Bad input.


class WholeNumbers(nn.Module):
    """A backbone that gives whole numbers."""

    def forward(self, x: Inputs) -> Tensor:
        assert isinstance(x, Tensor)
        return x.flatten(1).long()


@pytest.mark.parametrize(
    ("learner", "x", "found"),
    [
        (
            RelationNet(Conv4(width=4), features=4, width=4),
            torch.rand(2, 1, 28, 28),
            r"RelationNet gives torch.float32 \(4, 1, 1\) per item",
        ),
        (FineTune(nn.Identity()), torch.rand(2, 1, 28, 28), r"FineTune gives torch.float32 \(1, 28, 28\) per item"),
        (FineTune(nn.Identity()), {"a": torch.rand(2, 3)}, "FineTune gives a dict per item"),
        (ProtoNet(WholeNumbers()), torch.rand(2, 3), r"ProtoNet gives torch.int64 \(3,\) per item"),
    ],
)
def test_features_that_are_no_vectors_are_refused(learner: Learner, x: Inputs, found: str) -> None:
    with pytest.raises(RecipeError, match=f"one vector of real numbers per item; {found}. Ask it without a refinement"):
        Refined(learner, SoftKMeans()).eval().encode(x)


def test_real_targets_are_refused() -> None:
    with pytest.raises(RecipeError, match="a refinement learns classification tasks; found family 'regression'"):
        Refined(RidgeNet(nn.Identity(), family=Regression()), SoftKMeans())


def test_one_item_that_is_not_finite_is_named() -> None:
    batch, learner = positive_batch(), refined(SoftKMeans())
    assert isinstance(batch.query_x, Tensor)
    assert isinstance(batch.support_x, Tensor)
    broken = batch.query_x.clone()
    broken[1, 3, 0] = math.nan
    with pytest.raises(DataError, match="the features of query item 3 of task 1 of the batch are not all finite"):
        learner.predict_together(learner.adapt(batch.support_x, batch.support_y, way=4), broken)
    with pytest.raises(DataError, match="the features of support item 0 of task 0"):
        learner.adapt(batch.support_x / 0, batch.support_y, way=4)


def test_it_answers_together_and_is_not_trained() -> None:
    batch, learner = positive_batch(), refined(SoftKMeans())
    with pytest.raises(RecipeError, match="answers all queries together; it has no inductive mode"):
        learner.predict(learner.adapt(batch.support_x, batch.support_y, way=4), batch.query_x)
    with pytest.raises(RecipeError, match=r"learns nothing in training\. Train the learner inside"):
        learner.meta_backward(batch, 0.0)


# By name.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("soft_k_means", SoftKMeans()),
        ("soft_k_means:iterations=1", SoftKMeans(iterations=1)),
        ("soft_k_means:iterations=2,scale=0.5", SoftKMeans(2, 0.5)),
        ("optimal_transport:balanced=false", OptimalTransport(balanced=False)),
        ("bd_cspn:surest=3,shift=false", PrototypeRectification(3, shift=False)),
        ("tim:steps=5,balance=0", InformationMaximisation(5, balance=0)),
    ],
)
def test_refinements_by_name(text: str, expected: Refinement) -> None:
    found = refinement_named(text)
    assert found == expected
    assert refinement_named(words_of(found)) == found


def test_the_record_names_every_setting_and_a_users_own_class() -> None:
    @dataclass(frozen=True)
    class Mine:
        assumption: ClassVar[str] = ""
        strength: int = 3

        def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
            raise NotImplementedError

    assert words_of(SoftKMeans()) == "soft_k_means:iterations=4,scale=1.0"
    assert words_of(Mine()) == "Mine:strength=3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k_means", r"there is no refinement 'k_means'\. Did you mean 'soft_k_means'\? The known ones are soft_k_means, optimal_transport"),
        ("", "there is no refinement ''"),
        ("soft_k_means:steps=1", r"refinement 'soft_k_means' has no argument 'steps'\. The known ones are iterations, scale"),
        ("soft_k_means:1", r"a refinement must be NAME or NAME:SETTING=VALUE,SETTING=VALUE; found '1' in 'soft_k_means:1'"),
        ("soft_k_means:scale=big", "the value of scale in 'soft_k_means:scale=big' must be a number, true or false; found 'big'"),
        ("soft_k_means:scale=[1]", r"refinement .soft_k_means.: scale must be a number; found \[1\]"),
        ("soft_k_means:scale=-1", "scale of a refinement must be a positive number; found -1"),
    ],
)
def test_what_names_no_refinement_is_refused(text: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        refinement_named(text)
