"""Conv4 that returns feature maps: the embedding module of Relation Networks (Sung et al. 2018, arXiv 1711.06025)."""

from kshot.backbones.backbone import require_counts
from kshot.backbones.conv_maps import ConvMaps


class Conv4Maps(ConvMaps):
    """Images (M, C, H, W) float → feature maps (M, width, H // 4, W // 4), channels innermost in memory.

    The network has four convolution blocks; the first two pool. A 28×28 image gives maps of 7×7, an 84×84 image maps of 21×21. Every
    convolution pads by 1. The authors' code does not pad in the first two, which gives maps of 5×5 and 19×19.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        width: Filters of each block.

    Raises:
        RecipeError: A number is too small.
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        require_counts(channels=channels, width=width)
        super().__init__(channels, [width] * 3, [1, 1, 2])
