"""Sine waves as tasks."""

from typing import Any

import numpy as np
import pytest
import torch

from kshot.data.sinusoids import Sinusoids
from kshot.data.target_dataset import TargetDataset
from kshot.errors import DataError


def test_a_point_lies_on_its_wave() -> None:
    waves = Sinusoids(train=4, val=2, test=3)
    assert isinstance(waves, TargetDataset)
    for position, name in enumerate(waves.index.names):
        items = waves.index.items_of(name)
        x, y = waves.gather(items).numpy()[:, 0], waves.targets(items).numpy()[:, 0]
        np.testing.assert_allclose(y, waves.amplitudes[position] * np.sin(x.astype(np.float64) + waves.phases[position]), atol=1e-6)
        np.testing.assert_allclose(y, waves.wave(position, x), atol=1e-6)


def test_amplitudes_phases_and_inputs_are_spread_as_in_the_paper() -> None:
    waves = Sinusoids(train=4000, val=1, test=1)
    x = waves.gather(np.arange(len(waves))).numpy()
    for values, low, high in ((waves.amplitudes, 0.1, 5.0), (waves.phases, 0.0, np.pi), (x, -5.0, 5.0)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
        assert values.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.03)
    assert abs(np.corrcoef(waves.amplitudes, waves.phases)[0, 1]) < 0.05


def test_the_seed_decides_and_the_parts_are_disjoint() -> None:
    one, again, other = Sinusoids(5, 2, 2), Sinusoids(5, 2, 2), Sinusoids(5, 2, 2, seed=1)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(one.amplitudes, again.amplitudes)
    assert not np.array_equal(one.amplitudes, other.amplitudes)
    assert one.amplitudes[:2].tolist() == pytest.approx(FIRST, rel=1e-12)
    parts = one.split().as_names()
    assert parts["val"] == ["val/00000", "val/00001"]
    assert sum(len(names) for names in parts.values()) == len({name for names in parts.values() for name in names}) == 9
    assert len(np.unique(one.amplitudes)) == 9


FIRST = [0.16892847476167377, 1.363059503560627]
"""Recorded: the same waves on every machine and in every version of NumPy."""


def test_what_is_gathered_is_float32_of_one_number() -> None:
    waves = Sinusoids(2, 1, 1)
    assert waves.gather(np.array([3, 3, 700])).shape == (3, 1)
    assert waves.gather(np.array([3])).dtype == waves.targets(np.array([3])).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val": 0}, "the part 'val' of the sinusoids needs at least one wave; found 0"),
        ({"val": 2.5}, r"the size of the part 'val' of the sinusoids must be a whole number, 1 or more; found 2\.5"),
        ({"test": 10**12}, "the size of the part 'test' of the sinusoids must be 1,000,000 or less; found 1000000000000"),
        ({"seed": -1}, "seed .* must be 0 or more"),
        ({"seed": 1e39}, "the seed of the sinusoids must be a whole number, 0 or more"),
    ],
)
def test_waves_that_cannot_be_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Sinusoids(**arguments)
