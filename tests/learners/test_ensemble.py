"""Ensembles: the mean by hand, views, what is assembled, and bad input."""

import math

import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import EpisodeError, RecipeError
from kshot.learners.contract.check import check_learner
from kshot.learners.ensemble import Ensemble, assembled, view_of
from kshot.learners.learner import Learner
from kshot.learners.metric.matching import ScaledMatchingNet
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.relation import RelationNet
from kshot.learners.table import LearnerSpec, spec_of

Y = torch.tensor([[0, 1, 2, 1]])


def nets(count: int) -> list[Learner]:
    made: list[Learner] = []
    for seed in range(count):
        torch.manual_seed(seed)
        made.append(ProtoNet(Conv4(width=4)).eval())
    return made


def pictures(n: int, seed: int) -> Tensor:
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def logits_of(learner: Learner, support: Tensor, query: Tensor) -> Tensor:
    with torch.no_grad():
        s, q = ({k: v.unsqueeze(0) for k, v in e.items()} if isinstance(e := learner.encode(x), dict) else e.unsqueeze(0)  # type: ignore[union-attr]
                for x in (support, query))  # fmt: skip
        return learner.predict(learner.adapt(s, Y, way=3), q)


def test_without_views_it_is_the_mean_of_the_members() -> None:
    support, query = pictures(4, 0), pictures(5, 1)
    members = nets(3)
    expected = sum(logits_of(member, support, query).log_softmax(-1) for member in members) / 3
    torch.testing.assert_close(logits_of(assembled(members, "protonet"), support, query), expected)


@pytest.mark.slow
def test_with_views_it_is_the_mean_over_all_pairs_of_them() -> None:
    support, query = pictures(4, 0), pictures(5, 1)
    members = nets(2)
    expected = torch.zeros(1, 5, 3)
    for member in members:
        for a in range(3):
            for b in range(3):
                s, q = view_of(support, a), view_of(query, b)
                assert isinstance(s, Tensor)
                assert isinstance(q, Tensor)
                expected += logits_of(member, s, q).log_softmax(-1) / 18
    torch.testing.assert_close(logits_of(assembled(members, "protonet", views=3), support, query), expected)


def test_the_first_view_is_the_item_and_others_are_always_the_same() -> None:
    x = pictures(3, 0)
    assert view_of(x, 0) is x
    one, again, other = view_of(x, 1), view_of(x, 1), view_of(x, 2)
    assert isinstance(one, Tensor)
    assert isinstance(other, Tensor)
    assert torch.equal(one, again)  # type: ignore[arg-type]  # a tensor in, a tensor out
    assert not torch.equal(one, other)
    assert not torch.equal(one, x)
    torch.testing.assert_close(view_of(x[1:2], 1), one[1:2])  # whatever else is asked with it


def test_members_are_copies() -> None:
    members = nets(2)
    made = assembled(members, "protonet")
    before = logits_of(made, pictures(4, 0), pictures(2, 1))
    with torch.no_grad():
        for parameter in members[1].parameters():
            parameter.zero_()
    torch.testing.assert_close(logits_of(made, pictures(4, 0), pictures(2, 1)), before)


def test_it_is_built_again_from_its_spec() -> None:
    torch.manual_seed(0)
    members = [ScaledMatchingNet(Conv4(width=4), scale=3.0), ScaledMatchingNet(Conv4(width=4), scale=3.0)]
    made = assembled(members, "matching_scaled", views=2)
    spec = spec_of(made)
    assert spec is not None
    assert spec.learner_arguments == {"learner": "matching_scaled", "members": 2, "views": 2, "arguments": {"scale": 3.0}}
    again = spec.build().eval()
    again.load_state_dict(made.state_dict())
    support, query = pictures(4, 0), pictures(3, 1)
    assert torch.equal(logits_of(again, support, query), logits_of(made, support, query))


