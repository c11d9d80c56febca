"""The sinusoid tasks of the MAML paper: y = a sin(x + φ), each task with its own amplitude and phase.

Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017,
arXiv 1703.03400, section 5.1: a uniform in [0.1, 5.0], φ uniform in [0, π], x uniform in [-5, 5].

In: how many waves. Out: a `TargetDataset` whose classes are waves. Next: `kshot.episodes`.
"""

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.kind import Kind
from kshot.data.made_parts import check_parts
from kshot.data.preprocess import Preprocess
from kshot.data.split import PARTS, Split, divide_by_names
from kshot.data.summary import summary
from kshot.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST, SMALLEST, PHASES, REACH = 5.0, 0.1, np.pi, 5.0
"""Amplitudes are SMALLEST … LARGEST, phases 0 … PHASES, inputs -REACH … REACH."""
_POINTS = 256


class Sinusoids:
    """Sine waves in three disjoint parts, `train`, `val` and `test`.

    The paper draws a new wave for every training task; here `train` holds a fixed number of them, so that a wave has a name, parts are
    disjoint, and a test is the same for everyone.

    Args:
        train: Number of waves for training.
        val: Number of waves for validation.
        test: Number of waves for tests.
        seed: Seed of the amplitudes, phases and points.

    Attributes:
        name: `sinusoids`.
        fingerprint: SHA-256 of the arguments and of a number that changes when their meaning does.
        index: One class per wave, `train/00000` …, with 256 points each.
        names: Names of the waves.
        amplitudes: Amplitudes of the waves, float64.
        phases: Phases of the waves, float64.
        preprocess: `AsIs`: points are inputs already.

    Raises:
        DataError: A part is empty, or the seed negative.

    Example:
        >>> waves = Sinusoids(train=3, val=2, test=2)
        >>> waves.index.names[:4], waves.gather(np.arange(2)).shape, waves.targets(np.arange(2)).shape
        (('train/00000', 'train/00001', 'train/00002', 'val/00000'), torch.Size([2, 1]), torch.Size([2, 1]))
    """

    name = "sinusoids"

    def __init__(self, train: int = 10_000, val: int = 1_000, test: int = 1_000, *, seed: int = 0) -> None:
        self.sizes = {"train": train, "val": val, "test": test}
        self.names = check_parts(self.sizes, seed, "the sinusoids", "wave")
        self.seed = seed
        meaning = {"sinusoids": 1, "seed": seed, **self.sizes, "points": _POINTS}
        self.fingerprint = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
        self.preprocess: Preprocess = AsIs()
        waves = len(self.names)
        self.index = ClassIndex.build(dict(zip(self.names, np.arange(waves * _POINTS).reshape(waves, _POINTS), strict=True)))
        # The raw words of Philox are the same in every version of NumPy; the distributions made of them need not be.
        words = np.random.Philox(seed).random_raw(waves * (_POINTS + 2))
        uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53  # [0, 1)
        self.amplitudes = SMALLEST + (LARGEST - SMALLEST) * uniform[:waves]
        self.phases = PHASES * uniform[waves : 2 * waves]
        self._x = (REACH * (2 * uniform[2 * waves :] - 1)).astype(np.float32)

    def __len__(self) -> int:
        return len(self._x)

    def __repr__(self) -> str:
        return summary(self)

    def split(self, name: str = "sinusoids", *, seed: int = 0) -> Split:
        """Give the three parts; there is one split, `sinusoids`, and the seed does not change it.

        Raises:
            DataError: Another split was asked for.
        """
        if name != "sinusoids":
            raise DataError(f"the sinusoids have one split, 'sinusoids'; found {name!r}. Say data.split='sinusoids'.")
        return divide_by_names(
            self.index, {part: [name for name in self.names if name.startswith(f"{part}/")] for part in PARTS}, "sinusoids"
        )

    def gather(self, items: np.ndarray) -> "Tensor":
        """Gather the x of points, float32 (M, 1)."""
        import torch  # here, because making the waves needs none of it

        return torch.from_numpy(self._x[items][:, None])

    def targets(self, items: np.ndarray) -> "Tensor":
        """Compute the y of points, float32 (M, 1)."""
        import torch

        return torch.from_numpy(self.wave(items // _POINTS, self._x[items]).astype(np.float32)[:, None])

    def wave(self, number: np.ndarray | int, x: np.ndarray) -> np.ndarray:
        """Compute the true y, float64: a sin(x + φ) at x, of waves given by their positions in `index`."""
        y: np.ndarray = self.amplitudes[number] * np.sin(x.astype(np.float64) + self.phases[number])
        return y


def _open(name: str, preprocess: Preprocess) -> Sinusoids:
    return Sinusoids()


SINUSOIDS = Kind(
    what="the sinusoids are plain numbers",
    expects="the word 'sinusoids'",
    dataset=Sinusoids,
    preprocesses=(AsIs,),
    open=_open,
    words=("sinusoids",),
    splits=("sinusoids",),
    find_again=lambda waves: {"name": "sinusoids"} if waves.fingerprint == Sinusoids().fingerprint else None,
)
