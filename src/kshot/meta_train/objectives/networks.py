"""Small networks that learn to classify: 10 classes drawn at random, 20 pictures of each, batches of 32, cross-entropy.

Two architectures, whose weights start as `torch.nn.Linear` and `Conv2d` start them, uniform in ±1/√inputs:

    mlp     pixels → hidden layers of 32 → 10. Function n has the activation number n mod 3 of ReLU, tanh and sigmoid.
    conv4   four times (3×3 convolution, normalisation by the statistics of the batch, ReLU, 2×2 maximum), then a linear layer. Maps that
            are one pixel wide are not halved further.

All B networks are computed at once: products of batches of matrices, and grouped convolutions. In: numbers. Out: an `Objective`. Next:
`table`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.episodes.counter_random import below, key_of, streams, words
from kshot.learners.inner_loop.parameters import Tensors
from kshot.meta_train.objectives.labelled_pictures import PICTURES
from kshot.meta_train.objectives.objective import Part, generators

CLASSES, PER_CLASS, BATCH = 10, 20, 32


@dataclass(frozen=True)
class Networks:
    """A distribution of classification problems for one architecture.

    Attributes:
        pictures: A name in `PICTURES`.
        architecture: `mlp` or `conv4`.
        hidden: Widths of the hidden layers of an mlp, or of the four layers of a conv4.
        tested: How many functions a test draws for each seed: one of each activation.
    """

    pictures: str
    architecture: Literal["mlp", "conv4"]
    hidden: tuple[int, ...] = (32,)
    tested: int = 3

    @property
    def what(self) -> str:
        """Such as `mlp networks with hidden layers of 32 on omniglot`."""
        return f"{self.architecture} networks with hidden layers of {', '.join(map(str, self.hidden))} on {self.pictures}"

    def draw(self, seed: int, numbers: Sequence[int], part: Part) -> "Network":
        """B problems; arguments as in `ObjectiveKind`.

        Raises:
            SetupError: The pictures come with a package that is not installed.
        """
        read, side = PICTURES[self.pictures]
        pool = read(part)
        name = f"{self.architecture}/{self.pictures}/{self.hidden}"
        x, starts = [], []
        for generator in generators(seed, numbers, part, name):
            classes = torch.randperm(len(pool), generator=generator)[:CLASSES]
            items = torch.randperm(pool.shape[1], generator=generator)[:PER_CLASS]
            chosen = pool[classes][:, items].flatten(0, 1)
            x.append(chosen / 255 if chosen.dtype == torch.uint8 else chosen)
            starts.append(self._start(side, generator))
        batches = streams(key_of({"batches": name, "part": part, "seed": seed}), np.asarray(numbers, dtype=np.int64))
        return Network(
            x=torch.stack(x),
            y=torch.arange(CLASSES).repeat_interleave(PER_CLASS).expand(len(x), -1),
            start={key: torch.stack([each[key] for each in starts]) for key in starts[0]},
            activations=activations_of(numbers),
            convolutional=self.architecture == "conv4",
            batches=batches,
        )

    def _start(self, side: int, generator: torch.Generator) -> Tensors:
        if self.architecture == "mlp":
            return mlp_start((side * side, *self.hidden, CLASSES), generator)
        start: Tensors = {}
        channels = 1
        for layer, out in enumerate(self.hidden):
            start[f"w{layer}"] = _uniform(generator, out, channels, 3, 3, inputs=9 * channels)
            start[f"scale{layer}"], start[f"shift{layer}"] = torch.ones(out), torch.zeros(out)
            channels, side = out, max(1, side // 2)
        features = channels * side * side
        start["w"], start["b"] = (_uniform(generator, *shape, inputs=features) for shape in ((features, CLASSES), (CLASSES,)))
        return start


@dataclass(frozen=True)
class Network:
    """B problems of one architecture.

    Attributes:
        x: Pictures in [0, 1], (B, M, 1, side, side), or rows of numbers, (B, M, …).
        y: Labels, int64 (B, M), or real targets, float32 (B, M).
        start: Where the parameters start.
        activations: Which activation an mlp has, (B, 1, 1): 0 ReLU, 1 tanh, 2 sigmoid.
        convolutional: Whether it is a conv4.
        batches: The stream from which each problem draws its batches, uint64 (B,).
    """

    x: Tensor = field(repr=False)
    y: Tensor = field(repr=False)
    start: Tensors = field(repr=False)
    activations: Tensor
    convolutional: bool
    batches: np.ndarray = field(repr=False)

    def loss(self, parameters: Tensors, step: int) -> Tensor:
        """Cross-entropy, or squared error, on the 32 items of a step, drawn with replacement: (B,)."""
        drawn = below(words(self.batches, step * BATCH, BATCH), self.x.shape[1]).T  # (B, 32)
        items = torch.from_numpy(np.ascontiguousarray(drawn))
        return self._loss(parameters, self.x[torch.arange(len(self.x))[:, None], items], self.y.gather(1, items))

    def full_loss(self, parameters: Tensors) -> Tensor:
        """Cross-entropy, or squared error, on all M items: (B,). A conv4 normalises by the statistics of all of them."""
        return self._loss(parameters, self.x, self.y)

    def _loss(self, parameters: Tensors, x: Tensor, y: Tensor) -> Tensor:
        logits = conv4(parameters, x) if self.convolutional else mlp(parameters, x, self.activations)  # (B, M, classes)
        if y.is_floating_point():
            return (logits.squeeze(-1) - y).square().mean(1)
        losses = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        return losses.view(y.shape).mean(1)


def _uniform(generator: torch.Generator, *shape: int, inputs: int) -> Tensor:
    return (torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(inputs)


def mlp_start(widths: Sequence[int], generator: torch.Generator) -> Tensors:
    """Where the parameters of an mlp start: `w0` (inputs, out), `b0` (out,), and so on."""
    start: Tensors = {}
    for layer, (wide, out) in enumerate(pairwise(widths)):
        start[f"w{layer}"], start[f"b{layer}"] = (_uniform(generator, *shape, inputs=wide) for shape in ((wide, out), (out,)))
    return start


def activations_of(numbers: Sequence[int]) -> Tensor:
    """The activation of each function: 0 ReLU, 1 tanh, 2 sigmoid, (B, 1, 1)."""
    return torch.as_tensor(np.asarray(numbers) % 3).view(-1, 1, 1)


def mlp(parameters: Tensors, x: Tensor, activations: Tensor) -> Tensor:
    """Logits (B, M, classes) of items (B, M, …)."""
    x = x.flatten(2)
    layers = len(parameters) // 2
    for layer in range(layers):
        x = torch.baddbmm(parameters[f"b{layer}"].unsqueeze(1), x, parameters[f"w{layer}"])
        if layer < layers - 1:
            x = torch.where(activations == 0, torch.relu(x), torch.where(activations == 1, torch.tanh(x), torch.sigmoid(x)))
    return x


def conv4(parameters: Tensors, x: Tensor) -> Tensor:
    """Logits (B, M, 10) of pictures (B, M, 1, side, side)."""
    tasks, items = x.shape[:2]
    x = x.transpose(0, 1).flatten(1, 2)  # (M, B, side, side)
    layer = 0
    while f"w{layer}" in parameters:
        x = F.conv2d(x, parameters[f"w{layer}"].flatten(0, 1), padding=1, groups=tasks)  # (M, B C, side, side)
        scale, shift = (parameters[f"{name}{layer}"].flatten() for name in ("scale", "shift"))
        x = torch.relu(F.batch_norm(x, None, None, scale, shift, training=True))
        x = F.max_pool2d(x, 2) if x.shape[-1] > 1 else x
        layer += 1
    x = x.view(items, tasks, -1).transpose(0, 1)  # (B, M, features)
    return torch.baddbmm(parameters["b"].unsqueeze(1), x, parameters["w"])
