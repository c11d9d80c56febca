"""Saved learners as encoders: their features, which of them can be one, and pictures that are not what an encoder is for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.drawings import drawings
from cases.encoders import Colours
from kshot import cli
from kshot.errors import DataError, RecipeError
from kshot.exit_code import exit_code_of
from kshot.saved.record_file import RECORD
from kshot.saved.shipped import open_saved
from kshot.tasks import encoder_by_name
from kshot.tasks.encoder_by_name import check_fit, open_by_name
from kshot.tasks.examples import find_examples
from kshot.tasks.fit import add, fit
from kshot.tasks.model_encoder import encoder_of
from kshot.tasks.model_folder import save_model


def photographs(root: Path) -> Path:
    """Textures of broad, coloured spots, which cover the picture."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)).resize((160, 160), Image.Resampling.BICUBIC)
            noise = rng.integers(-20, 21, (160, 160, 3))
            Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.mark.slow
def test_features_of_a_learner(tmp_path: Path) -> None:
    root = drawings(tmp_path / "ink")
    encoder = open_by_name("omniglot-protonet")
    saved = open_saved("omniglot-protonet")
    assert saved.preprocess is not None
    paths = sorted(root.rglob("*.png"))
    items = [encoder.read(path) for path in paths]
    with torch.no_grad():
        wanted = saved.learner.encode(
            saved.preprocess.to_input(torch.from_numpy(np.stack([saved.preprocess.read(path) for path in paths])))
        )
    found = encoder.encode(items)
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted.numpy(), abs=1e-5)
    assert found.shape == (8, encoder.features)
    assert encoder.encode([]).shape == (0, encoder.features)
    assert encoder.fingerprint == open_by_name("omniglot-protonet").fingerprint
    assert encoder.provenance.package == "kshot"
    fitted = fit(find_examples(root), encoder, head="class_means")
    assert fitted.model.findings["estimate"]["accuracy"] == 1.0
    assert fitted.notes == ()
    assert encoder_of(fitted.model).name == "omniglot-protonet"


def test_a_learner_that_gives_no_vectors_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"the learner 'omniglot-maml' cannot be an encoder.*kshot predict omniglot-maml --support"):
        open_by_name("omniglot-maml")


def label(model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The notes of `kshot predict`, without the score that it gives itself."""
    monkeypatch.setattr("sys.argv", ["kshot", "predict", str(model), str(folder)])
    assert exit_code_of(cli.app) == 0
    return "".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("Note: "))


@pytest.mark.slow
def test_pictures_that_an_encoder_is_not_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ink, colour = drawings(tmp_path / "ink"), photographs(tmp_path / "photos")
    with pytest.raises(DataError, match=r"look like photographs, and omniglot-protonet reads ink on paper.*--encoder efficientnet_lite0"):
        fit(find_examples(colour), open_by_name("omniglot-protonet"))
    assert fit(find_examples(ink), Colours()).notes[0] == (
        "these look like ink on paper, and colours reads photographs. For ink: --encoder omniglot-protonet"
    )
    assert check_fit(Colours(), sorted(colour.rglob("*.png"))) == ()
    letters = fit(find_examples(ink), open_by_name("omniglot-protonet"), head="class_means").model
    with pytest.raises(DataError, match="look like photographs"):
        add(letters, open_by_name("omniglot-protonet"), find_examples(colour))
    save_model(tmp_path / "letters", letters)
    assert "these look like photographs, and omniglot-protonet" in label(tmp_path / "letters", colour, monkeypatch, capsys)
    assert "look like" not in label(tmp_path / "letters", ink, monkeypatch, capsys)


def test_a_name_of_neither_an_encoder_nor_a_learner() -> None:
    assert encoder_by_name._RECORD == RECORD
    with pytest.raises(RecipeError, match="there is no encoder 'omniglot-protonets'"):
        open_by_name("omniglot-protonets")
