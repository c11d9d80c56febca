"""Folders of pictures: how classes lie in them, what they are called, and what lies between the pictures."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hostile.case import Case, Cases, Words, shown
from hostile.stock import QUICK, Stock, copied

NAMES: dict[str, bytes] = {
    "space": b" ", "spaces": b"  a  ", "newline": b"a\nb", "return": b"a\rb", "tab": b"a\tb", "escape": b"\x1b[31mred\x1b[0m",
    "osc": b"\x1b]0;t\x07",
    "bell": b"\x07", "delete": b"a\x7f", "c1": "a\u009b31m".encode(), "bidi": "fox\u202egnp".encode(), "isolate": "\u2066a\u2069".encode(),
    "line-separator": "a\u2028b".encode(), "not-utf-8": b"a\xff\xfe", "utf-8-cut": b"a\xc3", "markup": b"[bold]x[red]",
    "255": b"x" * 255,
    "255-unicode": "ñ".encode() * 127, "emoji": "👩‍👩‍👧".encode(), "combining": ("e" + "\u0301" * 60).encode(), "dash": b"-rf",
    "quote": b"'\"`$(x)", "backslash": b"a\\b",
    "percent": b"%s%n", "brace": b"{0}", "train": b"train", "test": b"TEST", "dot-end": b"a.", "dots": b"...", "glob": b"*?[a]",
    "comma": b"a,b", "equals": b"a=b", "colon": b"a:b",
    "hash": b"#a", "semicolon": b"a;b", "number": b"-1", "nan": b"NaN", "null": b"null", "true": b"true",
    "zero-width": "a\u200bb".encode(), "feff": "\ufeffa".encode(),
    "nfd": "n\u0303".encode(), "csi-in-utf-8": b"\xc2\x9b", "forged": b"x\npet1: pet1 1.000", "carriage": b"pet0: ok\r",
}  # fmt: skip
"""Names of files and folders that Linux allows."""


def cases() -> Cases:
    """All cases of this family."""
    for name, text in NAMES.items():
        for way in ("train", "support", "support table", "query", "broken", "root"):
            yield Case(f"folder/name {way}/{name}", _called(text, way), mentions=("pets", *_printed(text)))
    for name, made in layouts().items():
        for way in ("train", "support", "call", "evaluate"):
            yield Case(f"folder/layout {way}/{name}", _laid_out(made, way))


def _printed(name: bytes) -> tuple[str, ...]:
    return (shown(os.fsdecode(name)),) if name.strip() else ()


def _renamed(old: bytes, new: bytes) -> None:
    os.rename(os.path.join(b"pets", old), os.path.join(b"pets", new))


def _called(text: bytes, way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        pets = copied(stock.pets, Path("pets"))
        query: str | Path = stock.pets / "pet0" / "0.png"
        if way in ("query", "broken"):
            file = os.path.join(b"pets", b"pet0", text[:251] + b".png")
            os.rename(b"pets/pet0/0.png", file)
            query = os.fsdecode(file)
            if way == "broken":
                Path(query).write_bytes(b"not a picture")
                return ["train", "protonet", "--data", pets, "--out", "run", *QUICK]
            return ["predict", stock.finished, query, "--support", stock.pets]
        if way == "root":
            os.rename(b"pets", text)
            return ["train", "protonet", "--data", os.fsdecode(text), "--out", "run", *QUICK]
        _renamed(b"pet0", text)
        if way == "train":
            return ["train", "protonet", "--data", pets, "--out", "run", *QUICK]
        return ["predict", stock.finished, query, "--support", pets, *(["--json"] if way == "support" else [])]

    return prepare


def layouts() -> Mapping[str, Callable[[Path], object]]:
    """Changes of a folder of eight classes."""

    def without(count: int) -> Callable[[Path], object]:
        def change(pets: Path) -> None:
            for number in range(count, 8):
                _remove(pets / f"pet{number}")

        return change

    def deep(pets: Path) -> None:
        inner = pets / "pet0" / "/".join("d" * 60)
        inner.mkdir(parents=True)
        (pets / "pet0" / "0.png").rename(inner / "0.png")

    def very_deep(pets: Path) -> None:
        here = Path.cwd()
        os.chdir(pets)
        for _ in range(600):
            os.mkdir("deeperdeeper")
            os.chdir("deeperdeeper")
        os.chdir(here)

    def wide(pets: Path) -> None:
        for number in range(3000):
            (pets / f"empty{number}").mkdir()

    def each(change: Callable[[Path], object]) -> Callable[[Path], object]:
        return lambda pets: [change(file) for file in sorted(pets.rglob("*.png"))]

    def as_link(target: str) -> Callable[[Path], object]:
        def change(pets: Path) -> None:
            (pets / "pet0" / "0.png").unlink()
            (pets / "pet0" / "0.png").symlink_to(target)

        return change

    return {
        "no-classes": without(0), "one-class": without(1), "two-classes": without(2), "three-classes": without(3),
        "empty-class": lambda pets: (pets / "empty").mkdir(),
        "one-picture": lambda pets: [file.unlink() for file in sorted(pets.rglob("*.png")) if file.name != "0.png"],
        "emptied": each(Path.unlink),
        "emptied-files": each(lambda file: file.write_bytes(b"")),
        "all-alike": each(lambda file: file.write_bytes((file.parents[1] / "pet7" / "3.png").read_bytes())),
        "alone": lambda pets: [_remove(pets / f"pet{number}") for number in range(8)] and (pets / "0.png").touch(),
        "file-beside": lambda pets: (pets / "notes.txt").touch(),
        "picture-beside": lambda pets: (pets / "pet0" / "0.png").rename(pets / "0.png"), "deep": deep, "very-deep": very_deep, "wide": wide,
        "loop": lambda pets: (pets / "pet0" / "loop").symlink_to(".."), "loop-class": lambda pets: (pets / "loop").symlink_to("."),
        "self": lambda pets: (pets / "self").symlink_to("self"),
        "two-loops": lambda pets: [(pets / "a").symlink_to("b"), (pets / "b").symlink_to("a")], "dangling": as_link("nowhere.png"),
        "to-zeros": as_link("/dev/zero"),
        "to-null": as_link("/dev/null"), "to-memory": as_link("/proc/self/mem"), "to-folder": as_link("."), "to-tty": as_link("/dev/tty"),
        "to-proc": as_link("/proc/self/environ"),
        "fifo": lambda pets: os.mkfifo(pets / "pet0" / "f.png"), "fifo-class": lambda pets: os.mkfifo(pets / "fifo"),
        "fifo-alone": lambda pets: os.mkfifo(pets / "pet0" / "fifo"),
        "folder-called-picture": lambda pets: (pets / "pet0" / "x.png").mkdir(),
        "hidden": lambda pets: (pets / "pet0").rename(pets / ".pet0"), "thumbs": lambda pets: (pets / "pet0" / "Thumbs.db").touch(),
        "mac": lambda pets: (pets / "pet0" / "._0.png").write_bytes(b"\0\5\x16\7"),
        "parts": lambda pets: [(pets / part).mkdir() for part in ("train", "val", "test")],
        "part-train": lambda pets: (pets / "pet0").rename(pets / "train"), "parts-of-three": _into_parts,
        "parts-only-test": lambda pets: _into(pets, "test", range(8)),
        "part-twice": lambda pets: [_into(pets, "val", range(3)), _into(pets, "valid", range(3, 5))],
        "same-class-twice": _same_in_two_parts, "case": lambda pets: (pets / "pet0").rename(pets / "PET1"),
        "sparse-giant": _giant, "suffix-upper": each(lambda file: file.rename(file.with_suffix(".PNG"))),
        "no-suffix": each(lambda file: file.rename(file.with_suffix(""))),
        "other-suffix": each(lambda file: file.rename(file.with_suffix(".tiff"))), "locked": lambda pets: (pets / "pet0").chmod(0),
        "copies": _copies, "root-is-file": _as_file, "root-is-fifo": _as_fifo,
        "root-is-gone": _gone, "root-is-loop": _as_loop, "socket": _socket,
    }  # fmt: skip


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _into(pets: Path, part: str, numbers: range) -> None:
    (pets / part).mkdir()
    for number in numbers:
        (pets / f"pet{number}").rename(pets / part / f"pet{number}")


def _into_parts(pets: Path) -> None:
    for part, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        _into(pets, part, numbers)


def _same_in_two_parts(pets: Path) -> None:
    _into_parts(pets)
    (pets / "val" / "pet0").mkdir()
    (pets / "val" / "pet0" / "9.png").write_bytes((pets / "train" / "pet0" / "0.png").read_bytes())


def _giant(pets: Path) -> None:
    (pets / "pet0" / "g.png").touch()
    os.truncate(pets / "pet0" / "g.png", 20 * 1024**3)


def _copies(pets: Path) -> None:
    for number in range(8):
        (pets / f"pet{number}" / "copy.png").write_bytes((pets / "pet0" / "0.png").read_bytes())


def _gone(pets: Path) -> None:
    for number in range(8):
        _remove(pets / f"pet{number}")
    pets.rmdir()


def _as_file(pets: Path) -> None:
    _gone(pets)
    pets.touch()


def _as_fifo(pets: Path) -> None:
    _gone(pets)
    os.mkfifo(pets)


def _as_loop(pets: Path) -> None:
    _gone(pets)
    pets.symlink_to("pets")


def _socket(pets: Path) -> None:
    import socket

    here = Path.cwd()
    os.chdir(pets / "pet0")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s.png")
    os.chdir(here)


def _laid_out(made: Callable[[Path], object], way: str) -> Callable[[Stock], Words | Callable[[], object]]:
    def prepare(stock: Stock) -> Words | Callable[[], object]:
        pets = copied(stock.pets, Path("pets"))
        made(pets)
        query = stock.pets / "pet0" / "0.png"
        if way == "train":
            return ["train", "protonet", "--data", pets, "--out", "run", *QUICK]
        if way == "support":
            return ["predict", stock.finished, query, "--support", pets, "--json"]
        if way == "evaluate":
            return ["evaluate", "nearest", "--data", pets, "--split", "all", "--way", "2", "--query", "1", "--episodes", "3", "--json"]

        def call() -> object:
            import kshot

            return kshot.ImageFolder(pets, kshot.Picture(16))

        return call

    return prepare
