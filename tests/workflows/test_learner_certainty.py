"""What a run keeps of how sure its learner is."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import kshot
from kshot.tasks.certainty.task_file import FILE, read_task_certainty
from kshot.workflows.experiment import prepare, run
from kshot.workflows.recipe import parse_recipe


def trained(tmp_path: Path, **validation: Any) -> Path:
    random = np.random.default_rng(0)
    for number in range(9):
        folder = tmp_path / "dots" / f"dot{number}"
        folder.mkdir(parents=True)
        for item in range(6):
            pixels = np.full((16, 16, 3), 20 * number) + random.integers(0, 20, (16, 16, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{item}.png")
    parts = {
        "data": {"name": str(tmp_path / "dots"), "split": "fractions", "size": 16, "fractions": [0.34, 0.33, 0.33]},
        "backbone": {"name": "conv4", "width": 3},
        "episodes": {"way": 2, "query": 2},
        "validation": {"way": 3, "shot": 2, "query": 2, "episodes": 40, **validation},
        "training": {"updates": 2},
    }
    assert run(prepare(parse_recipe(parts, "made"), tmp_path / "run", device="cpu")) is not None
    return tmp_path / "run"


def test_a_run_keeps_what_further_validation_tasks_tell(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    found = read_task_certainty(folder / "learner")
    assert found is not None
    (shape,) = found.shapes
    assert (shape.way, shape.shot, shape.tasks) == (3, 2, 40)
    assert found.tasks_of.endswith("the validation classes of the run")
    pictures = sorted((tmp_path / "dots" / "dot0").glob("*.png"))
    classifier = kshot.Classifier(str(folder), tmp_path / "dots")
    answer = classifier.predict(pictures[:1], coverage=0.8)[0]
    assert answer.set is not None
    assert answer.label in answer.set


def test_nothing_is_kept_for_a_shape_that_varies(tmp_path: Path) -> None:
    assert not (trained(tmp_path, shot=[1, 2]) / "learner" / FILE).exists()
