"""Time one second-order meta-update of kshot's inner loop, the plain PyTorch loop and its peers, taking turns in one run.

    python -m benchmarks.inner_loop [--tasks 16] [--turns 7]

Conv4-64 with a linear head on 28×28 images, 5-way 1-shot, 15 queries per class, 5 inner steps: every contender has the same network, the
same tasks and the same allocator. The table is printed for the default allocator and for the tuned one (`keep_freed_memory`).

- plain: the usual loop, `create_graph=True` through stock operations, one backward pass per task;
- plain, channels last: the same loop with kshot's knowledge of stock operations: channels innermost in memory and ReLU after pooling;
- kshot in each mode: the block's operator, with tasks run as kshot chooses; `any module` is kshot on the plain loop's network;
- higher, torchopt, learn2learn and parallel-metalearn (MAML by `torch.vmap`) on the plain loop's network, if they are installed
  (`pip install --no-deps higher torchopt optree parallel-metalearn`; the package of learn2learn does not build here, but the folders
  `algorithms` and `utils` of its source are enough).

Before anything is timed, each exact contender's meta-gradient is compared in float64 with the plain loop's. Marks, against the plain loop
by the median of paired turns with the default allocator, on two cores: kshot ≤ 0.45 (goal 0.33), any stock module ≤ 0.7; flat: peak
memory with 50 steps ≤ 1.3 times that with 1, and ≤ 1.5 times the time of unrolled at 5. The floor is the plain loop's FLOPs, which
`torch.utils.flop_counter` counts, over the best rate that a convolution or a product of matrices reaches here.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.conv_block import StockConv4
from benchmarks.timing import ratio, take_turns
from kshot.allocator import keep_freed_memory
from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv_block import pixels_last
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop, Schedule
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.results.compare.peak_memory import least_peak, peak_memory

WAY, QUERIES, STEPS, RATE = 5, 15, 5, 0.1
MARKS = {"kshot unrolled": 0.45, "kshot unrolled, any module": 0.7}
Update = Callable[[], dict[str, Tensor]]
"""The work of one meta-update: it returns the gradient of the tasks' mean query loss, by name of parameter."""


class PlainConv4(nn.Module):
    """Stock modules in the usual order and layout, with the parameters of a Conv4."""

    def __init__(self, network: Conv4) -> None:
        super().__init__()
        self.blocks = StockConv4(network).blocks

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        for block in self.blocks:
            x = F.max_pool2d(F.relu(block.norm(block.conv(x))), 2)  # type: ignore[operator]
        return x.flatten(1)


Body = Literal["block", "plain", "channels last"]


