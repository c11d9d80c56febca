"""A sentence encoder that learns: its network in PyTorch, and texts as the network takes them.

The layers of the transformer are trained. The vectors of word pieces and of places are not: a few texts hold few of the words, and half of
the parameters of a small model are vectors of words. In: a network that `kshot.encoders.sentence_export` has loaded. Out: a `Tunable`.
Next: `kshot.tasks.tune`. PyTorch is imported in functions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kshot.encoders.sentence_encoder import SentenceEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

_MOST_PIECES = 4096
"""Word pieces, padding included, that are computed at once: about 1 GB in training for a model of six layers."""


class TunableSentences:
    """The network of a sentence encoder. See `Tunable`.

    Args:
        frozen: Cuts texts into word pieces.
        network: Takes the inputs of the graph by name, and returns vectors (M, D).
        fixed: Its parameters that are not trained.
        files: Writes the network, as it is then, as the files of an encoder with the given fingerprint.
    """

    most_cost = _MOST_PIECES

    def __init__(
        self,
        frozen: SentenceEncoder,
        network: "nn.Module",
        fixed: "Iterable[nn.Parameter]",
        files: Callable[[str], Mapping[str, bytes]],
    ) -> None:
        self.network = network.requires_grad_(True)
        for parameter in fixed:
            parameter.requires_grad_(False)
        self._frozen, self._files = frozen, files

    def read(self, thing: object) -> np.ndarray:
        """Cut a text into the numbers of its word pieces, int64 (T,). See `SentenceEncoder.read`."""
        return self._frozen.read(thing)

    def cost(self, item: np.ndarray) -> int:
        """Return T."""
        return len(item)

    def given(self, items: Sequence[np.ndarray], seeds: Sequence[int] | None = None) -> "Mapping[str, Tensor]":
        """Return the inputs of M texts, int64 (M, T) each. Texts are not varied; the network's own dropout does that."""
        import torch

        return {name: torch.from_numpy(value) for name, value in self._frozen.inputs(items).items()}

    def files(self, fingerprint: str) -> Mapping[str, bytes]:
        """Write the network. See `Tunable.files`."""
        return self._files(fingerprint)
