"""An ensemble: several learners of one kind answer together, each on several views of every item.

    x^1 … x^V                                        views of an item: unchanged, and moved, turned and stretched a little
    log p(k) = mean over members m and views a, b of log softmax over k of member m's logits, support seen as a, query as b

Averaging over networks that differ only in their initialisation is from Lakshminarayanan, Pritzel & Blundell, "Simple and Scalable
Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017, arXiv 1612.01474 (they average probabilities; here, logarithms of
probabilities are averaged). Averaging over views of the test items is from Krizhevsky, Sutskever & Hinton 2012, section 4.1. The ensemble
is inductive: each query is answered independently.

The members are trained separately, one run each, and `assembled` puts them together. The cost is members × views times the encoding, and
members × views² times the comparison.
"""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from torch import Tensor, nn

from kshot.construct import construct
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.episodes.warp import affine
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.base_learners import SINGLE
from kshot.learners.heads.item_scores import one_hot
from kshot.learners.learner import Learner, require_family, way_of
from kshot.learners.short_forms import repr_of_adapted


class SeenSupport(NamedTuple):
    """What is learned from a task: its support set, as all members see it.

    Attributes:
        features: `MEMBER/VIEW` or `MEMBER/VIEW/NAME` → (B, S, …).
        labels: One-hot rows (B, S, N).
    """

    features: dict[str, Tensor]
    labels: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


_MOST = 1000


class Ensemble(Learner):
    """A learner that averages the answers of its members over all views.

    Args:
        backbone: Backbone of the first member. The others have copies; loading gives them their own parameters.
        learner: Name of the members' learner in `kshot.learners.base_learners`.
        members: Number of members, ≥ 1.
        views: V ≥ 1. With 1, items stay unchanged. More views need images (M, C, H, W).
        arguments: Arguments of the members' constructor.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is too small, or there is no such learner.
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "none"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        learner: str,
        members: int = 1,
        views: int = 1,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("members", members), ("views", views)):
            if count < 1:
                raise RecipeError(f"{name} of an ensemble must be at least 1; found {count}.")
            if count > _MOST:
                raise RecipeError(f"{name} of an ensemble must be at most {_MOST:,}; found {count:,}.")
        if learner == "ensemble":
            raise RecipeError("the members of an ensemble cannot be ensembles. Name the members' learner and raise the number of members.")
        self.family = require_family(family, "classification", type(self).__name__)
        self.views = views
        first = construct("learner", learner, SINGLE, arguments, {"backbone": backbone, "family": family})
        self.depends_on_support_order = first.depends_on_support_order
        self.members = nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(members - 1))])

    @property
    def backbone(self) -> nn.Module:
        """Backbone of the first member. All members have one of the same form."""
        return self.members[0].get_submodule("backbone")

    def encode(self, x: Inputs) -> dict[str, Tensor]:
        """Encode all views of each item with all members: (M, …) → a mapping of `MEMBER/VIEW` to (M, …)."""
        features: dict[str, Tensor] = {}
        for view in range(self.views):
            seen = view_of(x, view)
            for number, member in enumerate(self.members):
                assert isinstance(member, Learner)
                found = member.encode(seen)
                named = {"": found} if isinstance(found, Tensor) else {f"/{name}": value for name, value in found.items()}
                features |= {f"{number}/{view}{name}": value for name, value in named.items()}
        return features

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> SeenSupport:
        """Keep the support set. The members adapt to it in `predict`."""
        check_support(self, support_features, support_y, way)
        assert not isinstance(support_features, Tensor)
        features = {name: value.detach() for name, value in support_features.items()}
        return SeenSupport(features, one_hot(support_y, way_of(support_y, way), next(iter(features.values()))))

    def predict(self, adapted: SeenSupport, query_features: Inputs) -> Tensor:
        """Return the mean logarithm of probabilities, (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.labels), query_features)
        y, way = adapted.labels.argmax(-1), adapted.labels.shape[-1]
        total: Tensor | float = 0.0
        for number, member in enumerate(self.members):
            assert isinstance(member, Learner)
            asked = [_of(query_features, f"{number}/{view}") for view in range(self.views)]
            for view in range(self.views):
                task = member.adapt(_of(adapted.features, f"{number}/{view}"), y, way=way)
                for query in asked:
                    total = total + member.predict(task, query).log_softmax(-1)
        assert isinstance(total, Tensor)
        return total / (len(self.members) * self.views**2)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Always raises: members are trained separately.

        Raises:
            RecipeError: Always.
        """
        raise RecipeError("an ensemble is not trained. Train its members, one run each, and put them together with assembled().")


def assembled(members: Sequence[Learner], learner: str, *, views: int = 1) -> Ensemble:
    """Make an ensemble from copies of trained learners.

    Args:
        members: Learners of one kind, built with the same arguments.
        learner: Name of the members' learner in `kshot.learners.base_learners`.
        views: Number of views of each item.

    Raises:
        RecipeError: There are no members, or they are not of one kind.
    """
    if not members:
        raise RecipeError("an ensemble needs at least one member.")
    first = members[0]
    for number, member in enumerate(members):
        if type(member) is not type(first) or member.arguments != first.arguments:
            raise RecipeError(
                f"the members of an ensemble must be learners of one kind; member {number} is {type(member).__name__} with "
                f"{dict(member.arguments)}, the first is {type(first).__name__} with {dict(first.arguments)}."
            )
    backbone = getattr(first, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise RecipeError(f"the members of an ensemble need a backbone; {type(first).__name__} has none.")
    made = Ensemble(
        copy.deepcopy(backbone), learner=learner, members=len(members), views=views, arguments=first.arguments, family=first.family
    )
    for own, given in zip(made.members, members, strict=True):
        try:
            own.load_state_dict(given.state_dict())
        except RuntimeError as error:
            raise RecipeError(f"the members of an ensemble must have backbones of one kind: {str(error).partition(chr(10))[2]}") from error
    return made.eval()


def view_of(x: Inputs, view: int) -> Inputs:
    """Return view number `view` of items. View 0 is the items unchanged; the others move, turn and stretch all items alike.

    Raises:
        EpisodeError: The view is not 0 and the items are not images (M, C, H, W).
    """
    if view == 0:
        return x
    M = x.shape[0] if isinstance(x, Tensor) else next(iter(x.values())).shape[0]
    return affine(x, np.full(M, view, dtype=np.int16))


def _of(features: Inputs, member_and_view: str) -> Inputs:
    """Return the features of one member and one view."""
    assert not isinstance(features, Tensor)
    named = {name: value for name, value in features.items() if name == member_and_view or name.startswith(f"{member_and_view}/")}
    if member_and_view in named:
        return named[member_and_view]
    return {name.removeprefix(f"{member_and_view}/"): value for name, value in named.items()}
