"""A network for answers alone: its normalisation is folded into its weights, once.

A block of few-shot networks folds its running statistics into its weights at every call, because training may change both. Where nothing
is trained any more, that and the dispatch to derivatives take as long as the convolutions of one image. In: a module. Out: a copy that
answers the same, to rounding. Next: `kshot.web.sources.learner_source`.
"""

import copy
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.conv_block import ConvBlock

Module = TypeVar("Module", bound=nn.Module)


def settled(module: Module) -> Module:
    """Return a copy of a module in evaluation mode; the blocks inside it are settled. It cannot be trained.

    Example:
        >>> import torch
        >>> from kshot.backbones.conv4 import Conv4
        >>> network = Conv4().eval()
        >>> image = torch.rand(1, 1, 28, 28)
        >>> torch.allclose(settled(network)(image), network(image), atol=1e-5)
        True
    """
    made = copy.deepcopy(module).eval().requires_grad_(False)
    for name, part in list(made.named_modules()):
        if name and isinstance(part, ConvBlock) and part.norm.running_mean is not None:
            made.set_submodule(name, _SettledBlock(part))
    return made


class _SettledBlock(nn.Module):
    """A `ConvBlock` with given statistics: 3×3 convolution → 2×2 max-pooling → ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, block: ConvBlock) -> None:
        super().__init__()
        conv, norm = block.conv, block.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert conv.bias is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        self.register_buffer("weight", conv.weight * scale.view(-1, 1, 1, 1))
        self.register_buffer("bias", norm.bias + scale * (conv.bias - norm.running_mean))
        self.pool = block.pool

    def forward(self, x: Tensor) -> Tensor:
        """Images (M, C, H, W) → (M, width, H // 2, W // 2); H and W stay without pooling."""
        maps = F.conv2d(x, self.weight, self.bias, padding=1)
        if self.pool:
            maps = F.max_pool2d(maps, 2)
        return maps.relu_()
