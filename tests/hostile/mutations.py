"""Random changes, several at once, each drawn from a seed: where one change alone is refused, the faults lie between two.

JSON of learners and runs, the structure of pictures (chunks, segments, tags), names of files and classes, and one more: whether drawn
episodes keep their rules, whatever shape is asked of whatever classes.
"""

import copy
import io
import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from hostile.case import JSON_VALUES, Call, Case, Cases, Words, shown
from hostile.damage import places_in, write_json
from hostile.saved import reheaded, words_of
from hostile.stock import QUICK, Stock, copied

_QUESTIONS = ("show", "evaluate", "predict", "inspect", "resave")


def cases() -> Cases:
    """All cases of this family."""
    for number in range(200):
        question = _QUESTIONS[number % len(_QUESTIONS)]
        yield Case(f"saved/several {question}/{number}", _learner(number, question))
    for number in range(120):
        yield Case(f"run/several/{number}", _run(number), mentions=("run",))
    for number in range(150):
        for name, made in (("png", _png), ("jpg", _jpeg), ("tif", _tiff)):
            yield Case(f"picture/mutated {name}/{number}", _picture(made, name, number), mentions=("query.",))
    for number in range(120):
        way = ("train", "support", "query", "out")[number % 4]
        name = _name(number)
        yield Case(f"folder/random {way}/{number}", _named(name, way), mentions=("pets", shown(os.fsdecode(name))))
    for number in range(200):
        yield Case(f"draw/episodes/{number}", _episodes(number), answer=str)


def _changed(content: Any, draw: random.Random) -> Any:
    """A copy of JSON with two to six changes: another value, a value from elsewhere in it, a removed one, a list that is longer."""
    whole = copy.deepcopy(content)
    for _ in range(draw.randint(2, 6)):
        places = list(places_in(whole))
        if not places:
            return whole
        *path, last = draw.choice(places)
        inner = whole
        for key in path:
            inner = inner[key]
        way = draw.randrange(5)
        if way == 0:
            del inner[last]
        elif way == 1:
            other: Any = whole
            for key in draw.choice(places):
                other = other[key]
            inner[last] = copy.deepcopy(other)
        elif way == 2 and isinstance(inner, list):
            inner.extend(copy.deepcopy(inner) * draw.randint(1, 3))
        elif way == 3 and isinstance(inner, dict):
            inner[draw.choice(["", "x", "\x1b[31m", "__metadata__", "name"])] = copy.deepcopy(inner[last])
        else:
            inner[last] = copy.deepcopy(draw.choice(list(JSON_VALUES.values())))
    return whole


def _learner(seed: int, question: str) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        file = stock.learner(Path("learner")) / "learner.json"
        write_json(file, _changed(json.loads(file.read_text(encoding="utf-8")), random.Random(seed)))
        return words_of(question, stock)

    return prepare


def _run(seed: int) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        draw, run = random.Random(seed), stock.run(Path("run"))
        for name in draw.sample(["recipe.json", "division.json", "state.safetensors"], draw.randint(1, 3)):
            file = run / name
            if name != "state.safetensors":
                write_json(file, _changed(json.loads(file.read_text(encoding="utf-8")), draw))
                continue

            def change(header: dict[str, Any]) -> None:
                inner = json.loads(header["__metadata__"]["kshot"])
                inner.pop("checksum")
                header["__metadata__"]["kshot"] = json.dumps(_changed(inner, draw))

            file.write_bytes(reheaded(file.read_bytes(), change))
        return stock.resume(run)

    return prepare


def _noise(draw: random.Random) -> Image.Image:
    width, height = draw.randint(1, 40), draw.randint(1, 40)
    return Image.frombytes("RGB", (width, height), draw.randbytes(3 * width * height))


