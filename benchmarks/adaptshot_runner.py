"""What `benchmarks.adaptshot` runs in AdaptShot's own environment, which has no kshot: tasks in, answers out, both JSON; or one command.

    python -I benchmarks/adaptshot_runner.py answer TASKS ANSWERS
    python -I benchmarks/adaptshot_runner.py fit EXAMPLES STATE
    python -I benchmarks/adaptshot_runner.py predict STATE PHOTOGRAPH

`-I` keeps this folder off the path: its `adaptshot.py` would be taken for the library. Everything goes through the library's public class.
"""

import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

from adaptshot import FewShotLearner  # type: ignore[import-not-found]  # it lives in an environment of its own


def answer(tasks: str, answers: str) -> None:
    """Answer tasks: support `[path, label]`, queries (paths), rates of missed classes. One learner per task, and a copy of it per rate."""
    found = []
    for task in json.loads(Path(tasks).read_text()):
        learner = taught(task["support"])
        results = [answered(copy.deepcopy(learner), task["queries"], rate) for rate in task["rates"]]
        found.append(
            [
                {
                    "label": each[0].prediction,
                    "probability": each[0].calibrated_confidence,
                    "flagged": each[0].uncertainty_flag,
                    "sets": [one.conformal_set if one.conformal_calibrated else None for one in each],
                }
                for each in zip(*results, strict=True)
            ]
        )
    Path(answers).write_text(json.dumps(found))


def answered(learner: Any, queries: list[str], rate: float) -> list[Any]:
    """Answer queries, one after the other; `rate` is the share of things whose set may miss the right class, which no fit depends on."""
    learner.conformal.alpha = rate
    return [learner.predict(path) for path in queries]


def taught(support: list[list[str]]) -> Any:
    """Return a learner that has seen the examples."""
    learner = FewShotLearner()
    learner.load_support_images([path for path, _ in support], [label for _, label in support])
    return learner


def fit(examples: str, state: str) -> None:
    """Learn a folder of class folders, and save."""
    paths = sorted(Path(examples).glob("*/*.jpg"))
    taught([[str(path), path.parent.name] for path in paths]).save(state)


def predict(state: str, photograph: str) -> None:
    """Answer one photograph with a saved learner."""
    print(FewShotLearner.load(state).predict(photograph).prediction)


def cost() -> tuple[float, float]:
    """Return the CPU seconds of this process, and its largest memory in megabytes (Linux)."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return time.process_time(), int(peak.split()[1]) / 1024


if __name__ == "__main__":
    {"answer": answer, "fit": fit, "predict": predict}[sys.argv[1]](*sys.argv[2:])
    print(*cost())
