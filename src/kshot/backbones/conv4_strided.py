"""Four strided convolution blocks: the Omniglot network of the gradient-based learners (Finn et al. 2017; Nichol et al. 2018)."""

import torch
from torch import Tensor, nn

from kshot.backbones.conv_block import pixels_last
from kshot.backbones.strided_block import StridedBlock


class Conv4Strided(nn.Module):
    """Images (M, C, H, W) float → features (M, D) with D = width · ⌈H / 16⌉ · ⌈W / 16⌉, or D = width where places are averaged.

    Each block is a 3×3 convolution of stride 2 → batch normalisation → ReLU; nothing pools. A 28×28 image and 64 filters give
    D = 256. Images are padded by one pixel on every side, where the authors' framework pads even sizes on the right and below only:
    the maps are of the same size, and lie one pixel further left and up.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        width: Filters of each block.
        average: Whether the features are the mean over places, as in the code of MAML's authors; False keeps each place, as in the
            code of Reptile's.
    """

    def __init__(self, channels: int = 1, width: int = 64, *, average: bool = False) -> None:
        super().__init__()
        self.arguments = {"channels": channels, "width": width, "average": average}
        self.average = average
        self.blocks = nn.Sequential(*(StridedBlock(before, width) for before in (channels, width, width, width)))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of the weights; the same numbers

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        innermost = pixels_last(x.flatten(0, -4)).view(x.shape)  # of many tasks as of one: see `StridedBlock`
        maps: Tensor = self.blocks(innermost)
        return maps.mean((-2, -1)) if self.average else maps.flatten(-3)  # (M, D)