def _png(draw: random.Random) -> bytes:
    """Chunks of a PNG with right checksums: in another order, twice, left out, with other fields, cut or longer."""
    buffer = io.BytesIO()
    _noise(draw).save(buffer, "PNG")
    data, chunks, at = buffer.getvalue(), [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(draw.randint(1, 3)):
        number, way = draw.randrange(len(chunks)), draw.randrange(6)
        kind, content = chunks[number]
        if way == 0:
            draw.shuffle(chunks)
        elif way == 1:
            chunks.insert(draw.randrange(len(chunks) + 1), (kind, content))
        elif way == 2 and len(chunks) > 1:
            chunks.pop(number)
        elif way == 3:
            extra = draw.choice([b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"acTL", b"fdAT", b"zTXt", b"IHDR", b"gAMA"])
            chunks.insert(draw.randrange(len(chunks) + 1), (extra, draw.randbytes(draw.randint(0, 40))))
        elif content:
            spoilt = bytearray(content)
            spoilt[draw.randrange(min(13, len(spoilt)))] = draw.choice([0, 1, 127, 255])
            chunks[number] = (kind, bytes(spoilt)[: draw.choice([None, len(spoilt), len(spoilt) - 1])])
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in chunks
    )


def _jpeg(draw: random.Random) -> bytes:
    """Segments of a JPEG: lengths and fields of its headers changed, segments twice or of another kind."""
    buffer = io.BytesIO()
    _noise(draw).save(buffer, "JPEG", quality=draw.choice([10, 90]), progressive=draw.random() < 0.5)
    data = bytearray(buffer.getvalue())
    marks = [at for at in range(len(data) - 4) if data[at] == 0xFF and 0xC0 <= data[at + 1] <= 0xEF]
    for _ in range(draw.randint(1, 3)):
        at, way = draw.choice(marks), draw.randrange(4)
        if way == 0:
            data[at + 2 : at + 4] = struct.pack(">H", draw.choice([0, 1, 2, 65_535, draw.randrange(65_536)]))
        elif way == 1:
            data[at + 1] = draw.choice([0xC0, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xE0, 0xE1, 0xEE])
        elif way == 2:
            data[min(len(data) - 1, at + draw.randint(4, 12))] = draw.choice([0, 1, 255])
        else:
            data[at:at] = data[at : at + draw.randint(2, 60)]
    return bytes(data)


