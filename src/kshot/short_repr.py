"""Short text for `__repr__`: a few lines that fit on one screen, without memory addresses.

In: words. Out: text for `__repr__`. Each class chooses what to show; this module makes it fit.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

WIDTH, LINES = 100, 12
"""Largest number of columns and lines of a text."""
_WHOLE = 60
"""A part of at most this many characters is not broken."""
_JOINT = "\x1f"
"""Stands for a space at which no line may break. It does not occur in texts."""


def short_repr(name: str, parts: Iterable[str]) -> str:
    """Return `Name(part, part, …)`, broken into lines between parts (a long part at its spaces), and cut if it is too long for a screen.

    Example:
        >>> short_repr("EpisodeShape", ["way=5", "shot=1"])
        'EpisodeShape(way=5, shot=1)'
    """
    plain = [" ".join(part.split()) for part in parts]
    kept = [part.replace(" ", _JOINT) if len(part) <= _WHOLE else part for part in plain]
    indent = " " * (len(name) + 1) if len(name) < _WHOLE else " "
    lines = textwrap.wrap(
        f"{name}({', '.join(kept)})", WIDTH, subsequent_indent=indent, max_lines=LINES, placeholder=" …", break_on_hyphens=False
    )
    return "\n".join(lines).replace(_JOINT, " ")


def repr_of_fields(thing: Any) -> str:
    """Return the `__repr__` of a data class of plain values: all fields, numbers with six digits, in lines that fit."""
    return short_repr(type(thing).__name__, (f"{field.name}={shown(getattr(thing, field.name))}" for field in fields(thing)))


def shown(value: object) -> str:
    """Return a plain value as text; a float has six digits."""
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def per_cent(fraction: float) -> str:
    """Return a fraction in per cent with up to one decimal: `20`, `1.7`."""
    return f"{100 * fraction:.1f}".removesuffix(".0")
