"""What a learner makes of a support set, as a rule: for every learner whose answer compares items with an embedding.

In: a learner of PyTorch and what its `adapt` returned for one task. Out: a `Rule`, with the same logits to rounding. Other learners are
refused, with the reason. Next: `kshot.tasks.export.export`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.centres import Prototypes
from kshot.learners.heads.item_scores import Examples
from kshot.learners.heads.linear import LinearHeads
from kshot.learners.learner import Learner
from kshot.learners.metric.feat import FEAT
from kshot.learners.metric.matching import MatchingNet, ScaledMatchingNet
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.learners.transfer.baseline import Baseline
from kshot.learners.transfer.baseline_plus_plus import BaselinePlusPlus, Directions
from kshot.learners.transfer.simple_shot import SimpleShot, SimpleShotL2N
from kshot.tasks.export.rule import Rule


def rule_of_learner(learner: Learner, adapted: Any) -> Rule:
    """Return the rule by which a learner answers one task, B = 1.

    Raises:
        RecipeError: Its answer is no comparison with an embedding.
    """
    return _RULES[require_comparing(learner)](learner, adapted)


def rule_without_classes(learner: Learner) -> Rule:
    """Return the rule of a learner whose classes are means of mapped vectors, as it is before it has seen any.

    Raises:
        RecipeError: Its classes are no such means, or its answer is no comparison with an embedding.
    """
    if (made := _OF_MEANS.get(require_comparing(learner))) is None:
        raise RecipeError(
            f"what {type(learner).__name__} learns from examples is more than a mean per class, and is exported as numbers. "
            "Give the examples: --support FOLDER, with one folder per class."
        )
    return made(learner)


def require_comparing(learner: Learner) -> type[Learner]:
    """Return the class of a learner.

    Raises:
        RecipeError: Its answer is no comparison with an embedding.
    """
    kind = type(learner)
    if kind not in _RULES:
        known = ", ".join(sorted(one.__name__ for one in _RULES))
        raise RecipeError(
            f"{kind.__name__} cannot be exported as a network and numbers: {_reason(learner)} Learners that can: {known}. To answer with "
            "this one, use kshot predict SAVED --support FOLDER, kshot serve, or kshot.Classifier."
        )
    return kind


def _reason(learner: Learner) -> str:
    if learner.adapt_steps is not None:
        return "it answers with a network that gradient steps change for every task."
    if learner.depends_on_support_order:
        return "it reads the examples as a sequence, with a network that keeps a state."
    return "its answer is no comparison of one vector per item; a network looks at items and examples together."


def _numbers(value: Tensor) -> np.ndarray:
    found: np.ndarray = value.detach().float().cpu().numpy()
    return found


def _means(learner: Learner) -> Rule:
    return Rule("nearest", {})


def _means_of_directions(learner: Learner) -> Rule:
    return Rule("nearest", {}, unit=True)


def _means_of_centred_directions(learner: Learner) -> Rule:
    assert isinstance(learner, SimpleShot)
    return Rule("nearest", {"centre": _numbers(learner.centre)}, unit=True)


_OF_MEANS: dict[type[Learner], Callable[[Learner], Rule]] = {
    ProtoNet: _means,
    SimpleShot: _means_of_centred_directions,
    SimpleShotL2N: _means_of_directions,
}


def _prototypes(learner: Learner, adapted: Prototypes) -> Rule:
    bare = _OF_MEANS.get(type(learner), _means)(learner)
    centres = {"examples": _numbers(adapted.centres[0]), "labels": np.arange(adapted.centres.shape[1])}
    temperature = learner.temperature if isinstance(learner, FEAT) else 1.0
    return Rule("nearest", {**bare.arrays, **centres}, unit=bare.unit, temperature=temperature)


def _cosine_prototypes(learner: Learner, adapted: Prototypes) -> Rule:
    assert isinstance(learner, CosineProtoNet)
    return _directions(F.normalize(adapted.centres[0], dim=-1) * learner.log_scale.exp())


def _of_directions(learner: Learner, adapted: Directions) -> Rule:
    assert isinstance(learner, BaselinePlusPlus)
    return _directions(F.normalize(adapted.weights[0], dim=-1) * learner.scale)


def _directions(weights: Tensor) -> Rule:
    """Return the rule of cosines times a scale: directions times it, (N, D)."""
    return Rule("affine", {"weights": _numbers(weights.T), "bias": np.zeros(len(weights), np.float32)}, unit=True)


def _linear(learner: Learner, adapted: LinearHeads) -> Rule:
    weights, scale, bias = adapted.weights[0], 1.0, 0.0  # (D + 1, N)
    if isinstance(learner, RidgeNet):
        scale, bias = float(learner.log_scale.detach().exp()), float(learner.bias.detach())
    return Rule("affine", {"weights": _numbers(scale * weights[:-1]), "bias": _numbers(scale * weights[-1] + bias)})


def _attention(learner: Learner, adapted: Examples) -> Rule:
    scale = float(learner.log_scale.detach().exp()) if isinstance(learner, ScaledMatchingNet) else 1.0
    return Rule("attention", {"examples": _numbers(F.normalize(adapted.features[0], dim=-1) * scale), **_labels(adapted)}, unit=True)


def _nearest(learner: Learner, adapted: Examples) -> Rule:
    return Rule("nearest", {"examples": _numbers(adapted.features[0]), **_labels(adapted)})


def _labels(adapted: Examples) -> dict[str, np.ndarray]:
    return {"labels": adapted.labels[0].argmax(-1).cpu().numpy()}


_RULES: dict[type[Learner], Callable[[Any, Any], Rule]] = {
    Baseline: _linear,
    BaselinePlusPlus: _of_directions,
    CosineProtoNet: _cosine_prototypes,
    FEAT: _prototypes,
    MatchingNet: _attention,
    NearestNeighbour: _nearest,
    ProtoNet: _prototypes,
    RidgeNet: _linear,
    ScaledMatchingNet: _attention,
    SimpleShot: _prototypes,
    SimpleShotL2N: _prototypes,
}
