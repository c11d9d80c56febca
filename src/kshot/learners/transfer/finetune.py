"""Fine-tuning: train a classifier, then let all layers take a few gradient steps on the support set.

    training:    θ, W_b = argmin  E -log softmax(W_bᵀ f_θ(x))_y               over all training classes, in plain batches
    adaptation:  (θ', W) ← Adam step of rate α on  1/S Σ_i -log softmax(Wᵀ f_θ'(x_i))_{y_i}      n times, from θ' = θ

This is the older answer to few examples, and every meta-learner should beat it. Training is that of `kshot.learners.transfer.baseline`,
which keeps θ' = θ, so an encoder trained there can be used here. Steps are those of Adam (Kingma, Ba, 2015; β = 0.9 and 0.999), because
their size is about α for any length of the features: plain gradient steps stood still at one rate and diverged at five times that rate.

The start of the head. By default it starts from the class means c_k of f_θ: w_k = 2 c_k / v, b_k = -‖c_k‖² / v. Its logits are then
-‖f - c_k‖² / v up to a number that all classes share, so zero steps give the nearest class mean (Triantafillou et al., "Meta-Dataset", ICLR
2020, arXiv 1903.03096, section 3, with v = 1). v is the mean squared distance of the support features from their mean. With v = 1 and
features of length 10, there would be no slope to follow. Alternatively, the head starts from 0; the first step then moves only the head.

The number of steps. With two or more support items per class, it is chosen by leaving items out. In fold j of at most 5, the j-th,
(j+5)-th … item of each class with more than one item is held out. All folds go step by step, and the number of steps with the lowest loss
on held-out items is used. The search ends at `most_steps`, or 3 steps after the lowest loss. So it costs at most 5 more fine-tunings,
however large the support set is. With one item per class, nothing can be left out: `steps` steps are taken. `choose_steps` finds that
number on validation episodes; `kshot train` does so after the last update.

Batch normalisation uses its running statistics, which do not move: adaptation happens in evaluation mode, and each query is answered
independently. Frozen parameters stay. Adaptation works on copies, so any number of threads may adapt at once. Limits: `adapt` keeps a
network per task, and evaluation is slow. A class without support items has logit -∞. Measured: docs/learners/finetune.md.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import called, dense, plain, vectors_of
from kshot.learners.heads.centres import class_means
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.learner import Batch, Trainable, require_family, way_of
from kshot.learners.settings import MOST_STEPS, require_count, require_positive
from kshot.learners.short_forms import repr_of_adapted
from kshot.learners.transfer.item_training import ItemLearner, ItemTraining, linear_head

FOLDS, PATIENCE = 5, 3
WEIGHTS, BIAS = "head/weights", "head/bias"
CANDIDATES = (0, 1, 2, 3, 5, 10, 20, 50)


class FineTuned(NamedTuple):
    """What fine-tuning learns from B tasks; of one task alone, without the dimension B.

    Attributes:
        network: θ', the backbone's parameters by name, each (B, …), without frozen ones, which stay.
        weights: W, (B, D, N).
        bias: (B, N); -∞ for a class without support items.
    """

    network: dict[str, Tensor]
    weights: Tensor
    bias: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class FineTune(ItemLearner):
    """Fine-tuning of the whole network on each support set, as in the equations of this module.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        steps: n ≥ 0 for tasks in which no class has two support items. Training replaces it by a better value.
        most_steps: Largest n when support items are held out to choose it.
        lr: α > 0, the rate of Adam.
        start: Where the head starts: `means` or `zero`.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is out of its range, or the start is unknown.

    Example:
        >>> import torch
        >>> learner = FineTune(torch.nn.Identity(), steps=0).eval()  # no steps: the nearest class mean
        >>> task = learner.adapt(torch.tensor([[[0.0], [4.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict(task, torch.tensor([[[1.0]]])).tolist()  # 1 - (1 - 0)² and 1 - (1 - 4)², over v = 4
        [[[0.0, -2.0]]]
    """

    steps: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 10,
        most_steps: int = 20,
        lr: float = 1e-4,
        start: Literal["means", "zero"] = "means",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("steps", steps), ("most_steps", most_steps)):
            require_count(name, count, 0, MOST_STEPS)
        require_positive("the lr of fine-tuning", lr)
        if start not in ("means", "zero"):
            raise RecipeError(f"the start of a head must be 'means' or 'zero'; found {start!r}.")
        self.backbone = backbone
        self.most_steps, self.lr, self.start = most_steps, lr, start
        self.register_buffer("steps", torch.tensor(steps))
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Inputs:
        """Return x unchanged: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FineTuned:
        """Fine-tune a network and a head for each task: items (B, S, …) and labels (B, S) → `FineTuned`.

        Raises:
            DataError: A number in the support set is not finite, or the loss of a task is not: α is too large for it.
        """
        check_support(self, support_features, support_y, way)
        way = way_of(support_y, way)
        tasks = []
        with torch.enable_grad(), torch.autocast(support_y.device.type, enabled=False):
            for number in range(len(support_y)):
                x, y = map_inputs(lambda value, number=number: value[number], support_features), support_y[number]  # type: ignore[misc]
                tuning = Tuning(dense(copy.deepcopy(plain(self.backbone))), x, y, way, self.lr, self.start)
                held_out = folds_of(y, way)
                tuned = tuning.after(best_steps(tuning, held_out, self.most_steps) if held_out else int(self.steps))
                if not all(bool(torch.isfinite(value).all()) for value in (*tuned.network.values(), tuned.weights, tuning.features)):
                    raise DataError(
                        f"fine-tuning task {number} of the batch leaves numbers that are not finite. Lower learner.lr ({self.lr}), "
                        "or look at its items."
                    )
                tasks.append(tuned)
        network = {name: torch.stack([task.network[name] for task in tasks]) for name in tasks[0].network}
        known = F.one_hot(support_y, way).any(1)  # (B, N)
        bias = torch.stack([task.bias for task in tasks]).masked_fill(~known, -math.inf)
        return FineTuned(network, torch.stack([task.weights for task in tasks]), bias)

    def predict(self, adapted: FineTuned, query_features: Inputs) -> Tensor:
        """Return Wᵀ f_θ': items (B, Q, …) → (B, Q, N)."""
        check_queries(self, len(adapted.bias), query_features)
        network = copy.deepcopy(plain(self.backbone))  # functional_call puts parameters into the module while it runs
        logits = []
        for number in range(len(adapted.bias)):
            x = map_inputs(lambda value, number=number: value[number], query_features)  # type: ignore[misc]
            features = called(network, x, {name: value[number] for name, value in adapted.network.items()})
            logits.append(features @ adapted.weights[number] + adapted.bias[number])
        return torch.stack(logits)

    def for_training(self, example: Batch) -> Trainable:
        """Return the learner with W_b, a linear layer; see `Learner`."""
        return ItemTraining(self, linear_head(self, example))

    def after_training(self, items: Iterable[Inputs], score: Callable[[], float]) -> None:
        """Set the number of steps to the one that scores best."""
        choose_steps(self, score)


class Progress(NamedTuple):
    """The present state of a fine-tuning.

    Attributes:
        tuned: θ' by name, with W and b as `head/weights` and `head/bias`.
        state: Adam's state for them.
        steps: Steps taken so far.
    """

    tuned: Tensors
    state: Tensors
    steps: int


class Tuning:
    """Fine-tuning on one task, with a copy of the network that nobody else uses.

    Args:
        network: The copy of the network.
        x: Support items (S, …).
        y: Labels (S,).
        way: N.
        lr: α.
        start: Where the head starts.
    """

    def __init__(self, network: nn.Module, x: Inputs, y: Tensor, way: int, lr: float, start: str) -> None:
        self.network, self.x, self.y, self.way, self.start = network, x, y, way, start
        self.rule = Descent(lr, Adam())
        self.parameters = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}
        self.absent = ~F.one_hot(y, way).any(0)  # (N,)
        with torch.no_grad():
            self.features = vectors_of(called(network, x, self.parameters), "FineTune", len(y))  # (S, D), before any step

    def after(self, steps: int) -> FineTuned:
        """Return the result of `steps` steps on all items."""
        everything = torch.ones_like(self.y, dtype=torch.bool)
        progress = self._begin(everything)
        for _ in range(steps):
            progress, _ = self._step(progress, everything)
        network = {name: progress.tuned[name] for name in self.parameters}
        return FineTuned(network, progress.tuned[WEIGHTS], progress.tuned[BIAS])

    def held_out_losses(self, held_out: Tensor) -> Iterator[Tensor]:
        """Yield the summed loss on held-out items, bool (S,), after 0, 1, 2 … steps on the others."""
        progress = self._begin(~held_out)
        while True:
            progress, logits = self._step(progress, ~held_out)
            yield F.cross_entropy(logits[held_out], self.y[held_out], reduction="sum")

    def _begin(self, kept: Tensor) -> Progress:
        if self.start == "zero":
            weights, bias = self.features.new_zeros(self.features.shape[1], self.way), self.features.new_zeros(self.way)
        else:
            means = class_means(self.features[kept].unsqueeze(0), self.y[kept].unsqueeze(0), self.way)[0]  # (N, D)
            means = means.masked_fill(self.absent.unsqueeze(1), 0.0)
            spread = (self.features[kept] - self.features[kept].mean(0)).square().sum(1).mean()
            spread = torch.where(spread > 0, spread, 1.0)  # 0 if all items are equal, and no head tells them apart
            weights, bias = 2 * means.T / spread, -means.square().sum(1) / spread
        tuned = {**self.parameters, WEIGHTS: weights, BIAS: bias}
        return Progress(tuned, self.rule.init(tuned), 0)

    def _step(self, progress: Progress, kept: Tensor) -> tuple[Progress, Tensor]:
        """Take one step on the items that are kept. Return also the logits (S, N) of all items before the step, detached."""
        leaves = {name: value.detach().requires_grad_() for name, value in progress.tuned.items()}
        features = functional_call(self.network, {name: leaves[name] for name in self.parameters}, (self.x,))
        logits = (features @ leaves[WEIGHTS] + leaves[BIAS]).masked_fill(self.absent, -math.inf)
        loss = F.cross_entropy(logits[kept], self.y[kept])
        slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            gradients = dict(zip(leaves, slopes, strict=True))
            tuned, state = self.rule.update(gradients, progress.state, progress.tuned, progress.steps)
        return Progress(tuned, state, progress.steps + 1), logits.detach()


def folds_of(y: Tensor, way: int) -> list[Tensor]:
    """Return which items are held out together, bool (S,) per fold. No fold holds all items of a class. Empty if no class has two items.

    Args:
        y: Labels (S,).
        way: N.
    """
    labels = F.one_hot(y, way)  # (S, N)
    rank = (labels.cumsum(0) * labels).sum(1) - 1  # (S,): position of each item within its class
    sizes = labels.sum(0)
    folds = min(FOLDS, int(sizes.max()))
    others = sizes[y] > 1
    return [(rank % folds == fold) & others for fold in range(folds)] if folds > 1 else []


def best_steps(tuning: Tuning, held_out: list[Tensor], most: int) -> int:
    """Return the number of steps, 0 … `most`, with the lowest loss on held-out items; at equal losses, the smaller number."""
    losses: list[float] = []
    folds = [tuning.held_out_losses(fold) for fold in held_out]
    while len(losses) <= most:
        loss = float(sum(next(fold) for fold in folds))
        losses.append(loss if math.isfinite(loss) else math.inf)
        best = losses.index(min(losses))
        if len(losses) - 1 - best >= PATIENCE:
            break
    return best


def choose_steps(learner: FineTune, score: Callable[[], float], candidates: Iterable[int] = CANDIDATES) -> Mapping[int, float]:
    """Set `learner.steps` to the candidate that scores best; at equal scores, to the smaller one.

    Args:
        learner: The learner whose `steps` is set. If all candidates score the same, nothing was learned about them and `steps` stays
            unchanged.
        score: Scores the learner in its present state on validation episodes with one support item per class; higher is better.
        candidates: Numbers of steps to try.

    Returns:
        The score of each candidate.
    """
    before = learner.steps.clone()
    scores = {}
    for number in sorted(candidates):
        learner.steps.fill_(number)
        scores[number] = score()
    best = max(scores, key=lambda number: (scores[number], -number))
    learner.steps.copy_(before if len(set(scores.values())) == 1 else torch.tensor(best))
    return scores
