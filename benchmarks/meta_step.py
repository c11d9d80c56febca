"""Time a meta-training step against the bare network: forward + backward + optimiser on the same number of images.

    python -m benchmarks.meta_step

Mark: ≤ 1.5 times, with sampling, gathering and bookkeeping included. The table is printed for the default allocator and for the tuned one
(`kshot.allocator.keep_freed_memory`) in one run. The default comes first, because the setting cannot be undone.
The floor: 20 MFLOP per image forward, three times that with backward.
"""

import sys

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Timing, ratio, take_turns
from kshot.allocator import keep_freed_memory
from kshot.backbones.conv4 import Conv4
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.loop import Plan, start, train

SHAPES = {"60-way 1-shot 4 queries": EpisodeShape(60, 1, 4), "5-way 1-shot 5 queries": EpisodeShape(5, 1, 5)}


def contend(shape: EpisodeShape, turns: int) -> tuple[dict[str, Timing], int, int]:
    """Return the timings of both, the images per step and the FLOPs per bare step."""
    data = Omniglot()
    split = data.split("vinyals")
    way, shot, query = shape.way_range[0], shape.shot_range[0], shape.query_range[0]
    images = way * (shot + query)
    torch.manual_seed(0)
    plan = Plan(updates=10**6)
    steps = train(start(ProtoNet(Conv4()), plan), EpisodeStream(data, split.part("train"), "vinyals/train", shape, 0), plan)
    bare = Conv4()
    optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3)
    x, y = torch.rand(images, 1, 28, 28), torch.arange(images) % 64

    def bare_step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(bare(x), y).backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()

    counter = FlopCounterMode(display=False)
    with counter:
        bare_step()
    timings = take_turns({"meta-training step": lambda: next(steps), "bare network": bare_step}, turns=turns, warmup=3)
    return timings, images, counter.get_total_flops()


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    good = True
    print(f"a meta-training step against the bare network, {torch.get_num_threads()} threads")
    print(f"  {'allocator':<10}{'episode':<26}{'images':>7}{'step ms':>9}{'bare ms':>9}{'ratio':>7}  (mark 1.5){'GFLOP/s of bare':>18}")
    for allocator in ("default", "tuned"):
        if allocator == "tuned" and not keep_freed_memory():
            print("  tuned     not available: this machine has no glibc")
            break
        for name, shape in SHAPES.items():
            timings, images, flops = contend(shape, turns=12 if images_of(shape) > 100 else 60)
            step, bare = timings["meta-training step"], timings["bare network"]
            times = ratio(step, bare)
            good &= times <= 1.5
            rate = flops / bare.median / 1e9
            print(f"  {allocator:<10}{name:<26}{images:>7}{1e3 * step.median:>9.1f}{1e3 * bare.median:>9.1f}{times:>7.2f}{rate:>30.1f}")
    return 0 if good else 1


def images_of(shape: EpisodeShape) -> int:
    return shape.way_range[0] * (shape.shot_range[0] + shape.query_range[0])


if __name__ == "__main__":
    sys.exit(main())
