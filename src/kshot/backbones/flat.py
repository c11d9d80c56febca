"""No network: the numbers of an item as they are, for learners that read pixels."""

from torch import Tensor, nn


class Flat(nn.Module):
    """Inputs (M, …) → features (M, D), with D the product of the other dimensions. It has no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, int] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Flatten the dimensions after the first."""
        return x.flatten(1)
