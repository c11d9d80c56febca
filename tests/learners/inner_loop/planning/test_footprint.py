"""The estimate, by hand and for a network whose graph is known; what does not fit is refused with what to change."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kshot.episodes.family import Classification
from kshot.errors import SetupError
from kshot.learners.gradient.maml_plus_plus import multi_step
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning import trust
from kshot.learners.inner_loop.planning.footprint import Footprint, bytes_kept, free_bytes, require_room


def test_what_a_graph_keeps_is_counted_once() -> None:
    x, w = torch.rand(100, 3), torch.rand(3, 7, requires_grad=True)
    assert bytes_kept(lambda: torch.tanh(x @ w), but=[w]) == 4 * (100 * 3 + 100 * 7)  # x for the product, tanh's own answer
    assert bytes_kept(lambda: torch.tanh(x @ w), but=[w, x]) == 4 * 100 * 7


def test_needs_by_hand() -> None:
    footprint = Footprint(step=100, query=1000, parameters=10)
    assert footprint.needed(unrolled.keeps(5), at_once=1) == 5 * 100 + 1000 + 6 * 10
    assert footprint.needed(flat.keeps(5), at_once=2) == 2 * (1000 + (5 + 6) * 10)
    assert footprint.needed(unrolled.keeps(5), at_once=8, apart=2) == 8 * 5 * 100 + 2 * 1000 + 8 * (1 + 6) * 10
    every_step = multi_step([0.25] * 4, {}, second_order=True).keeps(4)
    assert footprint.needed(every_step, at_once=8, apart=2) == 8 * 4 * 100 + 2 * 1000 + 8 * (4 + 6) * 10
    assert footprint.needed(flat.keeps(100), at_once=1) == 1000 + (2 * 10 + 6) * 10  # every tenth, and the ten between two of them
    assert footprint.needed(first_order.keeps(5), at_once=1) == footprint.needed(implicit(1.0, 3).keeps(5), at_once=1) == 1000 + 6 * 10


def test_the_state_of_a_rule_counts() -> None:
    footprint = Footprint(step=100, query=1000, parameters=10, state=20)
    assert footprint.needed(unrolled.keeps(5), at_once=2) == 2 * (5 * 100 + 1000 + 6 * 10 + 3 * 20)
    assert footprint.needed(flat.keeps(5), at_once=1) == 1000 + 5 * (10 + 20) + 6 * 10 + 3 * 20


def test_a_loss_after_every_step_keeps_the_graphs_of_all_of_them() -> None:
    footprint = Footprint(step=100, query=1000, parameters=10)
    every, last = [0.25] * 4, [0.0, 0.0, 0.0, 1.0]
    needs = {
        (tuple(weights), second_order): footprint.needed(multi_step(weights, {}, second_order=second_order).keeps(4), at_once=1)
        for weights in (every, last)
        for second_order in (True, False)
    }
    assert list(needs.values()) == [4 * 100 + 4 * 1000 + 60, 100 + 4 * 1000 + 60, 4 * 100 + 1000 + 60, 100 + 1000 + 60]


def test_flat_needs_hardly_more_for_more_steps() -> None:
    footprint = Footprint(step=2**20, query=2**24, parameters=2**16)
    one, fifty = (footprint.needed(flat.keeps(steps), at_once=1) for steps in (1, 50))
    assert fifty < 1.3 * one
    assert footprint.needed(unrolled.keeps(50), at_once=1) > 3 * one


def test_what_cannot_fit_is_refused_before_the_first_step(loops: SimpleNamespace) -> None:
    module = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 3)).double()
    batch = loops.tasks(4)

    def ask(loop: InnerLoop, free: int) -> None:
        meta_gradient(module, divide_parameters(module), Classification(), batch, loop, free=free)

    with pytest.raises(SetupError, match=r"needs about \d+ MiB on cpu, and 3 MiB are free. .*: mode='flat' .*in_turn.*; fewer queries"):
        ask(InnerLoop(200, Descent(0.1), tasks="together"), 3 * 2**20)
    with pytest.raises(SetupError, match=r"free\. What helps: fewer queries"):
        ask(InnerLoop(2, Descent(0.1), flat, tasks="in_turn"), 2**10)
    ask(InnerLoop(2, Descent(0.1), flat, tasks="in_turn"), 2**22)


def test_the_refusal_comes_before_tasks_are_tried_together(loops: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    tried = []
    own = trust.solve
    monkeypatch.setattr(trust, "solve", lambda assignment, schedule: tried.append(assignment.loop.steps) or own(assignment, schedule))

    def ask(steps: int) -> None:
        meta_gradient(module, divide_parameters(module), Classification(), loops.tasks(4), InnerLoop(steps, Descent(1e-3)), free=2**24)

    with pytest.raises(SetupError, match=r"needs about [\d.]+ MiB on cpu, and 16 MiB are free"):
        ask(10**4)
    assert tried == []
    ask(20)
    assert tried == [3, 3]  # together and in turn: what is differentiated wrongly together is so after a few steps


def test_the_machine_says_what_is_free() -> None:
    free = free_bytes(torch.device("cpu"))
    if Path("/proc/meminfo").exists():
        assert free is not None
        assert 2**20 < free < 2**50
    assert free_bytes(torch.device("meta")) is None
    require_room(2**60, torch.device("meta"), "nothing")  # where nothing is known, nothing is refused
    with pytest.raises(SetupError, match=r"needs about 1.0 GiB on cpu, and 1 MiB are free. Less."):
        require_room(2**30, torch.device("cpu"), "Less.", 2**20)


def test_a_container_s_cache_of_files_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": f"MemTotal: {2**24} kB\nMemAvailable: {2**23} kB\n",
        "/sys/fs/cgroup/memory.max": f"{2**32}\n",
        "/sys/fs/cgroup/memory.current": f"{2**32 - 2**20}\n",
        "/sys/fs/cgroup/memory.stat": f"anon {2**20}\ninactive_file {2**30}\nactive_file {2**29}\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda self, **_: files[str(self)])
    assert free_bytes(torch.device("cpu")) == 2**20 + 2**30 + 2**29
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_bytes(torch.device("cpu")) == 2**33
