"""What a terminal obeys never leaves a name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fox.png", "fox.png"),
        ("Füchse 日本 नमस्ते", "Füchse 日本 नमस्ते"),
        ("👩‍🔬.png", "👩‍🔬.png"),  # joined by U+200D
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\x1b]8;;http://x\x07b", r"a\x1b]8;;http://x\x07b"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("a\x9bb\x7f", r"a\x9bb\x7f"),
        ("gpj.\u202efox", r"gpj.\u202efox"),
        ("a\u2066b\u200ec\u2028d\ufeff", r"a\u2066b\u200ec\u2028d\ufeff"),
        ("caf\udce9", r"caf\udce9"),  # a byte of a file name that is not UTF-8
        ("[red]o[/red]", "[red]o[/red]"),
    ],
)
def test_characters_that_a_terminal_obeys_or_hides_are_escaped(name: str, expected: str) -> None:
    assert printable(name) == expected


@given(st.text(st.characters(codec=None)))
def test_nothing_printed_is_obeyed_and_printing_twice_changes_nothing(name: str) -> None:
    shown = printable(name)
    assert all(unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert printable(shown) == shown
    assert not any(line and not line.startswith("  ") for line in printable_lines(f"first\n{name}").split("\n")[1:])


def test_a_message_keeps_its_lines_and_indents_them() -> None:
    assert printable_lines("two:\n  a.png\nError: b\x1b.png") == "two:\n  a.png\n  Error: b\\x1b.png"
