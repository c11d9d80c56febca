"""An encoder while it learns: its network, a direction for each class, and one step that brings the two together.

    p(c | x) = softmax_c(s · cos(v(x), w_c))        loss = mean over the batch of -log p(y | x)

w_c begins as the mean direction of the examples of class c, and is trained beside the network. This is the normalised softmax of
A. Zhai and H.-Y. Wu, "Classification is a strong baseline for deep metric learning", 2019. SetFit (L. Tunstall and others, "Efficient
few-shot learning without prompts", 2022) draws pairs of texts and brings their cosine to 0 or 1. Here, one text is compared with N
directions in one forward pass, which is what a processor has time for. A batch is computed in parts that fit into memory; the gradient is
that of the whole batch, because the loss of an example is its own.

In: a `Tunable`, items and labels. Next: `kshot.tasks.tune.stages`.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.encoders.encoder import Tunable
from kshot.errors import TrainingError
from kshot.seeding import seeded
from kshot.tasks.tune.batches import parts_of
from kshot.tasks.tune.plan import TunePlan

_LONGEST_GRADIENT = 1.0
_PURPOSE = "tuning"


class Learning:
    """A network and the directions of N classes, in training.

    Args:
        tunable: The network, which is changed.
        plan: How it learns.
        directions: Where the directions begin, (N, D).
        device: Where it is computed.

    Attributes:
        tunable: The network.
        directions: w, (N, D).
        optimizer: AdamW of both.
    """

    def __init__(self, tunable: Tunable, plan: TunePlan, directions: Tensor, device: torch.device) -> None:
        self.tunable, self.plan, self.device = tunable, plan, device
        tunable.network.to(device)
        self.directions = nn.Parameter(F.normalize(directions.float(), dim=1).to(device))
        groups = [
            {"params": self.trained(), "lr": plan.lr, "weight_decay": plan.weight_decay},
            {"params": [self.directions], "lr": plan.proxy_lr, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the network that are trained."""
        return [parameter for parameter in self.tunable.network.parameters() if parameter.requires_grad]

    def step(self, items: Sequence[np.ndarray], labels: np.ndarray, costs: np.ndarray, step: int, steps: int, stage: int) -> float:
        """Learn from one batch.

        Args:
            items: The M examples.
            labels: Their classes, int64 (M,).
            costs: What they cost, (M,).
            step: Number of the step, from 0.
            steps: Number of steps of the stage.
            stage: Number of the stage.

        Returns:
            The loss before the step.

        Raises:
            TrainingError: The loss is not finite.
        """
        plan, network = self.plan, self.tunable.network
        factor = plan.factor(step, steps)
        for group, lr in zip(self.optimizer.param_groups, (plan.lr, plan.proxy_lr), strict=True):
            group["lr"] = lr * factor
        self.optimizer.zero_grad()
        learning_mode(network)
        total = 0.0
        with seeded(plan.seed, f"{_PURPOSE}/{stage}", step), torch.enable_grad():
            varied = np.random.default_rng((plan.seed, stage, step)).integers(0, 2**31, len(items))
            for part in parts_of(costs, self.tunable.most_cost):
                given = self.tunable.given([items[place] for place in part], [int(varied[place]) for place in part])
                vectors = network(**{name: value.to(self.device) for name, value in given.items()})
                truth = torch.from_numpy(labels[part]).to(self.device)
                loss = loss_of(vectors, self.directions, truth, plan.scale) * (len(part) / len(items))
                loss.backward()  # type: ignore[no-untyped-call]  # PyTorch annotates nothing here
                total += float(loss.detach())
        if not np.isfinite(total):
            raise TrainingError(f"the loss of step {step + 1} is {total}; the encoder cannot be tuned on these examples. Leave --tune out.")
        nn.utils.clip_grad_norm_(self.trained(), _LONGEST_GRADIENT)
        self.optimizer.step()
        return total


def loss_of(vectors: Tensor, directions: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Return the mean loss of vectors (M, D), given the directions of the classes (N, D) and labels (M,)."""
    cosines = F.normalize(vectors, dim=1) @ F.normalize(directions, dim=1).T  # (M, N)
    return F.cross_entropy(scale * cosines, labels)


def learning_mode(network: nn.Module) -> None:
    """Switch a network to training. The statistics of its batch normalisation stay: a few examples have poor ones."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def mean_directions(vectors: np.ndarray, labels: np.ndarray, way: int) -> Tensor:
    """Return the mean of the unit vectors of each class, (way, D). A class without any has the mean of all."""
    units = F.normalize(torch.from_numpy(np.ascontiguousarray(vectors)).float(), dim=1)
    found = units.mean(0).repeat(way, 1)
    for label in np.unique(labels).tolist():
        found[label] = units[torch.from_numpy(labels == label)].mean(0)
    return found


def vectors_of(tunable: Tunable, items: Sequence[np.ndarray], costs: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the vectors of M items of known costs (M,) under a network as it is now, without variation: float32 (M, D)."""
    network = tunable.network.to(device).eval()
    found: list[np.ndarray | None] = [None] * len(items)
    with torch.no_grad():
        for part in parts_of(costs, tunable.most_cost):
            given = tunable.given([items[place] for place in part])
            some = network(**{name: value.to(device) for name, value in given.items()}).float().cpu().numpy()
            for place, vector in zip(part.tolist(), some, strict=True):
                found[place] = vector
    return np.stack([vector for vector in found if vector is not None])
