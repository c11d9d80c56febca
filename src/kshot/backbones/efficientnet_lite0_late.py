"""The last blocks of EfficientNet-Lite0, on maps that its early blocks gave once: they learn, and the early ones are never computed again.

    early(photo)   stem and first blocks, frozen: 112 maps of 14 × 14                        the encoder `efficientnet_lite0:early`
    late(maps)     the blocks at 1/32 of the resolution, the head, the mean over positions   here, learned
    y = unit(z + W z + b),   z = unit(√late(maps))                                           `kshot.backbones.adapter`

With published weights it begins as the vectors of `efficientnet_lite0`, and as `Adapter(1280, root=True)` on them. Batch normalisation
keeps the statistics, the scale and the shift that were published: tasks of a few classes have poor ones. In: a file of `kshot embed
--encoder efficientnet_lite0:early`. Out: features of unit length.
"""

import math

from torch import Tensor, nn

from kshot.backbones.adapter import Adapter
from kshot.backbones.backbone import Backbone
from kshot.backbones.conv_block import pixels_last
from kshot.backbones.efficientnet_lite import FEATURES, EfficientNetLite0, Weights
from kshot.errors import RecipeError

CHANNELS = 112
"""Maps that the early blocks give."""


class EarlyLayers(nn.Module):
    """Photographs (M, 3, H, W), pixels as (pixel − 127) / 128 → what the last blocks take, (M, 112 · ⌈H / 16⌉ · ⌈W / 16⌉).

    Raises:
        SetupError: The published weights are not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        network = EfficientNetLite0(weights="imagenet").network
        self.stem, self.blocks = network.stem, network.blocks[: network.first_late()]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the early blocks."""
        maps: Tensor = self.blocks(self.stem(pixels_last(x)))
        return maps.flatten(1)


class EfficientNetLite0Late(Backbone):
    """What `efficientnet_lite0:early` gives, (M, …) float → features (M, 1280) of unit length.

    Args:
        weights: Those it begins with.

    Raises:
        RecipeError: The weights have another name.
        SetupError: The published weights are not installed.
    """

    def __init__(self, weights: Weights = "none") -> None:
        super().__init__()
        network = EfficientNetLite0(weights=weights).network
        self.blocks, self.head = network.blocks[network.first_late() :], network.head
        self.adapter = Adapter(FEATURES, root=True)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)  # and a learner keeps frozen parts in evaluation mode
        self._arguments = {**self._arguments, "weights": "none"}  # a saved one is built again for weights of its own

    def forward(self, x: Tensor) -> Tensor:
        """Compute the last blocks and the layer after them.

        Raises:
            RecipeError: The items are not 112 square maps.
        """
        flat = x.flatten(1)
        side = math.isqrt(flat.shape[1] // CHANNELS)
        if CHANNELS * side * side != flat.shape[1] or not side:
            raise RecipeError(
                f"efficientnet_lite0_late takes {CHANNELS} square maps per item, 21,952 numbers; found {flat.shape[1]:,}. Make them: "
                "kshot embed --encoder efficientnet_lite0:early"
            )
        maps = self.head(self.blocks(pixels_last(flat.reshape(len(flat), CHANNELS, side, side))))  # (M, 1280, ⌈side / 2⌉, ⌈side / 2⌉)
        features: Tensor = self.adapter(maps.mean((2, 3)))
        return features

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that learn: all but those of batch normalisation."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]
