"""Measure what meta-learning adds to a pretrained network: learners on its frozen vectors, before and after meta-training.

    python scripts/measure_pretrained.py grocery --vectors grocery.npz --run runs/grocery-adapter --shots 1,5,10
    python scripts/measure_pretrained.py clinc150 --vectors clinc150.npz --run runs/clinc150-adapter --way 15
    python scripts/measure_pretrained.py banking77 --vectors banking77.npz --run runs/clinc150-adapter --part all --way 77
    python scripts/measure_pretrained.py clinc150 … --beside ProtoNet=runs/protonet --beside "last layers=runs/late@early.npz"

In: a file of vectors (`kshot embed`), and a run that was trained on vectors of the same encoder. Out: one entry of
`scripts/pretrained.json`: accuracy in per cent with its 95 % interval over 1,000 episodes, per learner and number of shots, and the
difference of each from the run, paired episode by episode. Learners: `frozen` is the run's own learner as it was before its first update,
ridge on the frozen vectors; `frozen, cosine` compares class means by angle; `frozen, chosen` is the head that `kshot fit` would choose for
each episode, of 200 episodes; `meta-trained` is the run, and `meta-trained, chosen` such a head on its features. Nothing sees a test class
before its support set.

`--beside NAME=RUN` scores another run on the same episodes; with `@FILE`, it takes the same items, row by row, from other vectors. With
vectors of its own it gets a row of `NAME, chosen`, too. A learner that takes gradient steps for each episode is scored on 200 of them.
"""

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kshot.atomic import write_json
from kshot.backbones.adapter import Adapter
from kshot.data.class_index import ClassIndex
from kshot.data.split import divide_by_file
from kshot.data.vectors import Vectors
from kshot.episodes.shape import EpisodeShape
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.regular_file import read_json
from kshot.results.compare.paired import paired_difference
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.score.interval import mean_and_interval
from kshot.saved.folder import load_folder
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.choose import choose

NUMBERS = Path(__file__).with_name("pretrained.json")
CHOSEN = 200
"""Episodes for which the head of `kshot fit` is chosen, each anew."""
AT_ONCE = 256


