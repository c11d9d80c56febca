"""Training as an ordinary classifier: plain labelled batches, one output per training class, cross-entropy.

The classifier exists only during training: it is part of the state of a run, but not of a saved learner. In: a learner with a backbone,
and a head. Out: what `kshot.meta_train` updates. The transfer baselines use it: `kshot.learners.transfer.baseline`,
`kshot.learners.transfer.baseline_plus_plus`, `kshot.learners.transfer.finetune`, `kshot.learners.transfer.simple_shot`.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from kshot.data.inputs import map_inputs
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import KshotError, RecipeError
from kshot.learners.backbone_form import called, embed, vectors_of
from kshot.learners.learner import Batch, Learner, Trainable


class ItemLearner(Learner):
    """Abstract base of learners whose backbone is trained as a classifier of all training classes.

    Attributes:
        backbone: f: inputs (M, …) → features (M, D).
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "items"
    backbone: nn.Module

    def meta_backward(self, batch: Any, progress: float) -> Tensor:
        """Always raises: the learner is trained with a head (`for_training`).

        Raises:
            RecipeError: Always.
        """
        raise RecipeError(
            f"{type(self).__name__} is trained as a classifier of all training classes, but has no output for them without its head. "
            "kshot.start(learner, plan, stream) makes one from the stream; or train learner.for_training(batch)."
        )


class ItemTraining(Trainable):
    """A learner with a head over its features.

    Args:
        learner: The learner whose backbone is trained.
        head: Features (M, D) → logits (M, classes).
    """

    def __init__(self, learner: ItemLearner, head: nn.Module) -> None:
        super().__init__()
        self.learner, self.head = learner, head

    def meta_backward(self, batch: ItemBatch, progress: float) -> Tensor:
        """Add the gradient of the items' mean loss. Return one detached loss per item, (M,)."""
        losses = item_losses(self.learner, self.head(embed(self.learner.backbone, batch.x, type(self.learner).__name__)), batch)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return losses.detach()


def item_losses(learner: Learner, logits: Tensor, batch: ItemBatch) -> Tensor:
    """Return the family's loss of each item, (M,), from logits (M, classes)."""
    return learner.family.loss(logits.unsqueeze(1), batch.y.unsqueeze(1))


def linear_head(learner: ItemLearner, example: Batch) -> nn.Module:
    """Make an affine map from the learner's features to one logit per class, on the device of `example`. Its intercept starts at 0.

    Raises:
        RecipeError: For the reasons given in `form_of_training`.
    """
    features, classes = form_of_training(learner, example)
    head = nn.Linear(features, classes)
    nn.init.zeros_(head.bias)
    return head.to(example.device)


def form_of_training(learner: ItemLearner, example: Batch) -> tuple[int, int]:
    """Return D, found by encoding one item, and the number of classes. They give the shape of the head.

    Raises:
        DataError: The items are of another type than the backbone computes with.
        RecipeError: The batch does not hold labelled items, or the backbone does not give one vector per item.
    """
    name = type(learner).__name__
    if not isinstance(example, ItemBatch):
        raise RecipeError(
            f"{name} is trained on labelled items (an ItemStream); found a batch of {example.unit}s. Give it a batch of items."
        )
    modes = {module: module.training for module in learner.backbone.modules()}
    learner.backbone.eval()
    try:
        with torch.no_grad():
            features = called(learner.backbone, map_inputs(lambda value: value[:1], example.x))
    except KshotError:
        raise
    except (RuntimeError, ValueError) as error:
        raise RecipeError(f"the backbone of {name} cannot read one item of the training data: {error}. Choose one that can.") from error
    finally:
        for module, training in modes.items():
            module.training = training
    return vectors_of(features, name, 1).shape[1], example.way
