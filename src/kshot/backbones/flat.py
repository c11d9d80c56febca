"""No network: the numbers of an item as they are, for learners that read pixels."""

from torch import Tensor

from kshot.backbones.backbone import Backbone


class Flat(Backbone):
    """Inputs (M, …) → features (M, D), with D the product of the other dimensions. It has no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten the dimensions after the first."""
        return x.flatten(1)