def main() -> None:
    """Measure one data set, and write its entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the entry in the JSON file")
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="JSON file of the division; not needed for --part all")
    parser.add_argument("--part", default="test")
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--query", type=int, default=15)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--shots", default="1,5,10")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=RUN[@FILE]", help="another run, scored on the same episodes")
    options = parser.parse_args()
    data = Vectors(options.vectors)
    index = data.index if options.part == "all" else divide_by_file(data.index, options.split).part(options.part)
    trained = load_folder(options.run / "learner").learner
    record = read_json(options.run / "learner" / "learner.json")["record"]
    others = {name: Other.of(place, data) for name, _, place in (one.partition("=") for one in options.beside)}
    entry: dict[str, Any] = {
        "encoder": data.preprocess.arguments()["encoder"], "classes": len(index), "part": options.part, "way": options.way,
        "query": options.query, "episodes": options.episodes, "seed": 0, "updates": record["updates"],
        "recipe": record["recipe"]["description"], "shots": {},
    }  # fmt: skip
    for shot in map(int, options.shots.split(",")):
        shape = EpisodeShape(options.way, shot, options.query)
        episodes = EpisodeSet.draw(data, index, options.part, shape, episodes=options.episodes, seed=0)
        found = {
            name: per_episode(learner, episodes)
            for name, learner in {"frozen": untrained(trained), "frozen, cosine": cosine(data), "meta-trained": trained}.items()
        }
        few = EpisodeSet.draw(data, index, options.part, shape, episodes=min(CHOSEN, options.episodes), seed=0)
        for name, other in others.items():
            found[name] = per_episode(other.learner, replace(few if other.steps else episodes, dataset=other.data))
        rows = {name: row(values, found["meta-trained"][: len(values)]) for name, values in found.items()}
        for name, other in others.items():
            rows[name] |= {"updates": other.updates, "episodes": len(found[name])}
        if options.way <= 20:
            features = {"frozen, chosen": everything(data).numpy(), "meta-trained, chosen": features_of(trained, data, index)}
            features |= {
                f"{name}, chosen": features_of(one.learner, one.data, index) for name, one in others.items() if one.data is not data
            }
            for name, vectors in features.items():
                values = chosen(vectors, few)
                rows[name] = {**row(values, found["meta-trained"][: len(values)]), "episodes": len(values)}
        entry["shots"][str(shot)] = rows
        print(options.name, shot, {name: f"{one['accuracy']:.2f} ± {one['interval']:.2f}" for name, one in rows.items()}, flush=True)
    numbers = read_json(NUMBERS) if NUMBERS.exists() else {}
    write_json(NUMBERS, dict(sorted({**numbers, options.name: entry}.items())))


@dataclass(frozen=True, eq=False)
class Other:
    """Another run: its learner, the items as it reads them, whether it takes gradient steps for each episode, and its updates."""

    learner: Learner
    data: Vectors
    steps: bool
    updates: int

    @classmethod
    def of(cls, place: str, data: Vectors) -> "Other":
        """Open a run, `RUN` or `RUN@FILE`."""
        run, _, file = place.partition("@")
        learner = load_folder(Path(run) / "learner").learner
        items = Vectors(file) if file else data
        theirs, ours = ({name: one.index.items_of(name).tolist() for name in one.index.names} for one in (items, data))
        if theirs != ours:
            raise SystemExit(f"{file} does not hold the items of {data.name}, row by row. Embed the same examples.")
        updates = read_json(Path(run) / "learner" / "learner.json")["record"]["updates"]
        return cls(learner, items, learner.adapt_steps is not None, updates)


def features_of(learner: Learner, data: Vectors, index: ClassIndex) -> np.ndarray:
    """Return what a learner encodes the items of some classes to, in the rows of these items, float32 (M, D); the other rows are zeros."""
    rows = np.sort(np.concatenate([index.items_of(name) for name in index.names]))
    found = None
    with torch.no_grad():
        for some in np.array_split(rows, math.ceil(len(rows) / AT_ONCE)):
            x = data.gather(some)
            assert isinstance(x, torch.Tensor)
            part = learner.encode(x)
            assert isinstance(part, torch.Tensor)
            found = np.zeros((len(data), part.shape[1]), np.float32) if found is None else found
            found[some] = part.numpy()
    assert found is not None
    return found


def untrained(trained: Learner) -> Learner:
    """Return the learner of a run as it was before its first update, for a backbone that begins as the identity."""
    assert isinstance(trained, RidgeNet)
    assert isinstance(trained.backbone, Adapter)
    return RidgeNet(Adapter(**trained.backbone.arguments), regularisation=0.1, scale=10.0).eval()


def cosine(data: Vectors) -> Learner:
    """Return class means of vectors of unit length."""
    return ProtoNet(Adapter(everything(data).shape[1])).eval()


def everything(data: Vectors) -> torch.Tensor:
    """Return the vectors of all items, float32 (M, D)."""
    found = data.gather(np.arange(len(data)))
    assert isinstance(found, torch.Tensor)
    return found


def per_episode(learner: Learner, episodes: EpisodeSet) -> np.ndarray:
    """Return the accuracy of each episode, (E,)."""
    return np.asarray(evaluate(learner, episodes).scores)


def chosen(vectors: np.ndarray, episodes: EpisodeSet) -> np.ndarray:
    """Return the accuracy of each episode under the head that `kshot fit` chooses, (E,); `vectors` are those of all items, (M, D)."""
    found = []
    for drawn in episodes.drawn:
        for support, labels, query, wanted in zip(drawn.support_items, drawn.support_y, drawn.query_items, drawn.query_y, strict=True):
            fitted = choose(vectors[support], labels, int(drawn.way)).fitted
            found.append(float((logits(fitted, vectors[query]).argmax(1) == wanted).mean()))
    return np.array(found)


def row(values: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """Describe the accuracies of a learner, and how far they are from those of the meta-trained one."""
    mean, interval = mean_and_interval(values)
    difference = paired_difference(values, best)
    return {
        "accuracy": round(100 * mean, 2), "interval": round(100 * interval, 2),
        "difference": round(100 * difference.mean, 2), "difference_interval": round(100 * difference.interval, 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
