"""Learners by name, for recipes and saved learners."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kshot.arguments import names_of_arguments
from kshot.backbones.backbone import Backbone
from kshot.backbones.table import BACKBONES, build_backbone
from kshot.construct import construct
from kshot.episodes.family import family_named
from kshot.learners.backbone_form import plain
from kshot.learners.base_learners import SINGLE
from kshot.learners.ensemble import Ensemble
from kshot.learners.learner import Learner
from kshot.seeding import seeded
from kshot.short_repr import repr_of_fields

LEARNERS: dict[str, Callable[..., Learner]] = {**SINGLE, "ensemble": Ensemble}


@dataclass(frozen=True)
class LearnerSpec:
    """A learner described by names and plain values, as in a recipe or a saved folder.

    Attributes:
        learner: A name in `LEARNERS`.
        backbone: A name in `BACKBONES`.
        learner_arguments: Arguments of the learner's constructor, without backbone and family.
        backbone_arguments: Arguments of the backbone's constructor.
        family: Name of the task family.
    """

    learner: str
    backbone: str
    learner_arguments: Mapping[str, Any] = field(default_factory=dict)
    backbone_arguments: Mapping[str, Any] = field(default_factory=dict)
    family: str = "classification"

    __repr__ = repr_of_fields

    def build(self, seed: int = 0) -> Learner:
        """Build a new learner whose initial parameters are a function of `seed`.

        Raises:
            RecipeError: A name or an argument is unknown.
        """
        family = family_named(self.family)
        with seeded(seed, "initialisation"):
            backbone = build_backbone(self.backbone, self.backbone_arguments)
            return construct("learner", self.learner, LEARNERS, self.learner_arguments, {"backbone": backbone, "family": family})


def spec_of(learner: Learner) -> LearnerSpec | None:
    """Return how a learner was built, if both it and its backbone can be built by name; None otherwise.

    None also where an argument is no plain value, such as a function: a learner built again without it would be another one.
    """
    name = next((name for name, made in LEARNERS.items() if type(learner) is made), None)
    if name is None:
        return None
    network = plain(learner.get_submodule("backbone"))  # all learners in the table have one
    backbone = next((known for known, made in BACKBONES.items() if type(network) is made), None)
    if backbone is None or not isinstance(network, Backbone):
        return None
    if any(set(one.arguments) != set(names_of_arguments(type(one))) for one in (learner, network)):
        return None
    return LearnerSpec(name, backbone, dict(learner.arguments), dict(network.arguments), learner.family.name)
