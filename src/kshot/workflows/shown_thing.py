"""A thing of a user's own, shown on a page: its picture or its text, and what it is called.

In: a thing as its encoder reads it. Out: a `Shown`, and the HTML of a card. Next: `kshot.workflows.model_page`,
`kshot.workflows.doubt_sections`.
"""

import base64
import io
from dataclasses import dataclass
from typing import Any

from kshot.data.pictures.flat import flat_rgb
from kshot.data.pictures.picture_file import opened_picture
from kshot.errors import DataError
from kshot.results.score.html_table import escaped
from kshot.tasks.model import Model
from kshot.tasks.numbers.column_table import row_in_words

_SIDE = 200
"""Pixels of the longer side of a picture on the page."""
_LONGEST_TEXT = 280


@dataclass(frozen=True)
class Shown:
    """A thing: what it is called; its picture as a `data:` address, or its text."""

    name: str
    picture: str = ""
    text: str = ""


def shown_thing(model: Model, thing: Any, name: str) -> Shown:
    """Return what a page shows of a thing that a model reads."""
    pictured = model.encoder.reads in ("photographs", "ink")
    called = name if pictured and not model.columns else f"row {name}"
    if pictured:
        return Shown(called, picture=_picture(thing))
    if model.encoder.reads == "texts":
        return Shown(called, text=thing if len(thing) <= _LONGEST_TEXT else f"{thing[:_LONGEST_TEXT]}…")
    return Shown(called, text=row_in_words(thing, 12) if isinstance(thing, dict) else "")


def card(one: Shown, told: str) -> str:
    """Return the HTML of a thing and what is told of it, which is HTML already."""
    thing = f'<img src="{one.picture}" alt="{escaped(one.name)}">' if one.picture else ""
    thing += f'<p class="text">{escaped(one.text)}</p>' if one.text else ""
    return f'<div class="card">{thing}<p>{told}</p><p class="soft">{escaped(one.name)}</p></div>'


def _picture(thing: Any) -> str:
    """Return a small picture as a `data:` address; empty if it can no longer be read."""
    try:
        with opened_picture(thing, _SIDE) as image:
            small = flat_rgb(image, _SIDE, max)
    except DataError:
        return ""
    file = io.BytesIO()
    small.thumbnail((_SIDE, _SIDE))
    small.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
