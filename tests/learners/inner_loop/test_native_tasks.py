"""Networks that take many tasks as they are: the same numbers as one task after another, and nothing that is not known counts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.native_tasks import takes_tasks
from kshot.learners.inner_loop.parameters import divide_parameters


def strided(average: bool) -> nn.Module:
    return nn.Sequential(Conv4Strided(2, 3, average=average), nn.Linear(3, 3))


class Last(nn.Module):
    """(…, 7, 2) → (…, 3): some of the numbers of a sequence."""

    passes_tasks = True

    def forward(self, x: Tensor) -> Tensor:
        return x[..., :3, 0]


READY: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "strided": (lambda: strided(False), (2, 9, 7)),
    "strided, averaged": (lambda: strided(True), (2, 20, 18)),
    "layers on sequences": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2), Last()), (7, 5)),
    "perceptron": (lambda: nn.Sequential(MLP(6, (5,), 4), nn.Tanh(), nn.Linear(4, 3, bias=False)), (2, 3)),
}


def batch(shape: tuple[int, ...]) -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(6) % 3).expand(4, 6)
    x, query = torch.randn(2, 4, 6, *shape, generator=generator, dtype=torch.float64)
    return EpisodeBatch(x, y, query, y, 3, torch.arange(4).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("mode", [unrolled, flat, first_order, implicit(2.0, 3)], ids=["unrolled", "flat", "first order", "implicit"])
@pytest.mark.parametrize("kind", READY)
def test_tasks_together_without_vmap(kind: str, mode: OuterGradient, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = READY[kind]
    torch.manual_seed(1)
    module, given = make().double(), batch(shape)
    parameters = divide_parameters(module)
    assert takes_tasks(module, parameters.adapting)

    def solved(tasks: Any) -> Any:
        return meta_gradient(module, parameters, Classification(), given, InnerLoop(3, Descent(0.1), mode, tasks=tasks))

    expected = solved("in_turn")

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("torch.vmap was called")

    monkeypatch.setattr(torch, "vmap", refused)
    found = solved("together")
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.path, expected.path, rtol=1e-10, atol=0)
    for name, value in expected.start.items():
        torch.testing.assert_close(found.start[name], value, rtol=1e-7, atol=1e-11)
    for name, value in expected.buffers.items():
        torch.testing.assert_close(found.buffers[name], value, rtol=1e-10, atol=1e-12)


def test_what_is_not_known_does_not_count() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    class Averaged(Conv4Strided):
        pass

    plain = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    every = [name for name, _ in plain.named_parameters()]
    assert takes_tasks(plain, every)
    assert not takes_tasks(plain, every[:1])  # a parameter that all tasks share
    hooked = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    hooked[0].register_forward_hook(lambda module, given, out: out + 1)
    others = (
        hooked, nn.Sequential(Doubled(4, 3)), nn.Sequential(Averaged()), nn.Sequential(nn.Linear(4, 3), nn.Softmax(0)),
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()),
    )  # fmt: skip
    for module in others:
        assert not takes_tasks(module, [name for name, _ in module.named_parameters()]), module


def test_a_layer_that_is_used_twice_has_one_weight_a_task() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 4)
    module, given = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, 3)).double(), batch((4,))
    parameters = divide_parameters(module)
    assert takes_tasks(module, parameters.adapting)
    found, expected = (
        meta_gradient(module, parameters, Classification(), given, InnerLoop(2, Descent(0.1), tasks=tasks))
        for tasks in ("together", "in_turn")
    )
    for name, value in expected.start.items():
        torch.testing.assert_close(found.start[name], value, rtol=1e-9, atol=1e-12)
