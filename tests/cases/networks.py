"""Small networks that the tests of learners share."""

import torch
from torch import Tensor, nn


class SmallNormed(nn.Module):
    """Vectors (M, 5) → (M, 6), with batch normalisation in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 6)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.second(torch.tanh(self.norm(self.first(x)))))
        return features