def test_members_whose_features_are_mappings_are_asked_likewise() -> None:
    class Two(ProtoNet):
        """Features by name."""

        def encode(self, x: object) -> dict[str, Tensor]:  # type: ignore[override]  # a mapping is as good
            return {"plain": super().encode(x)}  # type: ignore[arg-type]  # of this test

        def adapt(self, support_features: object, support_y: Tensor, *, way: int | None = None) -> object:  # type: ignore[override]
            return super().adapt(support_features["plain"], support_y, way=way)  # type: ignore[index]  # of this test

        def predict(self, adapted: object, query_features: object) -> Tensor:
            return super().predict(adapted, query_features["plain"])  # type: ignore[index, arg-type]  # of this test

    ensemble = assembled(nets(1), "protonet")
    torch.manual_seed(0)
    named = Two(Conv4(width=4)).eval()
    ensemble.members = nn.ModuleList([named])
    support, query = pictures(4, 0), pictures(3, 1)
    torch.testing.assert_close(logits_of(ensemble, support, query), logits_of(nets(1)[0], support, query).log_softmax(-1))


@pytest.mark.slow
def test_it_passes_the_contract_suite_with_views() -> None:
    check_learner(assembled(nets(2), "protonet", views=2))


# Bad input.


def test_it_depends_on_the_order_of_the_support_as_its_members_do() -> None:
    assert not Ensemble(nn.Flatten(), learner="protonet").depends_on_support_order
    assert Ensemble(nn.Flatten(), learner="matching_fce").depends_on_support_order


def test_a_class_without_a_support_item_has_no_chance() -> None:
    ensemble = assembled(nets(2), "protonet")
    with torch.no_grad():
        support, query = ({k: v.unsqueeze(0) for k, v in ensemble.encode(pictures(n, n)).items()} for n in (4, 3))
        logits = ensemble.predict(ensemble.adapt(support, torch.tensor([[0, 2, 2, 0]]), way=3), query)
    assert bool((logits[..., 1] == -math.inf).all())
    assert bool(logits[..., [0, 2]].isfinite().all())


def test_views_of_what_is_no_picture_are_refused() -> None:
    with pytest.raises(EpisodeError, match=r"warps images \(M, C, H, W\)"):
        Ensemble(nn.Identity(), learner="protonet", views=2).eval().encode(torch.zeros(2, 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": 0}, "members of an ensemble must be at least 1; found 0"),
        ({"views": 0}, "views of an ensemble must be at least 1; found 0"),
        ({"learner": "ensemble"}, "members of an ensemble cannot be ensembles"),
        ({"learner": "protonets"}, "there is no learner 'protonets'"),
        ({"arguments": {"scale": 1.0}}, "learner 'protonet' has no argument 'scale'"),
        ({"family": Regression()}, "Ensemble learns classification tasks"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Ensemble(nn.Identity(), **{"learner": "protonet", **arguments})  # type: ignore[arg-type]  # that is the point


def test_members_of_several_kinds_are_refused() -> None:
    with pytest.raises(RecipeError, match="needs at least one member"):
        assembled([], "protonet")
    with pytest.raises(RecipeError, match="member 1 is RelationNet with"):
        assembled([*nets(1), RelationNet(nn.Identity(), features=4, width=4)], "protonet")
    with pytest.raises(RecipeError, match=r"must have backbones of one kind: .*size mismatch"):
        assembled([*nets(1), ProtoNet(Conv4(width=5))], "protonet")


def test_it_is_not_trained() -> None:
    batch = EpisodeBatch(torch.zeros(1, 2, 5), Y[:, :2], torch.zeros(1, 2, 5), Y[:, :2], 2, Y.numpy()[0, :1])
    with pytest.raises(RecipeError, match="Train its members, one run each"):
        LearnerSpec("ensemble", "mlp", {"learner": "protonet"}, {"inputs": 5}).build().meta_backward(batch, 0.0)
