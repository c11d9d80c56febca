"""Fine-tuning: train a classifier, then let all layers take a few gradient steps on the support set.

    training:    θ, W_b = argmin  E -log softmax(W_bᵀ f_θ(x))_y               over all training classes, in plain batches
    adaptation:  (θ', W) ← Adam step of rate α on  1/S Σ_i -log softmax(Wᵀ f_θ'(x_i))_{y_i}      n times, from θ' = θ

The older answer to few examples, and what any meta-learner must beat. Training is that of the baseline of Chen et al. 2019
(`kshot.learners.transfer.baseline`), which keeps θ' = θ; so an encoder trained there serves here. Steps are Adam's (Kingma, Ba, 2015; β =
0.9 and 0.999, moments from 0 for each task), because they are of size α whatever the length of the features: plain gradient steps stood
still at one rate and blew up at five times that. Two things decide how well it works:

Where the head starts. From the class means c_k of f_θ: w_k = 2 c_k / v, b_k = -‖c_k‖² / v, whose logits are -‖f - c_k‖² / v up to a
number that all classes share, so that no steps at all are the nearest class mean (Triantafillou et al., "Meta-Dataset", ICLR 2020,
arXiv 1903.03096, section 3, with v = 1). v is the mean squared distance of the support features from their mean: with v = 1 and
features 10 long every support item is classified with certainty, and there is no slope to follow. Or from 0, where the first step
moves the head alone.

How many steps. From two support items a class on, by leaving items out: in fold j of at most 5, the j-th, (j+5)-th … item of each
class that has others is held out; all folds go step by step, and the number of steps with the least loss on what was held out is
taken; the search ends at `most_steps`, or 3 steps after the least. So it costs at most 5 fine-tunings more, however large the
support set. With one item a class there is nothing to leave out: `steps` are taken, which `choose_steps` finds on validation
episodes; `kshot train` does so after the last update.

Batch normalisation keeps its running statistics, which do not move: adaptation happens in evaluation mode, and a query is answered
as if it were alone. Adaptation works on copies: the learner never changes, not even while it happens, so any number of threads may
adapt at once. Limits: `adapt` keeps a network a task; nothing can be encoded once an item, so evaluation is slow. A class without a
support item has logit -∞. Measured: docs/learners/finetune.md.
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
from kshot.learners.heads.centres import class_means
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.learner import Batch, Trainable, require_family, way_of
from kshot.learners.settings import require_count, require_positive
from kshot.learners.transfer.item_training import ItemLearner, ItemTraining, linear_head

FOLDS, PATIENCE = 5, 3
WEIGHTS, BIAS = "head/weights", "head/bias"
CANDIDATES = (0, 1, 2, 3, 5, 10, 20, 50)


class FineTuned(NamedTuple):
    """What fine-tuning learns of a task.

    Attributes:
        network: θ', the backbone's parameters by name, each (B, …).
        weights: W, (B, D, N).
        bias: (B, N); -∞ for a class without a support item.
    """

    network: dict[str, Tensor]
    weights: Tensor
    bias: Tensor


class FineTune(ItemLearner):
    """The equations above.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        steps: n where no class has two support items, ≥ 0; training chooses another.
        most_steps: The largest n where support items are held out to choose it.
        lr: α > 0, of Adam.
        start: `means` or `zero`: where the head starts.
        family: The kind of task; classification.

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
            require_count(name, count, 0)
        require_positive("the lr of fine-tuning", lr)
        if start not in ("means", "zero"):
            raise RecipeError(f"a head starts from 'means' or from 'zero'; found {start!r}.")
        self.backbone = backbone
        self.arguments = {"steps": steps, "most_steps": most_steps, "lr": lr, "start": start}
        self.most_steps, self.lr, self.start = most_steps, lr, start
        self.register_buffer("steps", torch.tensor(steps))
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Inputs:
        """Returns x unchanged: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FineTuned:
        """Items (B, S, …) and labels (B, S) → a network and a head for each task.

        Raises:
            DataError: A task's loss is not a number: α is too large for it, or its items are no finite numbers.
        """
        way = way_of(support_y, way)
        tasks = []
        with torch.enable_grad(), torch.autocast(support_y.device.type, enabled=False):
            for number in range(len(support_y)):
                x, y = map_inputs(lambda value, number=number: value[number], support_features), support_y[number]  # type: ignore[misc]
                tuning = Tuning(copy.deepcopy(self.backbone), x, y, way, self.lr, self.start)
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
        """Wᵀ f_θ': items (B, Q, …) → (B, Q, N)."""
        network = copy.deepcopy(self.backbone)  # functional_call puts parameters into the module for as long as it runs
        logits = []
        for number in range(len(adapted.bias)):
            x = map_inputs(lambda value, number=number: value[number], query_features)  # type: ignore[misc]
            features = functional_call(network, {name: value[number] for name, value in adapted.network.items()}, (x,))
            logits.append(features @ adapted.weights[number] + adapted.bias[number])
        return torch.stack(logits)

    def for_training(self, example: Batch) -> Trainable:
        """With W_b, a linear layer; see `Learner`."""
        return ItemTraining(self, linear_head(self, example))

    def after_training(self, items: Iterable[Inputs], score: Callable[[], float]) -> None:
        """Takes the number of steps that scores best."""
        choose_steps(self, score)