class Headed(nn.Module):
    """A network and a linear head."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        conv4 = Conv4()
        if body == "plain":
            conv4.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.body = conv4 if body == "block" else PlainConv4(conv4) if body == "plain" else StockConv4(conv4)
        self.head = nn.Linear(64, WAY)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.body(x))
        return logits


def network(dtype: torch.dtype, body: Body = "plain") -> Headed:
    """Set the same numbers every time."""
    torch.manual_seed(0)
    return Headed(body).to(dtype)


def some_tasks(count: int, dtype: torch.dtype) -> EpisodeBatch:
    """Return noisy copies of one random image per class."""
    generator = torch.Generator().manual_seed(1)
    classes = torch.rand(count, WAY, 1, 28, 28, generator=generator)

    def items(shot: int) -> tuple[Tensor, Tensor]:
        y = torch.arange(WAY).repeat(count, shot)
        clean = classes[torch.arange(count)[:, None], y]
        return (clean + 0.3 * torch.randn(clean.shape, generator=generator)).to(dtype), y

    (support_x, support_y), (query_x, query_y) = items(1), items(QUERIES)
    return EpisodeBatch(support_x, support_y, query_x, query_y, WAY, np.arange(count))


def parts(batch: EpisodeBatch, task: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return support and query of one task."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    return batch.support_x[task], batch.support_y[task], batch.query_x[task], batch.query_y[task]


# The contenders.


def plain(batch: EpisodeBatch, dtype: torch.dtype, body: Body = "plain") -> Update:
    module = network(dtype, body)
    start: dict[str, Tensor] = dict(module.named_parameters())

    def update() -> dict[str, Tensor]:
        total = {name: torch.zeros_like(value) for name, value in start.items()}
        for task in range(len(batch)):
            x, y, query_x, query_y = parts(batch, task)
            fast = start
            for _ in range(STEPS):
                loss = F.cross_entropy(functional_call(module, fast, (x,)), y)
                slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
                fast = {name: value - RATE * slope for (name, value), slope in zip(fast.items(), slopes, strict=True)}
            loss = F.cross_entropy(functional_call(module, fast, (query_x,)), query_y) / len(batch)
            for name, slope in zip(start, torch.autograd.grad(loss, list(start.values())), strict=True):
                total[name] += slope
        return total

    return update


def kshot(
    mode: OuterGradient, body: Body = "block", *, steps: int = STEPS, tasks: Schedule | Literal["auto"] = "auto"
) -> Callable[[EpisodeBatch, torch.dtype], Update]:
    def make(batch: EpisodeBatch, dtype: torch.dtype) -> Update:
        module = network(dtype, body)
        parameters = divide_parameters(module)
        loop = InnerLoop(steps, Descent(RATE), mode, tasks=tasks)
        return lambda: meta_gradient(module, parameters, Classification(), batch, loop).start

    return make


def of_grad(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what was left in `.grad`, and remove it there."""
    found = {}
    for name, value in parameters.items():
        assert value.grad is not None
        found[name], value.grad = value.grad, None
    return found


def higher(batch: EpisodeBatch, dtype: torch.dtype) -> Update:
    package: Any = importlib.import_module("higher")
    module = network(dtype)
    descent = torch.optim.SGD(module.parameters(), lr=RATE)

    def update() -> dict[str, Tensor]:
        for task in range(len(batch)):
            x, y, query_x, query_y = parts(batch, task)
            with package.innerloop_ctx(module, descent, copy_initial_weights=False) as (fast, steps):
                for _ in range(STEPS):
                    steps.step(F.cross_entropy(fast(x), y))
                (F.cross_entropy(fast(query_x), query_y) / len(batch)).backward()  # type: ignore[no-untyped-call]
        return of_grad(dict(module.named_parameters()))

    return update


def torchopt(batch: EpisodeBatch, dtype: torch.dtype) -> Update:
    package: Any = importlib.import_module("torchopt")
    module = network(dtype)
    start: dict[str, Tensor] = dict(module.named_parameters())
    descent = package.MetaSGD(module, lr=RATE)
    at_start = [(thing, package.extract_state_dict(thing, by="reference")) for thing in (module, descent)]

    def update() -> dict[str, Tensor]:
        for task in range(len(batch)):
            x, y, query_x, query_y = parts(batch, task)
            for _ in range(STEPS):
                descent.step(F.cross_entropy(module(x), y))
            (F.cross_entropy(module(query_x), query_y) / len(batch)).backward()  # type: ignore[no-untyped-call]
            for thing, state in at_start:
                package.recover_state_dict(thing, state)
        return of_grad(start)

    return update


def learn2learn(batch: EpisodeBatch, dtype: torch.dtype) -> Update:
    package: Any = importlib.import_module("learn2learn.algorithms.maml")
    module = network(dtype)
    maml = package.MAML(module, lr=RATE, first_order=False)

    def update() -> dict[str, Tensor]:
        for task in range(len(batch)):
            x, y, query_x, query_y = parts(batch, task)
            fast = maml.clone()
            for _ in range(STEPS):
                fast.adapt(F.cross_entropy(fast(x), y))
            (F.cross_entropy(fast(query_x), query_y) / len(batch)).backward()  # type: ignore[no-untyped-call]
        return of_grad(dict(module.named_parameters()))

    return update


