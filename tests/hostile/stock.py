"""What the cases work on, made once: pictures, a trained learner, its run, a stopped run, fitted models. A case copies what it changes."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

from cases.encoders import Colours, Lengths
from cases.folders import fill
from cases.onnx_graphs import save_means

QUICK = [
    "--set", "data.size=16", "--set", "backbone.width=3", "--set", "episodes.query=2", "--set", "validation.query=2",
    "--set", "validation.episodes=2", "--set", "training.updates=2", "--set", "data.fractions=[0.5,0.25,0.25]", "--device", "cpu",
]  # fmt: skip
"""Flags of `kshot train` that train protonet on `Stock.pets` in a fifth of a second."""

FEW = ["--way", "2", "--query", "1", "--episodes", "3", "--device", "cpu"]
"""Flags of `kshot evaluate` for a test of three episodes."""


_OPTIMIZER = """trains = "optimizer"
[optimizer]
functions = { quadratics = 2 }
horizon = 6
truncation = 2
hidden = 4
[training]
updates = 2
lr = 0.01
[validation]
episodes = 2
"""


TEXTS = [("a", "short"), ("bb", "short"), ("c d", "short"), ("a b c d e", "long"), ("f g h i j k", "long"), ("l m n o p q r", "long")]
"""Texts and their classes, which the number of letters tells apart."""
ROWS = [(size, "" if size == 2 else size * size, "red" if size < 5 else "blue", "low" if size < 5 else "high") for size in range(10)]
"""Rows of numbers, `size,square,colour,kind`."""


def run_command(words: Sequence[str | Path]) -> int:
    """Run a command in this process, and return its exit code. The allocator, a setting of the whole process, stays as it is.

    The usual encoders are those worked out by hand.
    """
    import kshot.allocator
    from kshot import cli
    from kshot.encoders import table
    from kshot.exit_code import exit_code_of

    with (
        patch.object(sys, "argv", ["kshot", *map(str, words)]),
        patch.object(kshot.allocator, "keep_freed_memory", lambda: False),
        patch.dict(table.ENCODERS, {"colours": lambda device: Colours(), "lengths": lambda device: Lengths()}),
        patch.dict(table.DEFAULTS, {"photographs": "colours", "texts": "lengths"}),
    ):
        return exit_code_of(cli.app)


@dataclass(frozen=True)
class Stock:
    """Files that all cases share, in one folder. Each is made when it is first needed."""

    folder: Path

    @cached_property
    def pets(self) -> Path:
        """Eight classes of four pictures, 16×16."""
        return fill(self.folder / "pets", [f"pet{number}" for number in range(8)], items=4)

    @cached_property
    def finished(self) -> Path:
        """A finished run of protonet, two updates, on `pets`."""
        return self._run("finished", "protonet", QUICK)

    @cached_property
    def maml(self) -> Path:
        """A finished run of MAML, whose learner has an inner loop."""
        return self._run(
            "maml", "omniglot-maml", [*QUICK, "--set", "validation.way=2", "--set", "episodes.way=2", "--set", "learner.outputs=2"]
        )

    @cached_property
    def stopped(self) -> Path:
        """The run `finished`, as it was when its first update was done: it goes on with `--resume`."""
        folder = self._run("stopped", "protonet", [*QUICK, "--set", "training.save_every=1"], stop=True)
        assert (folder / "state.safetensors").exists()
        assert not (folder / "learner").exists()
        return folder

    @cached_property
    def optimised(self) -> Path:
        """A finished run of a learned optimiser, two updates."""
        folder, recipe = self.folder / "optimised", self.folder / "small.toml"
        recipe.write_text(_OPTIMIZER, encoding="utf-8")
        assert run_command(["train", recipe, "--out", folder, "--device", "cpu"]) == 0
        return folder

    @cached_property
    def means(self) -> Path:
        """An ONNX file: a picture of 8×8 to the mean of its colours."""
        return save_means(self.folder / "means.onnx", ("M", 8, 8, 3))

    @cached_property
    def models(self) -> dict[str, Path]:
        """A fitted model of each kind: of pictures, complete in itself; of texts, with descriptions; of rows; of a quantity."""
        texts, rows = self.folder / "texts.csv", self.folder / "rows.csv"
        texts.write_text("".join(f"{text},{kind}\n" for text, kind in [("text", "label"), *TEXTS]), encoding="utf-8")
        rows.write_text("".join(",".join(map(str, row)) + "\n" for row in [("size", "square", "colour", "kind"), *ROWS]), encoding="utf-8")
        fits: dict[str, list[str | Path]] = {
            "pictures": [self.pets, "--encoder", self.means, "--self-contained", "--with", "ridge"],
            "texts": [texts, "--with", "nearest"],
            "rows": [rows, "--label", "kind", "--with", "class_means"],
            "quantity": [rows, "--label", "size", "--regression"],
        }
        for name, words in fits.items():
            assert run_command(["fit", *words, "-o", self.folder / f"model {name}", "--json"]) == 0
        return {name: self.folder / f"model {name}" for name in fits}

    def model(self, kind: str, place: Path) -> Path:
        """A copy of a fitted model, to be damaged."""
        return copied(self.models[kind], place)

    def things(self, kind: str) -> Path:
        """The examples of a model: a folder of pictures, or a table."""
        assert self.models
        return self.pets if kind == "pictures" else self.folder / ("texts.csv" if kind == "texts" else "rows.csv")

    def _run(self, name: str, recipe: str, flags: Sequence[str], *, stop: bool = False) -> Path:
        from kshot.terminal import TrainingBar

        def interrupted(*_: object) -> None:
            import signal

            signal.raise_signal(signal.SIGINT)

        folder = self.folder / name
        words = ["train", recipe, "--data", self.pets, "--out", folder, *flags]
        if stop:
            with patch.object(TrainingBar, "step", interrupted):
                assert run_command(words) == 130
        else:
            assert run_command(words) == 0
        return folder

    def learner(self, place: Path) -> Path:
        """A copy of the saved learner, to be damaged."""
        return copied(self.finished / "learner", place)

    def run(self, place: Path) -> Path:
        """A copy of the stopped run, to be damaged."""
        return copied(self.stopped, place)

    def optimizer(self, place: Path) -> Path:
        """A copy of a saved learned optimiser, to be damaged."""
        return copied(self.optimised / "optimizer", place)

    def resume(self, run: Path) -> list[str | Path]:
        """The words that continue a copy of the stopped run."""
        return ["train", "protonet", "--data", self.pets, "--out", run, *QUICK, "--set", "training.save_every=1", "--resume"]


def copied(source: Path, place: Path) -> Path:
    """Copy a folder into a place that does not exist yet."""
    shutil.copytree(source, place)
    return place
