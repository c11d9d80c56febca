"""Time one update of a learned optimiser against `torch.optim.Adam`: a million float32 parameters, one thread.

    python -m benchmarks.learned_update

Mark: at most 5 times Adam's time for one tensor of a million. Eight tensors of an MLP, 932,362 parameters, stand beside it.

The floor of the coordinate-wise LSTM of the paper (two layers of 20 units, a state per coordinate) is 10⁶ · 2 · (80·22 + 80·40) = 10 GFLOP:
100 ms at 100 GFLOP/s in products of matrices alone, and 2·10⁸ sigmoids and hyperbolic tangents on top, where Adam takes about 3 ms. It is
measured on a tenth of the parameters, times ten. The rule that ships runs its LSTM once per tensor; per coordinate it reads and writes 44
bytes (Adam 28) and computes about 100 operations, a logarithm, an exponential and a reciprocal root.
"""

import sys
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import ratio, take_turns
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer

MARK = 5.0
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "one tensor": [(1000, 1000)],
    "an MLP": [(512, 784), (512,), (512, 512), (512,), (512, 512), (512,), (10, 512), (10,)],
}
TURNS = 15


def parameters(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(0.03 * torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    torch.set_num_threads(1)
    good = True
    print("one update of a million parameters, one thread, median of turns")
    for name, shapes in SHAPES.items():
        contenders: dict[str, Callable[[], object]] = {
            "learned": LearnedOptimizer().optimizer(parameters(shapes)).step,
            "adam": torch.optim.Adam(parameters(shapes)).step,
        }
        timings = take_turns(contenders, turns=TURNS, warmup=2)
        times = ratio(timings["learned"], timings["adam"])
        learned, adam = (1000 * timings[contender].median for contender in ("learned", "adam"))
        marked = name == "one tensor"
        print(f"  {name:<12} learned {learned:7.2f} ms   Adam {adam:7.2f} ms   {times:5.2f} times{f'   mark {MARK:g}' if marked else ''}")
        good &= times <= MARK or not marked
    step = LearnedOptimizer("coordinate_lstm").optimizer(parameters([(100, 1000)])).step
    adam_step = torch.optim.Adam(parameters([(100, 1000)])).step
    timings = take_turns({"learned": step, "adam": adam_step}, turns=3)
    print(f"  {'one tensor':<12} the coordinate-wise LSTM of the paper: {10_000 * timings['learned'].median:.0f} ms")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
