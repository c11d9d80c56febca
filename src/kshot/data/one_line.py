"""Text on one line of a screen, for `repr`."""

_WIDTH = 100


def one_line(text: str) -> str:
    r"""Return text without line breaks, cut where it is longer than 100 characters.

    Example:
        >>> one_line("a\\n  b")
        'a b'
    """
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
