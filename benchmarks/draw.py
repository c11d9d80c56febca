"""Time drawing episodes: kshot's indices of 5, 20 and 60 ways, and at 5 ways easyfsl's `TaskSampler`; one core, one process.

    python -m benchmarks.draw

Marks: ≥ 200,000 episodes per second of 5-way 1-shot with 15 queries, ≥ 10,000 of 60-way; ≥ 20 times easyfsl 1.5.0. The floor: a 5-way
episode is 80 item numbers of 8 bytes drawn from 43 random 64-bit words. At one word per nanosecond and 10 GB/s of memory, that is about
0.11 µs, or 9 million episodes per second. More than 24 classes are the smallest of one random key per class, here 1,692: 3 µs.
"""

import importlib.util
import sys
import types
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from torch.utils.data import Sampler

from benchmarks.timing import ratio, take_turns
from kshot.data.class_index import ClassIndex
from kshot.episodes.draw import draw_episodes, episode_key
from kshot.episodes.shape import EpisodeShape

CLASSES, ITEMS = 1692, 20  # the Vinyals test part
KSHOT_EPISODES, PEER_EPISODES = {5: 40_000, 20: 20_000, 60: 4_000}, 400
MARKS = {5: 200_000, 60: 10_000}
AT_ONCE = 2_000


def kshot_draws(index: ClassIndex, shape: EpisodeShape, key: int) -> None:
    for start in range(0, KSHOT_EPISODES[shape.way_range[1]], AT_ONCE):
        draw_episodes(index, shape, key, np.arange(start, start + AT_ONCE))


def easyfsl_sampler() -> Iterable[object] | None:
    """Return easyfsl's sampler over the same classes, or None if easyfsl is not installed.

    Two obstacles outside the sampler are avoided without changing it. Importing it imports torchvision through `easyfsl.datasets`,
    although it uses a name from there only in annotations. And it passes torch's `Sampler` an argument that torch 2.13 no longer
    accepts.
    """
    if importlib.util.find_spec("easyfsl") is None:
        return None
    stand_in = types.ModuleType("easyfsl.datasets")
    stand_in.FewShotDataset = object  # type: ignore[attr-defined]
    sys.modules.setdefault("easyfsl.datasets", stand_in)
    from easyfsl.samplers import TaskSampler

    class AcceptsDataSource(Sampler[object]):
        def __init__(self, data_source: object = None) -> None:
            super().__init__()

    class Peer(TaskSampler, AcceptsDataSource):  # type: ignore[misc]
        pass

    class Labels:
        def get_labels(self) -> list[int]:
            return [label for label in range(CLASSES) for _ in range(ITEMS)]

    peer: Iterable[object] = Peer(Labels(), n_way=5, n_shot=1, n_query=15, n_tasks=PEER_EPISODES)  # type: ignore[call-arg]
    return peer


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    torch.set_num_threads(1)
    index = ClassIndex.build({f"class {c}": np.arange(ITEMS) + ITEMS * c for c in range(CLASSES)})
    contenders: dict[str, Callable[[], object]] = {}
    for way in KSHOT_EPISODES:
        shape = EpisodeShape(way=way, shot=1, query=15)
        contenders[f"kshot, {way}-way"] = partial(kshot_draws, index, shape, episode_key("benchmark", "test", shape, 0))
    sampler = easyfsl_sampler()
    if sampler is not None:
        contenders["easyfsl 1.5.0"] = lambda: list(sampler)
    timings = take_turns(contenders, turns=7)
    print("drawing 1-shot 15-query episodes of 1,692 classes (indices), one core")
    good = True
    for way, episodes in KSHOT_EPISODES.items():
        ours = episodes / timings[f"kshot, {way}-way"].median
        mark = f"mark {MARKS[way]:,}" if way in MARKS else ""
        print(f"  kshot, {way:>2}-way  {ours:>12,.0f} episodes per second   {mark}".rstrip())
        good &= ours >= MARKS.get(way, 0)
    if sampler is None:
        print("  easyfsl        not installed: pip install --no-deps easyfsl==1.5.0 to compare")
    else:
        theirs = PEER_EPISODES / timings["easyfsl 1.5.0"].median
        times = (KSHOT_EPISODES[5] / PEER_EPISODES) / ratio(timings["kshot, 5-way"], timings["easyfsl 1.5.0"])
        print(f"  easyfsl 1.5.0  {theirs:>12,.0f} episodes per second")
        print(f"  ratio          {times:>12,.0f} times                mark 20")
        good &= times >= 20
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
