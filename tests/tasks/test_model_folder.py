"""A model on disk: what comes back, what is refused, and what a damaged, cut off or newer folder says."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kshot.atomic
from kshot.encoders.encoder import Provenance
from kshot.errors import SavedError
from kshot.tasks.answers import judge_of
from kshot.tasks.certainty.certainty import Certainty
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.model_folder import REPORT, SCORE, check_output, load_model, save_model
from kshot.tasks.model_record import is_model
from kshot.version import VERSION

FACTS = EncoderFacts("lengths", "texts", 2, "0123456789abcdef", Provenance("MIT", "by hand", "a-package"))
AFFINE = FittedHead(
    "affine", "as they are",
    {"weights": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32), "centre": np.ones(2, np.float32)}, 0.5, {"ridge": 2.0},
)  # fmt: skip
NEAREST = FittedHead("nearest", "unit length", {"examples": np.ones((3, 2), np.float32), "labels": np.array([0, 1, 1])}, 1.0, {})
NOTHING = np.empty(0, np.float32)
CERTAINTY = Certainty(
    np.array([-2.5, -0.1], np.float32), NOTHING, np.array([1.5], np.float32), np.array([0.5, 0.75, 1], np.float32),
    np.array([[-2, -1, -0.5], [1, 2, 3]], np.float32),
)  # fmt: skip
FINDINGS = {
    "asked_head": None, "head": "Head: ridge, by default.", "choice": {"name": "ridge"},
    "estimate": {
        "how": "leave-one-out", "accuracy": 0.5, "interval": (0.1, 0.9), "log_likelihood": None, "classes": 2,
        "confusion": [(1, 1, 1), (1, 0, 1)], "unscored": [1, 0],
    },
}  # fmt: skip
KERNEL = FittedHead(
    "kernel", "unit length",
    {
        "weights": np.zeros((2, 2), np.float32), "bias": np.zeros(2, np.float32), "examples": np.ones((3, 2), np.float32),
        "coefficients": np.ones((3, 2), np.float32), "precision": np.ones(1, np.float32),
    }, 1.0, {},
)  # fmt: skip


def model(head: FittedHead = AFFINE, **changes: Any) -> Model:
    plain: dict[str, Any] = {
        "encoder": FACTS, "classes": ("käse", "ход"), "head_name": "ridge", "head": head,
        "vectors": np.arange(6, dtype=np.float32).reshape(3, 2), "labels": np.array([1, 0, 1]), "names": ("1", "2", "caf\udce9.png"),
        "findings": FINDINGS, "columns": {"things": ["text"], "label": "intent"}, "descriptions": {"ход": ["a move"]},
        "description_vectors": np.array([[np.nan, np.nan], [1, 2]], np.float32), "certainty": CERTAINTY,
    }  # fmt: skip
    return Model(**{**plain, **changes})


@pytest.mark.parametrize("head", [AFFINE, NEAREST, KERNEL])
def test_what_was_saved_comes_back(tmp_path: Path, head: FittedHead) -> None:
    saved = model(head)
    save_model(tmp_path / "m", saved)
    assert is_model(tmp_path / "m")
    found = load_model(tmp_path / "m")
    assert found.findings == json.loads(json.dumps(saved.findings))
    for name in ("encoder", "classes", "head_name", "names", "columns", "descriptions"):
        assert getattr(found, name) == getattr(saved, name), name
    for name in ("vectors", "labels", "description_vectors"):
        assert np.array_equal(getattr(found, name), getattr(saved, name), equal_nan=name.startswith("d")), name
    assert (found.head.form, found.head.feature_map, found.head.temperature) == (head.form, head.feature_map, head.temperature)
    assert found.head.settings == head.settings
    assert found.head.arrays.keys() == head.arrays.keys()
    assert all(np.array_equal(found.head.arrays[name], head.arrays[name]) for name in head.arrays)
    assert found.certainty is not None
    assert all(np.array_equal(array, CERTAINTY.arrays()[name]) for name, array in found.certainty.arrays().items())
    assert found.folder == tmp_path / "m"
    assert found.counts == {"käse": 1, "ход": 2}


def test_a_model_of_format_1_is_read_and_says_nothing_of_how_sure_it_is(tmp_path: Path) -> None:
    save_model(tmp_path / "m", model(certainty=None))
    changed(tmp_path / "m", format=1)
    found = load_model(tmp_path / "m")
    assert found.certainty is None
    assert "of an older kshot" in judge_of(found).notes[0]


def test_saving_again_replaces_and_tidies_up(tmp_path: Path) -> None:
    save_model(tmp_path, model())
    save_model(tmp_path, model(NEAREST))
    assert len(list(tmp_path.iterdir())) == 2
    assert load_model(tmp_path).head.form == "nearest"


def test_an_output_that_exists_is_refused(tmp_path: Path) -> None:
    check_output(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(SavedError, match="is a file; a model is saved as a folder"):
        check_output(tmp_path / "file")
    with pytest.raises(SavedError, match="holds other files and no model"):
        check_output(tmp_path, overwrite=True)
    save_model(tmp_path / "m", model())
    with pytest.raises(SavedError, match=r"holds a model. Replace it with --overwrite"):
        check_output(tmp_path / "m")
    check_output(tmp_path / "m", overwrite=True)


def test_a_full_disk_leaves_the_earlier_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "m", model())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kshot.atomic.os, "fsync", full)
    with pytest.raises(SavedError, match="No space left on device"):
        save_model(tmp_path / "m", model(NEAREST))
    monkeypatch.undo()
    assert load_model(tmp_path / "m").head.form == "affine"
    assert len(list((tmp_path / "m").iterdir())) == 2


def changed(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "model.json").read_text())
    for key, value in changes.items():
        target, *path = key.split("__")
        place = record
        for part in [target, *path][:-1]:
            place = place[part]
        place[[target, *path][-1]] = value
    (folder / "model.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": 3, "kshot": "0.9.1"},
            rf"has format 3; this kshot {re.escape(VERSION)} reads up to 2. kshot 0.9.1 wrote it and reads it",
        ),
        ({"format": 3, "kshot": "'; rm -rf /"}, "has format 3; .* Install a newer kshot"),
        ({"format": "1"}, "it has no format"),
        ({"format": 0}, "formats are 1 and more; found 0"),
        ({"classes": ["a"]}, "2 or more classes of different names; found 1"),
        ({"classes": ["a", "a"]}, "2 or more classes of different names"),
        ({"classes": ["a", "b", "c"]}, r"head/weights must be float32 \(2, 3\); found float32 \(2, 2\)"),
        ({"classes": "ab"}, "classes must be a list of texts in quotes"),
        ({"encoder": {"name": "x"}}, "encoder.reads, .* missing|is missing"),
        ({"encoder__reads": "smells"}, "encoder.reads must be one of"),
        ({"encoder__features": 3}, r"vectors must be float32 \(3, 3\)"),
        ({"head__temperature": 0}, "a temperature is above 0"),
        ({"head__feature_map": "cube"}, "there is no feature map 'cube'"),
        ({"head__form": "nearest"}, "head/examples must be float32"),
        ({"head__form": "tree"}, "head.form must be one of"),
        ({"examples": ["1"]}, r"vectors must be float32 \(1, 2\)"),
        ({"arrays__sha256": "0"}, "is damaged: its [0-9]+ bytes are not the saved ones"),
        ({"arrays__file": "../../../etc/passwd"}, "is cut off: passwd cannot be read"),
        ({"numbers": {"numbers": [], "categories": [], "findings": []}}, "a model of numbers, and no other, has columns of numbers"),
        ({"findings": None}, "findings must be a table"),
        ({"findings__estimate__classes": 3}, "its estimate is not one of 2 classes"),
        ({"findings__estimate__confusion": [[2, 0, 1]]}, "its estimate is not one of 2 classes"),
        ({"findings__estimate__interval": [0]}, r"findings\.estimate\.interval must be"),
    ],
)
def test_a_damaged_or_newer_record_says_so(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save_model(tmp_path / "m", model())
    changed(tmp_path / "m", **changes)
    with pytest.raises(SavedError, match=message):
        load_model(tmp_path / "m")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SavedError, match="there is no model at"):
        load_model(tmp_path / "m")
    with pytest.raises(SavedError, match=r"is not a model: it has no model\.json"):
        load_model(tmp_path)
    save_model(tmp_path / "m", model())
    (arrays,) = (tmp_path / "m").glob("arrays-*")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-1])
    with pytest.raises(SavedError, match=rf"{arrays.name} is damaged or not a safetensors file"):
        load_model(tmp_path / "m")
    arrays.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SavedError, match="are not the saved ones"):
        load_model(tmp_path / "m")
    arrays.unlink()
    with pytest.raises(SavedError, match="is cut off"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text('{"format": 1')
    with pytest.raises(SavedError, match=r"model\.json is damaged"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("head", "changes", "message"),
    [
        (AFFINE, {"vectors": np.full((3, 2), np.nan, np.float32)}, "vectors holds numbers that are not finite"),
        (AFFINE, {"labels": np.array([0, 1, 2])}, "labels must be from 0 to 1"),
        (AFFINE, {"certainty": replace(CERTAINTY, familiar=np.ones((2, 3), np.float32))}, "certainty/familiar must be float32"),
        (FittedHead("nearest", "unit length", {**NEAREST.arrays, "labels": np.array([1, 0, 1])}, 1.0, {}), {}, "head/labels must ascend"),
        (FittedHead("affine", "centred unit", {k: AFFINE.arrays[k] for k in ("weights", "bias")}, 1.0, {}), {}, "head/centre must be"),
    ],
)
def test_arrays_that_cannot_answer_are_refused(tmp_path: Path, head: FittedHead, changes: dict[str, Any], message: str) -> None:
    save_model(tmp_path / "m", model(head, **changes))
    with pytest.raises(SavedError, match=message):
        load_model(tmp_path / "m")


@pytest.mark.slow
def test_a_model_is_loaded_without_torch(tmp_path: Path) -> None:
    save_model(tmp_path / "m", model())
    code = (
        "import sys; from kshot.tasks.model_folder import load_model; print(load_model(sys.argv[1]).classes[1])\n"
        "assert not {'torch', 'sklearn', 'pandas', 'onnxruntime'} & set(sys.modules)"
    )
    source = str(Path(kshot.atomic.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m")],
        env={"PYTHONPATH": source, "PYTHONIOENCODING": "utf-8"}, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "ход"), done.stderr


def test_the_encoder_beside_a_model_stays_with_it_alone(tmp_path: Path) -> None:
    save_model(tmp_path, model())
    for fingerprint, left in (("0123456789abcdef", 5), ("f" * 16, 2)):
        (tmp_path / "encoder.json").write_text(json.dumps({"fingerprint": fingerprint}))
        (tmp_path / "encoder.onnx").touch()
        (tmp_path / "encoder.part-0").mkdir(exist_ok=True)
        (tmp_path / "encoder.part-0" / "encoder.onnx").touch()
        save_model(tmp_path, model())
        assert len(list(tmp_path.iterdir())) == left


def test_the_pages_of_the_model_before_go_and_a_damaged_encoder_stays(tmp_path: Path) -> None:
    save_model(tmp_path, model())
    for name in (REPORT, SCORE, "encoder.json", "encoder.onnx"):
        (tmp_path / name).write_text("{")
    save_model(tmp_path, model())
    assert not (tmp_path / REPORT).exists()
    assert not (tmp_path / SCORE).exists()
    assert (tmp_path / "encoder.onnx").exists(), "whoever reads it says that it is damaged"