class Tuned(NamedTuple):
    """What a fine-tuning has come to, detached.

    Attributes:
        network: θ' by name.
        weights: W, (D, N).
        bias: (N,).
    """

    network: Tensors
    weights: Tensor
    bias: Tensor


class Progress(NamedTuple):
    """Where a fine-tuning is.

    Attributes:
        tuned: θ' by name, with W and b as `head/weights` and `head/bias`.
        state: What Adam remembers of them.
        steps: Steps taken so far.
    """

    tuned: Tensors
    state: Tensors
    steps: int


class Tuning:
    """Fine-tuning on one task, on a copy of the network that nobody else has.

    Args:
        network: The copy.
        x: Support items (S, …).
        y: Labels (S,).
        way: N.
        lr: α.
        start: Where the head starts.
    """

    def __init__(self, network: nn.Module, x: Inputs, y: Tensor, way: int, lr: float, start: str) -> None:
        self.network, self.x, self.y, self.way, self.start = network, x, y, way, start
        self.rule = Descent(lr, Adam())
        self.parameters = {name: value.detach() for name, value in network.named_parameters()}
        self.absent = ~F.one_hot(y, way).any(0)  # (N,)
        with torch.no_grad():
            self.features = functional_call(network, self.parameters, (x,))  # (S, D), before any step

    def after(self, steps: int) -> Tuned:
        """What `steps` steps on all items lead to."""
        everything = torch.ones_like(self.y, dtype=torch.bool)
        progress = self._begin(everything)
        for _ in range(steps):
            progress, _ = self._step(progress, everything)
        network = {name: progress.tuned[name] for name in self.parameters}
        return Tuned(network, progress.tuned[WEIGHTS], progress.tuned[BIAS])

    def held_out_losses(self, held_out: Tensor) -> Iterator[Tensor]:
        """The summed loss on held-out items (S,) bool, after 0, 1, 2 … steps on the others."""
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
            spread = torch.where(spread > 0, spread, 1.0)  # of equal items, which no head tells apart
            weights, bias = 2 * means.T / spread, -means.square().sum(1) / spread
        tuned = {**self.parameters, WEIGHTS: weights, BIAS: bias}
        return Progress(tuned, self.rule.init(tuned), 0)

    def _step(self, progress: Progress, kept: Tensor) -> tuple[Progress, Tensor]:
        """One step on the items that are kept, and the logits (S, N) of all items before it, detached."""
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
    """Which items are held out together, bool (S,) each; no fold holds all items of a class. Empty where no class has two items.

    Args:
        y: Labels (S,).
        way: N.
    """
    labels = F.one_hot(y, way)  # (S, N)
    rank = (labels.cumsum(0) * labels).sum(1) - 1  # (S,): which item of its class
    sizes = labels.sum(0)
    folds = min(FOLDS, int(sizes.max()))
    others = sizes[y] > 1
    return [(rank % folds == fold) & others for fold in range(folds)] if folds > 1 else []


def best_steps(tuning: Tuning, held_out: list[Tensor], most: int) -> int:
    """The number of steps, 0 … `most`, with the least loss on held-out items; the smaller of two that are equal."""
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
    """Set `learner.steps` to the candidate that scores best; the smaller of two that are equal.

    Args:
        learner: Whose `steps`; where all candidates score the same they stay as they are, for then nothing was learned of them.
        score: Scores the learner as it is on validation episodes with one support item a class; more is better.
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
