"""The steps of telling ink from paper that are computed otherwise than NumPy would."""

import numpy as np
import pytest

from kshot.data.pictures.paper import _quantile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 1000, 57_600])
@pytest.mark.parametrize("share", [0.25, 0.95, 0.995])
def test_quantiles_are_those_of_numpy(dtype: type[np.floating], count: int, share: float) -> None:
    rng = np.random.default_rng(count)
    spread = (rng.random(count) ** 4 * 9).astype(dtype)
    tied, two = np.where(rng.random(count) < 0.9, dtype(0), spread), np.where(rng.random(count) < share, dtype(1), dtype(5))
    ordered = np.sort(spread)  # so that every 64th value is not like the others
    ordered[::64] = ordered[-1]
    for values in (spread, tied, two, ordered, np.full(count, 3, dtype)):
        expected = float(np.quantile(values, share))
        assert _quantile(values, share) == pytest.approx(expected, rel=1e-6, abs=1e-5 * float(np.ptp(values)))
