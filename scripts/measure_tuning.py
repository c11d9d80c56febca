"""Measure what tuning gives on the fixed few-shot files of BANKING77 and CLINC150: `kshot fit --tune`, 5 and 10 examples per class.

    python scripts/measure_tuning.py ../shared/data/intents_few_shot

In: the folder of the files, as for `measure_intents.py`. Out: `scripts/tuning.json`: the accuracy on the full test set in per cent, with
Wilson's 95 % interval, of the frozen and of the tuned encoder, each with the head that `kshot fit` would choose and the names of the
classes as descriptions; what the left-out examples said; steps and seconds. A tuning that is stopped goes on when the command is given
again; its state lies in the folder of `--states`. Where the left-out examples do not say that tuning is better, the frozen encoder is
kept, and both numbers are its own.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kshot.atomic import write_json
from kshot.encoders.table import default_encoder, open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.examples import Examples
from kshot.tasks.fit import fit
from kshot.tasks.scoring import score_model
from kshot.tasks.tune.fit_tuned import Tuning, fit_tuned
from measure_intents import DATA, read_part

NUMBERS = Path(__file__).resolve().parent / "tuning.json"
SHOTS = (5, 10)


def examples(folder: Path) -> Examples:
    """Read a part as examples."""
    texts, labels = read_part(folder)
    return Examples("texts", texts, labels, [str(number) for number in range(1, len(texts) + 1)])


def measure(folder: Path, states: Path, data: list[str], shots: list[int]) -> Iterator[dict[str, Any]]:
    """Yield one record per data set and number of examples per class."""
    cache, encoder = VectorCache(), open_encoder(default_encoder("texts"))
    for name in data:
        test = examples(folder / name / "test")
        for each in shots:
            train, file = examples(folder / name / f"train_{each}"), states / f"{name}-{each}.safetensors"
            before = score_model(fit(train, encoder, cache=cache).model, encoder, test, cache=cache).estimate
            found = fit_tuned(train, encoder, cache=cache, tuning=Tuning(file=file, resume=file.exists()))
            score = score_model(found.fitted.model, found.encoder or encoder, test, cache=cache).estimate
            yield {
                "data": name,
                "shots": each,
                **{kind: round(100 * one.accuracy, 2) for kind, one in (("frozen", before), ("tuned", score))},
                **{
                    f"{kind}_interval": [round(100 * end, 2) for end in one.interval]
                    for kind, one in (("frozen", before), ("tuned", score))
                },
                "texts": score.examples,
                "head": found.fitted.model.head_name,
                "left_out": found.comparison.as_dict(),
                "steps": found.fitted.model.findings["tuned"]["steps"],
                "seconds": round(found.fitted.model.findings["tuned"]["seconds"]),
            }


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure tuned text encoders on BANKING77 and CLINC150.")
    parser.add_argument("folder", type=Path, help="the folder intents_few_shot")
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--shots", nargs="+", type=int, default=list(SHOTS))
    parser.add_argument("--states", type=Path, default=Path("runs/tuning"), help="folder of the states of tunings that were stopped")
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    records = []
    for one in measure(asked.folder, asked.states, asked.data, asked.shots):
        print(*(f"{key}={value}" for key, value in one.items()), flush=True)
        records.append(one)
        write_json(asked.output, {"command": "python scripts/measure_tuning.py ../shared/data/intents_few_shot", "results": records})


if __name__ == "__main__":
    main()
