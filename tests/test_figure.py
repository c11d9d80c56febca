"""The kit for pictures: text that the font can draw."""

from kshot.figure import drawable, name_lines


def test_text_that_cannot_be_drawn_is_replaced() -> None:
    assert drawable("naïve $x_{") == "naïve $x_{"
    assert drawable("狐\n\udc80") == "???"
    assert drawable("x" * 100, 10) == "x" * 9 + "…"
    assert name_lines("Greek/character01/rot090") == "Greek\ncharacter01/rot090"
    assert name_lines("fox") == "fox"
