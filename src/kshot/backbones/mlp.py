"""A multi-layer perceptron, for feature vectors and regression."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts


class MLP(Backbone):
    """Vectors (M, …) float → features (M, outputs). Dimensions after the first are flattened.

    Args:
        inputs: Numbers per item.
        hidden: Width of each hidden layer. ReLU follows each of them.
        outputs: D. With 0 the network ends with the last hidden layer and its ReLU, for a learner that adds a linear head.

    Raises:
        RecipeError: A number is too small.
    """

    def __init__(self, inputs: int, hidden: Sequence[int] = (128, 128), outputs: int = 64) -> None:
        super().__init__()
        require_counts(inputs=inputs, hidden=hidden)
        require_counts(0, outputs=outputs)
        widths = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *([nn.Linear(widths[-1], outputs)] if outputs else []))

    def forward(self, x: Tensor) -> Tensor:
        """Embed vectors."""
        features: Tensor = self.layers(x.flatten(1))
        return features
