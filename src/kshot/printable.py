"""Names and messages as they may be printed: nothing in them moves the cursor, changes a colour, or passes for a line of its own.

Names of files and classes come from anywhere. A terminal obeys the control characters in them: ESC starts a command, a newline starts a
line that looks like one of kshot's, and a mark of direction turns the text that follows. In: any text. Out: the same text, with each such
character written as its escape. The command prints no name in any other way.
"""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, but a part of how words and emoji are written."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format, surrogate, line and paragraph separator."""


def printable(name: object) -> str:
    r"""Return a name on one line, with each character that a terminal obeys or hides as its escape.

    Example:
        >>> print(printable("fox\n\x1b[31mcat.png"), printable("füchse 🐾"))
        fox\n\x1b[31mcat.png füchse 🐾
    """
    text = str(name)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_hidden(character) else character for character in text)


def printable_lines(message: str) -> str:
    r"""Return a message of several lines. Lines after the first are indented, so that none of them passes for another message.

    Example:
        >>> print(printable_lines("2 pictures cannot be used:\n  a.png\nError: b\x07.png"))
        2 pictures cannot be used:
          a.png
          Error: b\x07.png
    """
    first, *others = message.split("\n")
    return "\n".join([printable(first), *(f"  {printable(line.removeprefix('  '))}" for line in others)])


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
