"""Measure how sure `kshot fit` is: calibration and sets on three data sets, things of no known class on two, and sets of a saved learner.

    python scripts/measure_certainty.py ../shared/data

In: a folder with `banking77`, `clinc150`, `grocery_store` and `intents_few_shot`. Out: `scripts/certainty.json`, numbers with their 95 %
intervals over the draws.

`fitted`: each draw takes 5 examples per class from the training files of a data set, at random. Calibration error (15 bins of equal
widths), the coverage of sets at 0.9 and their mean size are measured on the other items of the same files, and on the test files.
`uncorrected` is the coverage if the threshold is taken from the left-out examples as they are; `one_label` the share of draws whose sets
are all one label. `unknown`: each draw takes 5 texts per class from the training file; false alarms are counted on the test file of the
known classes at a rate of 0.05, and what is found on texts of no class. `auroc` is the area under the ROC curve of familiarity, beside
that of the maximum probability. `learner`: sets of `omniglot-protonet` over 1,000 new tasks of its test classes.
"""

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from kshot.atomic import write_json
from kshot.data.pictures.omniglot import Omniglot
from kshot.encoders.encoder import Encoder
from kshot.encoders.table import DEFAULTS, open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.episodes.shape import EpisodeShape
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating, predict_rectangle
from kshot.results.score.features import with_features
from kshot.results.score.interval import mean_and_interval
from kshot.saved.shipped import open_saved
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.calibration import calibration_error
from kshot.tasks.certainty.certainty import Judge, learn_certainty
from kshot.tasks.certainty.from_tasks import auroc
from kshot.tasks.certainty.ranks import threshold
from kshot.tasks.certainty.sets import sets_of
from kshot.tasks.certainty.task_file import TaskJudge, read_task_certainty
from kshot.tasks.certainty.unknown import Surroundings, familiarity
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.given import Given
from measure_intents import read_part, vectors_of

NUMBERS = Path(__file__).resolve().parent / "certainty.json"
DRAWS, SHOT, COVERAGE = 20, 5, 0.9
TASKS, QUERIES = 1_000, 15


class Part(NamedTuple):
    """Vectors (n, D) and their classes (n,)."""

    x: np.ndarray
    y: np.ndarray


