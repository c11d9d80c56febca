"""Folding class names loses none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.saved.class_names import fold, unfold


@pytest.mark.slow
@settings(derandomize=True)
@given(st.lists(st.text("ab/ ", min_size=1, max_size=8).filter(lambda name: not name.startswith("/")), unique=True))
def test_every_name_comes_back(names: list[str]) -> None:
    assert sorted(unfold(fold(names))) == sorted(names)
