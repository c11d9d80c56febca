"""The kit for pictures: text that the font can draw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kshot.figure import drawable, name_lines


def test_text_that_cannot_be_drawn_is_replaced() -> None:
    assert drawable("naïve $x_{") == "naïve $x_{"
    assert drawable("狐\n\udc80") == "???"
    assert drawable("x" * 100, 10) == "x" * 9 + "…"
    assert name_lines("Greek/character01/rot090") == "Greek\ncharacter01/rot090"
    assert name_lines("fox") == "fox"


@pytest.mark.slow
def test_settings_with_which_matplotlib_does_not_start_are_named() -> None:
    program = "from kshot.errors import SetupError\nfrom kshot.figure import require_matplotlib\ntry:\n    require_matplotlib()\n"
    program += "except SetupError as error:\n    print(error)"
    environment = {**os.environ, "MPLBACKEND": "nope", "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "MPLBACKEND is 'nope'" in found.stdout
    assert "unset MPLBACKEND, or set it to agg" in found.stdout