def texts_of(encoder: Encoder, texts: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Part:
    """Embed texts; their classes are places in `classes`, or -1 for one that is not there."""
    place = {name: number for number, name in enumerate(classes)}
    return Part(vectors_of(encoder, texts, VectorCache()), np.array([place.get(name, -1) for name in labels]))


def banking77(data: Path, encoder: Encoder) -> tuple[Part, Part]:
    """Read the training file and the test file of BANKING77."""
    parts = []
    for name in ("train", "test"):
        with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            parts.append([(row["text"], row["category"]) for row in csv.DictReader(file)])
    classes = sorted({label for _, label in parts[0]})
    train, test = (texts_of(encoder, [text for text, _ in part], [label for _, label in part], classes) for part in parts)
    return train, test


def clinc150(data: Path, encoder: Encoder) -> tuple[Part, Part]:
    """Read the training part and the test part of CLINC150, without what is out of scope."""
    parts = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    classes = sorted({label for _, label in parts["train"]})
    found = {name: ([text for text, _ in parts[name]], [label for _, label in parts[name]]) for name in ("train", "test")}
    return texts_of(encoder, *found["train"], classes), texts_of(encoder, *found["test"], classes)


def grocery_store(data: Path, encoder: Encoder) -> tuple[Part, Part]:
    """Read the training photographs and the test photographs of the Grocery Store data set."""
    parts = []
    with zipfile.ZipFile(data / "grocery_store" / "grocery_store_84.zip") as archive:
        for name in ("train", "test"):
            (listed,) = (one for one in archive.namelist() if one.endswith(f"dataset/{name}.txt"))
            lines = [line.split(",") for line in archive.read(listed).decode().splitlines()]
            root = listed.removesuffix(f"{name}.txt")
            pictures = [Image.open(io.BytesIO(archive.read(root + path.strip()))).convert("RGB") for path, _, _ in lines]
            parts.append(Part(vectors_of(encoder, pictures, VectorCache()), np.array([int(fine) for _, fine, _ in lines])))
    train, test = parts
    return train, test


def drawn(y: np.ndarray, shot: int, seed: int) -> np.ndarray:
    """Draw the numbers of some examples per class."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(y == label))[:shot] for label in range(y.max() + 1)])


def fitted(train: Part, test: Part, shot: int) -> dict[str, Any]:
    """Measure calibration and sets over draws."""
    found: dict[str, list[float]] = {}
    way = int(train.y.max()) + 1
    for seed in range(DRAWS):
        rows = drawn(train.y, shot, seed)
        given = Given(train.x[rows], train.y[rows], way)
        choice = choose(given.x, given.y, way)
        learnt = learn_certainty(choice, given)
        judge = Judge(learnt, Surroundings(given.x, given.y, way), Asked(coverage=COVERAGE))
        plain = threshold(learnt.own, 1 - COVERAGE)
        others = np.setdiff1d(np.arange(len(train.y)), rows)
        for name, part in (("training_files", Part(train.x[others], train.y[others])), ("test_files", test)):
            answers = log_probabilities(choice.fitted, part.x)
            sets = judge(answers, part.x).sets
            assert sets is not None
            every = np.arange(len(part.y))
            numbers = {
                "accuracy": float((answers.argmax(1) == part.y).mean()),
                "calibration_error": calibration_error(answers, part.y),
                "coverage": float(sets[every, part.y].mean()),
                "size": float(sets.sum(1).mean()),
                "uncorrected": float(sets_of(answers, plain)[every, part.y].mean()),
                "one_label": float((sets.sum(1) == 1).all()),
            }
            for key, value in numbers.items():
                found.setdefault(f"{name}.{key}", []).append(value)
        print(seed, choice.name, {key: round(values[-1], 4) for key, values in found.items() if key.startswith("training")}, flush=True)
    return nested(found)


def unknown(train: Part, known: Part, outside: dict[str, Part], shot: int) -> dict[str, Any]:
    """Measure what is called unknown, over draws."""
    found: dict[str, list[float]] = {}
    way = int(train.y.max()) + 1
    for seed in range(DRAWS):
        rows = drawn(train.y, shot, seed)
        given = Given(train.x[rows], train.y[rows], way)
        choice = choose(given.x, given.y, way)
        learnt = learn_certainty(choice, given)
        near = Surroundings(given.x, given.y, way)
        judge = Judge(learnt, near, Asked(unknown=0.05))
        left_out = np.sort(choice.left_out.log_probabilities.max(1))
        scores, probable = {}, {}
        for name, part in {"known": known, **outside}.items():
            answers = log_probabilities(choice.fitted, part.x)
            probable[name] = answers.max(1)
            scores[name] = familiarity(np.column_stack([near.nearness(part.x), probable[name]]), learnt.scale)
            flagged = float(judge(answers, part.x).unknown.mean())
            found.setdefault("false_alarms" if name == "known" else f"{name}.found", []).append(flagged)
            share = float((probable[name] < threshold(left_out, 0.05)).mean())
            found.setdefault("false_alarms_of_probability" if name == "known" else f"{name}.found_by_probability", []).append(share)
        for name in outside:
            found.setdefault(f"{name}.auroc", []).append(auroc(scores["known"], scores[name]))
            found.setdefault(f"{name}.auroc_of_probability", []).append(auroc(probable["known"], probable[name]))
        print(seed, choice.name, {key: round(values[-1], 4) for key, values in found.items()}, flush=True)
    return nested(found)


def of_learner(name: str, way: int, shot: int, coverage: float) -> dict[str, Any]:
    """Measure the sets of a saved learner over new tasks of its test classes."""
    saved, dataset = open_saved(name), Omniglot()
    split = saved.record["split"]
    judge = TaskJudge(read_task_certainty(saved.folder), way, shot, Asked(coverage, 0.05))
    test = dataset.split(split).part("test")
    episodes = EpisodeSet.draw(dataset, test, f"{split}/test", EpisodeShape(way, shot, QUERIES), episodes=TASKS, seed=0)
    found: dict[str, list[float]] = {}
    device = torch.device("cpu")
    with evaluating(saved.learner), torch.no_grad():
        for drawn, features in with_features(saved.learner, episodes, device):
            logits = predict_rectangle(saved.learner, episodes, drawn, features, "inductive", device).double().numpy()
            for answers, truth in zip(logits, drawn.query_y, strict=True):
                verdicts = judge(answers)
                assert verdicts.sets is not None
                found.setdefault("accuracy", []).append(float((answers.argmax(1) == truth).mean()))
                found.setdefault("coverage", []).append(float(verdicts.sets[np.arange(len(truth)), truth].mean()))
                found.setdefault("size", []).append(float(verdicts.sets.sum(1).mean()))
                found.setdefault("false_alarms", []).append(float(verdicts.unknown.mean()))
    return {"asked": coverage, "tasks": TASKS, "note": judge.notes[0], **nested(found)}


def nested(found: dict[str, list[float]]) -> dict[str, Any]:
    """Return mean and 95 % interval of each list of numbers."""
    result: dict[str, Any] = {}
    for key, values in found.items():
        mean, half = mean_and_interval(np.array(values))
        inner = result
        *path, last = key.split(".")
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = {"mean": round(mean, 4), "interval": round(half, 4)}
    return result


def measures(data: Path, shot: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the numbers of each measurement."""
    texts, photographs = (open_encoder(DEFAULTS[reads]) for reads in ("texts", "photographs"))
    for name, read, encoder in (
        ("banking77", banking77, texts),
        ("clinc150", clinc150, texts),
        ("grocery_store", grocery_store, photographs),
    ):
        train, test = read(data, encoder)
        yield f"fitted.{name}", {"encoder": encoder.name, "shot": shot, **fitted(train, test, shot)}
        if name == "clinc150":
            outside = texts_of(texts, *read_part(data / "intents_few_shot" / "CLINC150" / "oos" / "test"), ())
            yield "unknown.clinc150", {"encoder": encoder.name, "shot": shot, **unknown(train, test, {"out_of_scope": outside}, shot)}
    folder = data / "intents_few_shot" / "BANKING77-OOS"
    classes = sorted(set(read_part(folder / "train")[1]))
    train, known = (texts_of(texts, *read_part(folder / name), classes) for name in ("train", "test"))
    outside_parts = {name: texts_of(texts, *read_part(folder / f"{name.replace('_', '-')}" / "test"), ()) for name in ("id_oos", "ood_oos")}
    for way, shots, coverage in ((5, 1, 0.995), (20, 1, 0.98)):
        yield f"learner.omniglot-protonet {way}-way {shots}-shot", of_learner("omniglot-protonet", way, shots, coverage)
    yield "unknown.banking77_oos", {"encoder": texts.name, "shot": shot, **unknown(train, known, outside_parts, shot)}


def rows_of(record: dict[str, Any]) -> dict[str, list[str]]:
    """Return the rows of the tables in `docs/how-sure.md`."""

    def told(found: dict[str, float], digits: int = 3) -> str:
        return f"{found['mean']:.{digits}f} ± {found['interval']:.{digits}f}"

    sets = []
    for name, found in record["fitted"].items():
        one, other = found["training_files"], found["test_files"]
        numbers = [told(one["accuracy"]), told(one["calibration_error"]), told(one["coverage"]), told(one["size"], 2)]
        sets.append(f"| {name} | {' | '.join([*numbers, told(one['uncorrected']), told(other['coverage'])])} |")
    outside = []
    for name, label, key in (
        ("clinc150", "CLINC150, out of scope", "out_of_scope"),
        ("banking77_oos", "BANKING77-OOS, out of domain", "ood_oos"),
        ("banking77_oos", "BANKING77-OOS, in domain", "id_oos"),
    ):
        found = record["unknown"][name]
        one = found[key]
        shares = [found["false_alarms"], one["found"], one["auroc"], one["found_by_probability"], one["auroc_of_probability"]]
        outside.append(f"| {label} | {' | '.join(told(share) for share in shares)} |")
    learner = [
        f"| {name.partition(' ')[2]} | {told(found['accuracy'])} | {found['asked']:g} | {told(found['coverage'])} | "
        f"{told(found['size'], 2)} | {told(found['false_alarms'])} |"
        for name, found in record["learner"].items()
    ]
    return {"sets": sets, "unknown": outside, "learner": learner}


def main() -> None:
    """Measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shot", type=int, default=SHOT)
    parser.add_argument("--out", type=Path, default=NUMBERS)
    options = parser.parse_args()
    record: dict[str, Any] = {"command": "python scripts/measure_certainty.py ../shared/data", "draws": DRAWS, "coverage": COVERAGE}
    for name, numbers in measures(options.data, options.shot):
        outer, inner = name.split(".", 1)
        record.setdefault(outer, {})[inner] = numbers
        write_json(options.out, record)


if __name__ == "__main__":
    main()
