"""A learner whose answers are refined by looking at all queries together. It is transductive, and nothing in it is trained.

In: any learner whose features are vectors, and a `Refinement`. Out: a `Learner` with one mode, `transductive`:

    encode            as in the learner inside
    adapt             vectors and labels of the support set, in the space in which the learner compares
                      (`kshot.learners.heads.comparison_space`)
    predict_together  the refinement: the queries move the class centres

The learner inside never changes; ask it for inductive answers. If it is not a nearest-centre classifier (a ridge head, a linear head,
matching with several items per class), its features and its comparison are used, but not its head: without any iteration, the answer is
the nearest centre. `REFINEMENTS` lists the refinements by name. Measured: docs/learners/refinement.md.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from kshot.construct import construct
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.comparison_space import Compare, HasSpace, Space, as_they_are
from kshot.learners.heads.item_scores import Examples, one_hot
from kshot.learners.learner import Learner, Mode, require_family, way_of
from kshot.learners.refinement.bd_cspn import PrototypeRectification
from kshot.learners.refinement.optimal_transport import OptimalTransport
from kshot.learners.refinement.soft_k_means import SoftKMeans
from kshot.learners.refinement.tim import InformationMaximisation


class Refinement(Protocol):
    """A rule that moves class centres by the queries: a frozen data class of plain settings."""

    @property
    def assumption(self) -> str:
        """What it assumes about the queries, as a sentence for people; empty if it assumes nothing."""
        ...

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Answer all queries of B tasks, each task independently.

        Args:
            compare: Queries (B, Q, D) and centres (B, N, D) → logits (B, Q, N); -∞ for a class without support items.
            support: Vectors (B, S, D) and one-hot labels (B, S, N), in the type of the queries.
            queries: Vectors (B, Q, D), at least float32.

        Returns:
            Logits (B, Q, N).
        """
        ...


REFINEMENTS: dict[str, Callable[..., Refinement]] = {
    "soft_k_means": SoftKMeans,
    "optimal_transport": OptimalTransport,
    "bd_cspn": PrototypeRectification,
    "tim": InformationMaximisation,
}

EUCLIDEAN = Space(as_they_are, lambda queries, centres: -squared_distances(queries, centres))
"""The space of a learner without a method `space`: its features, compared by minus their squared distance."""


class Refined(Learner):
    """A learner with a refinement.

    Args:
        learner: Any learner whose features are vectors. It is used unchanged.
        refinement: The refinement of its answers.

    Raises:
        RecipeError: The learner does not learn classification tasks.

    Example:
        >>> from kshot.learners.metric.protonet import ProtoNet
        >>> learner = Refined(ProtoNet(torch.nn.Identity()), SoftKMeans(iterations=1)).eval()
        >>> task = learner.adapt(torch.tensor([[[0.0], [10.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict_together(task, torch.tensor([[[3.0], [3.0]]])).round().tolist()  # 0 moves to (0 + 3 + 3) / 3
        [[[-1.0, -49.0], [-1.0, -49.0]]]
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "none"
    modes: ClassVar[tuple[Mode, ...]] = ("transductive",)

    def __init__(self, learner: Learner, refinement: Refinement) -> None:
        super().__init__()
        self.learner, self.refinement = learner, refinement
        self.family = require_family(learner.family, "classification", "a refinement")

    def extra_repr(self) -> str:
        """Return the refinement, for `repr`."""
        return f"refinement={self.refinement!r}"

    def encode(self, x: Inputs) -> Tensor:
        """Encode with the learner inside: (M, …) → (M, D).

        Raises:
            RecipeError: The learner does not give one vector of real numbers per item.
        """
        features = self.learner.encode(x)
        if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
            form = f"{features.dtype} {tuple(features.shape[1:])}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
            raise RecipeError(
                f"a refinement moves class centres and needs features that are one vector of real numbers per item; "
                f"{type(self.learner).__name__} gives {form} per item. Ask it without a refinement."
            )
        return features

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: (B, S, D) and (B, S) → vectors (B, S, D) in at least float32, and one-hot labels (B, S, N).

        Raises:
            DataError: A feature is not finite.
        """
        check_support(self, support_features, support_y, way)
        vectors = self._vectors(support_features).detach()
        return Examples(vectors, one_hot(support_y, way_of(support_y, way), vectors))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Always raises: a refinement has no inductive mode.

        Raises:
            RecipeError: Always, because a refinement looks at all queries.
        """
        raise RecipeError("a refinement answers all queries together; it has no inductive mode. Ask the learner without a refinement.")

    def predict_together(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Answer all queries of each task together, (B, Q, D) → logits (B, Q, N); -∞ for a class without support items.

        Raises:
            DataError: A feature is not finite. One such query would spoil the answers to all queries.
        """
        check_queries(self, len(adapted.labels), query_features)
        queries = self._vectors(query_features)
        absent = ~adapted.labels.any(1).unsqueeze(1)  # (B, 1, N)
        logits = space_of(self.learner).logits

        def compare(queries: Tensor, centres: Tensor) -> Tensor:
            return logits(queries, centres).masked_fill(absent, -torch.inf)

        with torch.autocast(queries.device.type, enabled=False):
            return self.refinement(compare, adapted, queries)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Always raises: a refinement is not trained.

        Raises:
            RecipeError: Always, because a refinement is added to a trained learner.
        """
        raise RecipeError("a refinement learns nothing in training. Train the learner inside, then refine its answers.")

    def _vectors(self, features: Inputs) -> Tensor:
        """Return features (B, n, D) as vectors in the learner's space, in at least float32."""
        assert isinstance(features, Tensor)
        with torch.autocast(features.device.type, enabled=False):
            return space_of(self.learner).vectors(features.to(torch.promote_types(features.dtype, torch.float32)))


def space_of(learner: Learner) -> Space:
    """Return the space of a learner, which is `EUCLIDEAN` if it has no method `space`."""
    return learner.space() if isinstance(learner, HasSpace) else EUCLIDEAN


def refinement_named(text: str) -> Refinement:
    """Return the refinement that a text describes, as given to `kshot evaluate --refine`.

    Args:
        text: `NAME` or `NAME:SETTING=VALUE,SETTING=VALUE`, for example `soft_k_means:iterations=1`.

    Raises:
        RecipeError: The name or a setting is unknown, or a value is invalid.
    """
    name, _, rest = text.partition(":")
    settings: dict[str, Any] = {}
    for part in rest.split(",") if rest else ():
        setting, equals, value = part.partition("=")
        if not equals:
            raise RecipeError(f"a refinement must be NAME or NAME:SETTING=VALUE,SETTING=VALUE; found {part!r} in {text!r}.")
        try:
            settings[setting] = json.loads(value)
        except ValueError:
            raise RecipeError(f"the value of {setting} in {text!r} must be a number, true or false; found {value!r}.") from None
    return construct("refinement", name, REFINEMENTS, settings, {})


def words_of(refinement: Refinement) -> str:
    """Return the text that describes one of kshot's refinements with all settings, for records. `refinement_named` reads it back."""
    name = next((name for name, made in REFINEMENTS.items() if type(refinement) is made), type(refinement).__name__)
    settings = asdict(refinement)  # type: ignore[call-overload]  # of a data class, as Refinement says
    return f"{name}:{','.join(f'{setting}={json.dumps(value)}' for setting, value in settings.items())}"
