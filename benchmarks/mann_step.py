"""Time a training step of a memory-augmented network against the same step with `torch.nn.LSTM` alone, at equal hidden size.

    python -m benchmarks.mann_step

16 episodes of 50 items of 400 pixels, hidden size 200, 128 slots of 40 numbers, 4 heads: forward, backward and Adam, on one thread. Mark:
≤ 5 times, goal 3. Beside it stands the step by the plain equations with automatic differentiation. The allocator is tuned as in
`kshot train`. The floor in operations and bytes is in `kshot.learners.memory.recurrence`.
"""

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import Timing, ratio, take_turns
from kshot.allocator import keep_freed_memory
from kshot.backbones.flat import Flat
from kshot.learners.memory.lstm_control import LSTMControl
from kshot.learners.memory.mann import MANN
from kshot.learners.memory.sequence_learner import SequenceLearner

MARK, GOAL = 5.0, 3.0
EPISODES, ITEMS, PIXELS, LABELS = 16, 50, 400, 5


def by_equations(learner: MANN, inputs: Tensor) -> Tensor:
    """Do the steps one by one: (T, B, I) → logits (T, B, L · A)."""
    state, logits = learner.begin(inputs.shape[1], inputs), []
    for x in inputs:
        one, state = learner.step(x, state)
        logits.append(one)
    return torch.stack(logits)


def contend(turns: int) -> dict[str, Timing]:
    """Return the timings of the three steps."""
    torch.manual_seed(0)
    mann, lstm = MANN(Flat(), PIXELS), LSTMControl(Flat(), PIXELS)
    inputs = torch.rand(ITEMS, EPISODES, PIXELS + LABELS)
    spelled = torch.randint(LABELS, (EPISODES, ITEMS, 1))

    def step(learner: SequenceLearner, logits: Callable[[], Tensor]) -> Callable[[], None]:
        optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3)

        def once() -> None:
            optimizer.zero_grad()
            learner.code.loss(logits().transpose(0, 1), spelled).mean().backward()  # type: ignore[no-untyped-call]  # torch's own
            optimizer.step()

        return once

    return take_turns(
        {
            "MANN": step(mann, lambda: mann.follow(inputs, mann.begin(EPISODES, inputs))[0]),
            "MANN by the equations": step(mann, lambda: by_equations(mann, inputs)),
            "LSTM": step(lstm, lambda: lstm.follow(inputs, lstm.begin(EPISODES, inputs))[0]),
        },
        turns=turns,
        warmup=3,
    )


def main() -> int:
    """Print the table; return 1 if the mark is missed."""
    keep_freed_memory()
    torch.set_num_threads(1)
    timings = contend(turns=20)
    print(f"a training step of {EPISODES} episodes × {ITEMS} items against torch.nn.LSTM, 1 thread")
    print(f"  {'step':<24}{'ms':>8}{'least ms':>10}{'ratio':>7}  (mark {MARK:g}, goal {GOAL:g})")
    for name, timing in timings.items():
        print(f"  {name:<24}{1e3 * timing.median:>8.1f}{1e3 * timing.least:>10.1f}{ratio(timing, timings['LSTM']):>7.2f}")
    return 0 if ratio(timings["MANN"], timings["LSTM"]) <= MARK else 1


if __name__ == "__main__":
    sys.exit(main())
