"""What reaches the terminal: sentences that fit its width and lose no word, and nothing that other packages log."""

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.terminal import set_loudness, wrapped


def test_a_sentence_is_broken_at_spaces_and_its_further_lines_are_indented() -> None:
    assert wrapped("one two three four five six", 20) == "one two three four\n  five six"
    assert wrapped("  12.5 %  a  (3 of 4)", 80) == "  12.5 %  a  (3 of 4)"
    assert wrapped("  12.5 %  ant-eater  (3 of 4)", 20) == "  12.5 %  ant-eater\n    (3 of 4)"
    assert wrapped("see /a/very/long/path/that/stays/whole now", 20) == "see\n  /a/very/long/path/that/stays/whole\n  now"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "widest"), [(80, 80), (300, 120), (5, 20)])
@given(words=st.lists(st.text("ab-", min_size=1, max_size=12), min_size=1, max_size=60))
def test_lines_fit_and_every_word_stays(words: list[str], width: int, widest: int) -> None:
    text = wrapped(" ".join(words), width)
    assert all(len(line) <= widest for line in text.split("\n"))
    assert text.split() == words


def test_what_pillow_logs_of_a_damaged_picture_stays_off_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(logging.getLogger("PIL"), "handlers", [])
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own; without any, Python writes to standard error
    monkeypatch.setattr(sys.stderr, "write", written.append)
    logging.getLogger("PIL.TiffImagePlugin").error("before")
    assert "before" in "".join(written)
    set_loudness("usual")
    set_loudness("usual")
    logging.getLogger("PIL.TiffImagePlugin").error("after")
    assert "after" not in "".join(written)
    assert len(logging.getLogger("PIL").handlers) == 1
