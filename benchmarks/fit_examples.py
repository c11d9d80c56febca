"""Fit a model from the command line, once and once more, and answer: seconds of `kshot fit`, and what `predict` adds to the encoder's time.

    python -m benchmarks.fit_examples

The examples are made here: 150 classes of 5 messages, from the committed descriptions of CLINC150's classes, and 81 classes of 5
photographs. Each fit is a process of its own with a cache of its own, where the encoder's export lies already. Marks, two cores: the first
fit within 10 s, encoding and reading included; the second fit, whose vectors are known, within 3 s; `predict` within 1.10 of the encoder's
own time, both on the same things in memory and without a cache.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.timing import ratio, take_turns
from kshot.data.reading import cores
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder, Reads
from kshot.encoders.table import default_encoder, open_encoder
from kshot.tasks.answers import judge_of, label_each
from kshot.tasks.model_folder import load_model
from kshot.tasks.queries import Query

MARK_FIRST, MARK_SECOND, MARK_PREDICT = 10.0, 3.0, 1.10
TURNS, PHOTOGRAPH_CLASSES, SHOTS, SIDE = 3, 81, 5, 84
_DESCRIPTIONS = Path(__file__).resolve().parents[1] / "scripts" / "descriptions" / "clinc150.toml"
_WAYS = ("{}", "please: {}", "hello, {}", "i would like to know: {}", "{} thank you")


def messages() -> dict[str, list[str]]:
    """Return five messages for each class."""
    sentences = tomllib.loads(_DESCRIPTIONS.read_text(encoding="utf-8"))
    return {name: [way.format(sentence) for way in _WAYS] for name, sentence in sentences.items()}


def write_photographs(folder: Path) -> None:
    """Write photographs of 84 × 84 pixels: those of a class are noise around a pattern of its own."""
    random = np.random.default_rng(0)
    for label in range(PHOTOGRAPH_CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        pattern = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for number in range(SHOTS):
            noisy = np.asarray(pattern, np.int16) + random.integers(-60, 60, (SIDE, SIDE, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"class {label}" / f"{number}.jpg", quality=90)


def fit_seconds(examples: Path, model: Path) -> float:
    """Run `kshot fit` in a process of its own; return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kshot", "fit", str(examples), "-o", str(model), "--overwrite"], check=True, capture_output=True)
    return time.perf_counter() - began


def predict_ratio(folder: Path, encoder: Encoder, things: Sequence[Any]) -> float:
    """Return the time of answering things by that of embedding them alone."""
    model = load_model(folder)
    judge = judge_of(model)
    queries = [Query(place, thing=thing) for place, thing in enumerate(things)]
    contenders = {
        "encoder": lambda: list(embed(encoder, things)),
        "predict": lambda: list(label_each(model, encoder, queries, judge=judge)),
    }
    times = take_turns(contenders, turns=TURNS)
    return ratio(times["predict"], times["encoder"])


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    print(f"fitting examples with `kshot fit`, {cores()} cores, load {os.getloadavg()[0]:.1f}")
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["KSHOT_CACHE"] = str(folder / "cache")
        said = messages()
        with (folder / "messages.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, label) for label, texts in said.items() for text in texts)])
        write_photographs(folder / "photographs")
        texts = [text for some in said.values() for text in some]
        pictures = [np.asarray(Image.open(path)) for path in sorted((folder / "photographs").rglob("*.jpg"))]
        kinds: list[tuple[str, Reads, Path, Sequence[Any]]] = [
            (f"{len(said)} × {SHOTS} messages", "texts", folder / "messages.csv", texts),
            (f"{PHOTOGRAPH_CLASSES} × {SHOTS} photographs", "photographs", folder / "photographs", pictures),
        ]
        for what, reads, examples, things in kinds:
            began = time.perf_counter()
            encoder = open_encoder(default_encoder(reads))
            exported = time.perf_counter() - began
            first = fit_seconds(examples, folder / "model")
            second = statistics.median(fit_seconds(examples, folder / "model") for _ in range(TURNS))
            added = predict_ratio(folder / "model", encoder, things)
            print(f"  {what}, {encoder.name}; export {exported:.1f} s")
            print(f"    first fit                            {first:6.2f} s   mark {MARK_FIRST:g}")
            print(f"    second fit, median of {TURNS}               {second:6.2f} s   mark {MARK_SECOND:g}")
            print(f"    predict, in times of the encoder's   {added:6.2f}     mark {MARK_PREDICT}")
            missed |= first > MARK_FIRST or second > MARK_SECOND or added > MARK_PREDICT
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
