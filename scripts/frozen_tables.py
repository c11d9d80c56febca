"""Tables of what frozen and tuned encoders reach, for `fill_tables.py`.

In: `grocery_photographs.json`, `intents.json` and `tuning.json`.
"""

import json
from pathlib import Path
from typing import Any

from markdown_table import row, rule

HERE = Path(__file__).resolve().parent
_PUBLISHED = {
    "BANKING77": "80.9 and 87.2 (CPFT); 84.0 and 89.8 (ICDA)",
    "CLINC150": "92.3 and 94.2 (CPFT); 92.6 and 94.8 (ICDA)",
}
_CLASSES = {"BANKING77": 77, "CLINC150": 150}


def _results(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / file).read_text(encoding="utf-8"))["results"]
    return found


def groceries(which: str) -> str:
    """Return the table of photographs: one row per encoder (`encoders`), or one row per head of the encoder that is named."""
    found = {
        (one["encoder"], one["head"], one["shots"]): f"{one['accuracy']:.2f} ± {one['interval']:.2f}"
        for one in _results("grocery_photographs.json")
    }
    shots = sorted({key[2] for key in found})
    if which == "encoders":
        names = [(encoder, f"`{encoder}`") for encoder in dict.fromkeys(key[0] for key in found) if encoder != "pixels"]
        rows = [(words, [found[encoder, "chosen", shot] for shot in shots]) for encoder, words in names]
        rows.append(("`efficientnet_lite0`, nearest class mean", [found["efficientnet_lite0", "class_means", shot] for shot in shots]))
        rows.append(("nearest neighbour on the pixels", [found["pixels", "nearest", shot] for shot in shots]))
    else:
        heads = dict.fromkeys(key[1] for key in found if key[0] == which)
        words = {head: "chosen, as `kshot fit` does" if head == "chosen" else f"`{head}`" for head in heads}
        rows = [(words[head], [found[which, head, shot] for shot in shots]) for head in heads]
    title = row("encoder" if which == "encoders" else "head", *(f"{shot} example{'s' * (shot > 1)} per class" for shot in shots))
    return "\n".join([title, rule(1 + len(shots)), *(row(name, *cells) for name, cells in rows)])


def intents(encoder: str) -> str:
    """Return the table of messages: one row per data set and kind of description, with the chosen head."""
    found = {
        (one["data"], one["descriptions"], one["shots"]): f"{one['accuracy']:.1f}"
        for one in _results("intents.json")
        if one["encoder"] == encoder and one["head"] in ("chosen", "descriptions")
    }
    shots = sorted({key[2] for key in found})
    rows = [row("messages per class", *shots, "published, 5 and 10"), rule(2 + len(shots))]
    for data, classes in _CLASSES.items():
        rows.append(row(f"{data}, {classes} classes, names", *(found[data, "names", shot] for shot in shots), _PUBLISHED[data]))
        rows.append(row("with a sentence per class", *(found[data, "sentences", shot] for shot in shots), "–"))
    return "\n".join(rows)


def tuned(which: str) -> str:
    """Return the table of tuned `texts`: one row per data set and kind of description, frozen and tuned for each number of examples."""
    assert which == "texts", which
    found = {(one["data"], one["descriptions"], one["shots"]): one for one in _results("tuning.json")}
    shots = sorted({key[2] for key in found})
    words = {"names": "names", "sentences": "with a sentence per class"}
    rows = []
    for data, descriptions in dict.fromkeys((data, kind) for data in _CLASSES for kind in words):
        own = [found[data, descriptions, shot] for shot in shots]
        cells = [cell for one in own for cell in (f"{one['frozen']:.1f}", f"{one['tuned']:.1f}", _gain(one["left_out"]["accuracy"]))]
        rows.append(row(f"{data}, {words[descriptions]}", *cells))
    title = row("accuracy %", *(name for shot in shots for name in (f"{shot} per class, frozen", "tuned", "left-out examples said")))
    return "\n".join([title, rule(1 + 3 * len(shots)), *rows])


def _gain(difference: dict[str, float]) -> str:
    return f"{100 * difference['mean']:+.1f} ± {100 * difference['interval']:.1f}"
