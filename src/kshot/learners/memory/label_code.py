"""Labels as a sequence learner reads and answers them: strings of characters, drawn anew for every episode.

A one-hot label is a string of one character. Santoro et al. 2016, section 4.1.2, use strings of five characters out of five, because a
one-hot label needs an output for every class: 5 · 5 outputs spell 3,125 labels. In: episode numbers. Out: strings as character numbers, and
what is computed from them. Next: `kshot.learners.memory.sequence_learner`.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.episodes.counter_random import key_of, streams
from kshot.episodes.sample import sample_without_replacement
from kshot.errors import RecipeError
from kshot.learners.settings import require_count

_KEY = key_of({"sequence learner": "labels"})
_MOST_STRINGS = 1 << 16


@dataclass(frozen=True)
class LabelCode:
    """Strings of `length` characters, each one of `letters`. Below, L is the length and A the number of letters.

    Raises:
        RecipeError: A count is not positive, or there are more than 65,536 strings.
    """

    letters: int
    length: int

    def __post_init__(self) -> None:
        require_count("outputs", self.letters, 1)
        require_count("characters", self.length, 1)
        if self.letters**self.length > _MOST_STRINGS:
            raise RecipeError(
                f"labels of {self.length} characters, each one of {self.letters}, are {self.letters**self.length:,} labels; "
                f"at most {_MOST_STRINGS:,} are possible. Lower characters or outputs."
            )

    @property
    def strings(self) -> int:
        """Number of different labels: the largest way."""
        return int(self.letters**self.length)

    @property
    def size(self) -> int:
        """Numbers of a label as the network reads it, and logits of an answer: L · A."""
        return self.letters * self.length

    def draw(self, numbers: np.ndarray, way: int, device: torch.device) -> Tensor:
        """Draw N different strings for each episode; each ordered choice is equally likely.

        Args:
            numbers: Numbers of the episodes, int64 (B,). The strings are a function of them.
            way: N.
            device: The device of the result.

        Returns:
            The characters of the label of each class, int64 (B, N, L).

        Raises:
            RecipeError: There are fewer strings than classes.
        """
        if way > self.strings:
            raise RecipeError(
                f"the learner was built for at most {self.strings} classes (outputs={self.letters}, characters={self.length}); "
                f"found way={way}. Lower way, or build it with outputs={way}."
            )
        sizes = np.full(len(numbers), self.strings, dtype=np.int64)
        strings = sample_without_replacement(streams(_KEY, numbers), 0, way, sizes, self.strings).T.astype(np.int64)  # (B, N)
        places = self.letters ** np.arange(self.length - 1, -1, -1, dtype=np.int64)
        return torch.from_numpy(strings[..., None] // places % self.letters).to(device)

    def spell(self, y: Tensor, strings: Tensor) -> Tensor:
        """Return the string of each label: (B, T) and (B, N, L) → int64 (B, T, L)."""
        return strings.gather(1, y[..., None].expand(*y.shape, self.length))

    def one_hot(self, spelled: Tensor, like: Tensor) -> Tensor:
        """Return strings as the network reads them, one 1 per character: (…, L) → (…, L · A) in the type of `like`."""
        return F.one_hot(spelled, self.letters).flatten(-2).to(like.dtype)

    def loss(self, logits: Tensor, spelled: Tensor) -> Tensor:
        """Return -log P of the right string in nats, the mean over the steps: (B, T, L · A) and (B, T, L) → (B,)."""
        B, T, L = spelled.shape
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        per_character = F.cross_entropy(wide.reshape(-1, self.letters), spelled.reshape(-1), reduction="none")
        return per_character.view(B, T, L).sum(-1).mean(1)

    def right(self, logits: Tensor, spelled: Tensor) -> Tensor:
        """Return whether every character of an answer is right: (B, T, L · A) and (B, T, L) → bool (B, T)."""
        right: Tensor = (self._by_character(logits).argmax(-1) == spelled).all(-1)
        return right

    def class_logits(self, logits: Tensor, strings: Tensor) -> Tensor:
        """Return log P of the string of each class: (B, Q, L · A) and (B, N, L) → (B, Q, N)."""
        characters = self._by_character(logits).log_softmax(-1)  # (B, Q, L, A)
        B, Q, L, _ = characters.shape
        chosen = strings.mT[:, None].expand(B, Q, L, strings.shape[1])  # (B, Q, L, N)
        return characters.gather(-1, chosen).sum(2)

    def _by_character(self, logits: Tensor) -> Tensor:
        return logits.reshape(*logits.shape[:-1], self.length, self.letters)