def _tiff(draw: random.Random) -> bytes:
    """Tags of a TIFF with other types, counts and values."""
    buffer = io.BytesIO()
    _noise(draw).save(buffer, "TIFF", compression=draw.choice([None, "tiff_lzw", "packbits", "tiff_deflate", "jpeg"]))
    data = bytearray(buffer.getvalue())
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    for _ in range(draw.randint(1, 3)):
        entry = start + 2 + 12 * draw.randrange(count)
        field, form = draw.choice([(0, "<H"), (2, "<H"), (4, "<I"), (8, "<I")])
        most = 2 ** (8 * struct.calcsize(form)) - 1
        struct.pack_into(form, data, entry + field, draw.choice([0, 1, 2, 4, 256, most // 2, most, draw.randrange(most)]) & most)
    return bytes(data)


def _picture(made: Callable[[random.Random], bytes], suffix: str, seed: int) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path(f"query.{suffix}").write_bytes(made(random.Random(seed)))
        return ["predict", stock.finished, f"query.{suffix}", "--support", stock.pets, "--json"]

    return prepare


def _name(seed: int) -> bytes:
    """A name that Linux allows, of all kinds of characters and bytes."""
    draw, name = random.Random(seed), b""
    for _ in range(draw.randint(1, 12)):
        way = draw.randrange(5)
        if way == 0:
            name += bytes([draw.randint(1, 255)])
        elif way == 1:
            name += chr(draw.choice([0x202E, 0x2066, 0x85, 0x9B, 0x200B, 0xFEFF, 0x2028, 0x1F43E, 0xE000, 0xFFFF, 0x10FFFF])).encode()
        elif way == 2:
            name += draw.choice([b"[red]", b"%s", b"{0}", b"\\", b"*", b"?", b"$(x)", b"\x1b[2J", b"\r", b"\n", b"--", b"~", b".."])
        else:
            name += draw.choice(["é", "é".encode("latin-1").decode("latin-1"), "字", "a", "B", "7", " "]).encode()
    name = name.replace(b"/", b"_").replace(b"\0", b"_").strip(b"\r\n ")[:200]
    return b"n" + name if name in (b"", b".", b"..") or name.startswith((b".", b"-")) else name


def _named(name: bytes, way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        pets, query = copied(stock.pets, Path("pets")), stock.pets / "pet0" / "0.png"
        if way == "out":
            return ["train", "protonet", "--data", pets, "--out", os.fsdecode(name), *QUICK]
        if way == "query":
            file = os.path.join(b"pets", name + b".png")
            Path(os.fsdecode(file)).write_bytes(query.read_bytes()[: 60 if len(name) % 2 else None])
            return ["predict", stock.finished, os.fsdecode(file), "--support", stock.pets]
        os.rename(b"pets/pet0", os.path.join(b"pets", name))
        if way == "train":
            return ["train", "protonet", "--data", pets, "--out", "run", *QUICK]
        return ["predict", stock.finished, query, "--support", pets, "--json"]

    return prepare


def _episodes(seed: int) -> Callable[[Stock], Call]:
    """Episodes of a random shape from random classes: refused with an error of kshot, or whole. The call returns a fault in words."""

    def prepare(stock: Stock) -> Call:
        import numpy as np

        from kshot.data.class_index import ClassIndex
        from kshot.episodes.draw import draw_episodes
        from kshot.episodes.shape import EpisodeShape

        draw = random.Random(seed)
        sizes = [draw.randint(1, 9) for _ in range(draw.randint(1, 9))]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        classes = {f"c{number}": range(int(starts[number]), int(starts[number + 1])) for number in range(len(sizes))}
        groups = {name: draw.choice("ab") for name in classes} if draw.random() < 0.5 else None
        ranges = {name: draw.choice([draw.randint(0, 6), (draw.randint(0, 4), draw.randint(0, 6))]) for name in ("way", "shot", "query")}
        rules = {name: draw.random() < 0.3 for name in ("within_groups", "replacement", "same_positions")}
        numbers = np.array([draw.randrange(10**6) for _ in range(8)]) if draw.random() < 0.9 else np.arange(0)

        def call() -> str:
            shape = EpisodeShape(**ranges, **rules, balanced=draw.random() < 0.7)
            index = ClassIndex.build(classes, groups)
            return _rules_kept(draw_episodes(index, shape, seed, numbers), index, shape, numbers)

        return call

    return prepare


def _rules_kept(rectangles: Any, index: Any, shape: Any, numbers: Any) -> str:
    """Say which rule drawn episodes break; empty if none."""
    owner = {int(item): position for position in range(len(index)) for item in index.items_of(index.names[position])}
    if sorted(int(number) for one in rectangles for number in one.numbers) != sorted(set(map(int, numbers))):
        return "episodes are missing or double"
    for one in rectangles:
        for row in range(len(one.numbers)):
            support, query, classes = one.support_items[row].tolist(), one.query_items[row].tolist(), one.classes[row].tolist()
            if set(support) & set(query):
                return "an item is support and query"
            if len(set(classes)) != len(classes) or not shape.way_range[0] <= len(classes) <= shape.way_range[1]:
                return "classes are double or of another number"
            for items, labels, (least, most) in (
                (support, one.support_y[row], shape.shot_range),
                (query, one.query_y[row], shape.query_range),
            ):
                if any(owner[item] != classes[int(label)] for item, label in zip(items, labels, strict=True)):
                    return "an item has the label of another class"
                counts = [int((labels == label).sum()) for label in range(len(classes))]
                if not all(least <= count <= most for count in counts):
                    return f"{counts} items where {least} to {most} were asked for"
    return ""