class WithoutFlags(nn.Module):
    """A module whose forward pass ignores the flags that parallel-metalearn hands on."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, **flags: object) -> Tensor:
        """Whatever the module gives."""
        found: Tensor = self.module(x)
        return found


def parallel_metalearn(batch: EpisodeBatch, dtype: torch.dtype) -> Update:
    algorithms: Any = importlib.import_module("metalearn.algorithms.MAML")
    losses: Any = importlib.import_module("metalearn.loss.CEloss")
    rules: Any = importlib.import_module("metalearn.inner_optimizers.optimizers")
    wrapper: Any = importlib.import_module("metalearn.model_wrappers.MAMLWrapper")
    module = network(dtype)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):  # torch.vmap cannot change running statistics in place; they do not enter the gradient
            norm.track_running_stats, norm.running_mean, norm.running_var, norm.num_batches_tracked = False, None, None, None
    model = wrapper.MAML_Model(backbone=WithoutFlags(module), head=WithoutFlags(nn.Identity()))
    rule = rules.InnerSGD(model.get_fast_weights(), inner_lr=RATE, max_inner_steps=STEPS, learn_lr=False).to(dtype)
    maml = algorithms.MAML(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        inner_optimizer=rule,
        support_loss_fn=losses.CrossEntropy(metric_fn=lambda logits, labels, mask: (logits.argmax(-1) == labels).to(dtype).mean()),
        inner_steps=STEPS,
        device=torch.device("cpu"),
    )
    tasks = (batch.support_x, {"labels": batch.support_y}, batch.query_x, {"labels": batch.query_y})

    def update() -> dict[str, Tensor]:
        maml.step(iter([tasks]))
        return of_grad(dict(module.named_parameters()))

    return update


EXACT: dict[str, Callable[[EpisodeBatch, torch.dtype], Update]] = {
    "plain": plain,
    "plain, channels last": partial(plain, body="channels last"),
    "kshot unrolled": kshot(unrolled),
    "kshot flat": kshot(flat),
    "kshot unrolled, any module": kshot(unrolled, "plain"),
    "kshot flat, any module": kshot(flat, "plain"),
    "higher": higher,
    "torchopt": torchopt,
    "learn2learn": learn2learn,
    "parallel-metalearn": parallel_metalearn,
}
PEERS = ("higher", "torchopt", "learn2learn", "parallel-metalearn")


def present() -> dict[str, Callable[[EpisodeBatch, torch.dtype], Update]]:
    """Return the available contenders, and print why any other is not available."""
    found = dict(EXACT)
    for name in PEERS:
        try:
            EXACT[name](some_tasks(1, torch.float32), torch.float32)
        except (ImportError, OSError) as error:
            print(f"  {name} is left out: {str(error).partition(chr(10))[0]}")
            del found[name]
    return found


def largest_difference(make: Callable[[EpisodeBatch, torch.dtype], Update]) -> float:
    """Return the difference from the plain loop's meta-gradient in float64 on three tasks, relative to its largest number."""
    batch = some_tasks(3, torch.float64)
    expected, found = plain(batch, torch.float64)(), make(batch, torch.float64)()
    largest = max(float(value.abs().max()) for value in expected.values())
    return max(float((found[name] - value).abs().max()) for name, value in expected.items()) / largest


def best_rate() -> float:
    """Return the FLOPs per second: the best of convolutions of 64 channels and of a product of matrices."""
    weight = torch.rand(64, 64, 3, 3).to(memory_format=torch.channels_last)
    rates = []
    for images in (5, 75):
        x = pixels_last(torch.rand(images, 64, 14, 14))
        timing = take_turns({"convolution": lambda x=x: F.conv2d(x, weight, padding=1)}, turns=30)["convolution"]  # type: ignore[misc]
        rates.append(images * 14 * 14 * 64 * 64 * 9 * 2 / timing.least)
    a, b = torch.rand(512, 512), torch.rand(512, 512)
    return max(*rates, 2 * 512**3 / take_turns({"product": lambda: a @ b}, turns=30)["product"].least)


