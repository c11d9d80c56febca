"""What may be asked of sureness: shares above 0 and below 1."""

import math

import pytest

from kshot.errors import RecipeError
from kshot.tasks.certainty.asked import FALSE_ALARMS, Asked


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.2, 90, math.nan, math.inf])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(RecipeError, match=r"coverage must be a share above 0 and below 1, such as 0\.9; found"):
        Asked(coverage=share)
    with pytest.raises(RecipeError, match=r"unknown must be a share above 0 and below 1, such as 0\.05; found"):
        Asked(unknown=share)


def test_false_alarms_have_a_default() -> None:
    assert (Asked().rate, Asked(unknown=0.2).rate) == (FALSE_ALARMS, 0.2)
