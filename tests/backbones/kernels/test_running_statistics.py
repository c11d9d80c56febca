"""Running statistics follow a batch as those of PyTorch's own normalisation do; by hand, with every momentum, and under `torch.vmap`."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from kshot.backbones.kernels.running_statistics import follow


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0, None])
def test_they_move_as_pytorch_s_own(momentum: float | None) -> None:
    torch.manual_seed(0)
    own, torchs = (nn.BatchNorm2d(3, momentum=momentum).double() for _ in range(2))
    for _ in range(3):
        x = torch.randn(4, 3, 2, 5, dtype=torch.float64)
        torchs(x)
        follow(own, x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0), x.numel() // 3)
        torch.testing.assert_close(own.running_mean, torchs.running_mean, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(own.running_var, torchs.running_var, rtol=1e-12, atol=1e-15)
        assert own.num_batches_tracked == torchs.num_batches_tracked


def test_a_step_by_hand_and_one_number_has_no_unbiased_variance() -> None:
    norm = nn.BatchNorm1d(1, momentum=0.25)
    follow(norm, torch.tensor([4.0]), torch.tensor([3.0]), 4)  # unbiased: 3 · 4 / 3
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert (norm.running_mean.item(), norm.running_var.item()) == (1.0, 0.75 * 1 + 0.25 * 4)
    follow(norm, torch.tensor([1.0]), torch.tensor([0.0]), 1)
    assert norm.running_var.item() == 0.75 * 1.75


def test_without_running_statistics_nothing_happens() -> None:
    follow(nn.BatchNorm1d(2, track_running_stats=False), torch.ones(2), torch.ones(2), 3)


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
def test_under_vmap_every_task_has_its_own(momentum: float | None) -> None:
    class Followed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2, momentum=momentum)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            follow(self.norm, x.mean(0), x.var(0, correction=0), len(x))
            return x.sum()

    module, x = Followed(), torch.randn(3, 5, 2)
    buffers = {name: value.expand(3, *value.shape).clone() for name, value in module.named_buffers()}

    def run(kept: dict[str, torch.Tensor], items: torch.Tensor) -> dict[str, torch.Tensor]:
        functional_call(module, kept, (items,))
        return kept

    together = torch.vmap(run)(buffers, x)
    for task in range(3):
        alone = run({name: value.clone() for name, value in module.named_buffers()}, x[task])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][task], value)