def check_flat(count: int) -> bool:
    """Print memory (of two tasks in turn) and time of the flat mode against their marks."""
    batch = some_tasks(2, torch.float32)
    works = [kshot(flat, steps=steps, tasks="in_turn")(batch, torch.float32) for steps in (1, 50)]
    for work in works:
        work()
    peaks = [least_peak(work, torch.device("cpu")) for work in works]
    batch = some_tasks(count, torch.float32)
    timings = take_turns({"flat": kshot(flat)(batch, torch.float32), "unrolled": kshot(unrolled)(batch, torch.float32)}, turns=5)
    times = ratio(timings["flat"], timings["unrolled"])
    good = times <= 1.5
    if peaks[0] is not None and peaks[1] is not None:
        grows = peaks[1] / max(peaks[0], 1)
        good &= grows <= 1.3
        print(f"  flat: peak memory {peaks[0] / 1e6:.0f} MB with 1 step, {peaks[1] / 1e6:.0f} MB with 50: {grows:.2f} times (mark 1.3)")
    print(f"  flat: {times:.2f} times the time of unrolled at {STEPS} steps (mark 1.5)")
    return good


def table(
    allocator: str, makers: Mapping[str, Callable[[EpisodeBatch, torch.dtype], Update]], count: int, turns: int, floor: float
) -> bool:
    """Print one table and return whether the marks were met."""
    batch = some_tasks(count, torch.float32)
    updates = {name: make(batch, torch.float32) for name, make in makers.items()}
    timings = take_turns(updates, turns=turns)
    good = True
    for name, timing in timings.items():
        times = ratio(timing, timings["plain"])
        good &= times <= MARKS.get(name, 1e9)
        peak = peak_memory(updates[name], torch.device("cpu")) if allocator == "default" else None
        memory = "" if peak is None else f"{peak / 1e6:.0f}"
        mark = f"(mark {MARKS[name]})" if name in MARKS else ""
        print(
            f"  {allocator:<9}{name:<28}{1e3 * timing.least:>9.0f}{1e3 * timing.median:>9.0f}{times:>8.2f}{memory:>9}"
            f"{timing.least / floor:>8.1f}  {mark}"
        )
    return good


def main() -> int:
    """Print the tables; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description="Time one second-order meta-update.")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    asked_of = f"{WAY}-way 1-shot, {QUERIES} queries, {STEPS} steps, {asked.tasks} tasks"
    print(f"one meta-update: Conv4-64, {asked_of}, {torch.get_num_threads()} threads")
    makers = present()
    good = True
    for name, make in makers.items():
        if name != "plain":
            difference = largest_difference(make)
            good &= difference < 1e-8 or name in PEERS  # a peer's fault is told, and its time still says something
            print(f"  {name:<28} differs from the plain loop in float64 by {difference:.1e}  (mark 1e-8)")
    if not good:
        return 1
    counter = FlopCounterMode(display=False)
    update = plain(some_tasks(1, torch.float32), torch.float32)
    with counter:
        update()
    flops, rate = asked.tasks * counter.get_total_flops(), best_rate()
    floor = flops / rate
    print(f"  the plain loop computes {flops / 1e9:.1f} GFLOP; at {rate / 1e9:.0f} GFLOP/s, the best rate here: {1e3 * floor:.0f} ms")
    good &= check_flat(asked.tasks)
    print(f"  {'allocator':<9}{'contender':<28}{'ms: min':>9}{'median':>9}{'ratio':>8}{'peak MB':>9}{'× floor':>8}")
    timed = {**makers, "kshot first order": kshot(first_order)}
    good &= table("default", timed, asked.tasks, asked.turns, floor)
    if keep_freed_memory():
        table("tuned", timed, asked.tasks, asked.turns, floor)
    else:
        print("  tuned     not available: this machine has no glibc")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
