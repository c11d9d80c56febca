"""What tuning gives on some examples and a test: shared by `measure_tuning.py` and `measure_tuned_photographs.py`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kshot.atomic import write_json
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.descriptions import Sentences
from kshot.tasks.examples import Examples
from kshot.tasks.fit import fit
from kshot.tasks.scoring import score_model
from kshot.tasks.tune.fit_tuned import Tuning, fit_tuned


def tuned_beside_frozen(
    train: Examples, test: Examples, encoder: Encoder, cache: VectorCache, state: Path, sentences: Sentences | None = None
) -> dict[str, Any]:
    """Fit with the encoder as it is and tuned, and score both on the test.

    Args:
        train: The examples.
        test: Labelled things that are not among them.
        encoder: The encoder.
        cache: Where vectors are kept.
        state: File of the tuning's state; a tuning that was stopped goes on from it.
        sentences: Descriptions of the classes, beside their names.
    """
    before = score_model(fit(train, encoder, sentences=sentences, cache=cache).model, encoder, test, cache=cache).estimate
    tuning = Tuning(file=state, resume=state.exists())
    found = fit_tuned(train, encoder, sentences=sentences, cache=cache, tuning=tuning)
    after = score_model(found.fitted.model, found.encoder or encoder, test, cache=cache).estimate
    told = found.fitted.model.findings["tuned"]
    return {
        "frozen": round(100 * before.accuracy, 2),
        "frozen_interval": [round(100 * end, 2) for end in before.interval],
        "tuned": round(100 * after.accuracy, 2),
        "tuned_interval": [round(100 * end, 2) for end in after.interval],
        "tested": after.examples,
        "head": found.fitted.model.head_name,
        "left_out": found.comparison.as_dict(),
        "steps": told["steps"],
        "seconds": round(told["seconds"]),
    }


def write_as_found(records: Iterable[dict[str, Any]], output: Path, command: str) -> None:
    """Print a line per record, and write all that there are after each: a run of hours may be stopped."""
    results = []
    for one in records:
        print(*(f"{key}={value}" for key, value in one.items()), flush=True)
        results.append(one)
        write_json(output, {"command": command, "results": results})
