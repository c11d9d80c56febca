"""`kshot embed`: from labelled things to a file of vectors, to a learner on them, and back to things."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cases.encoders import Colours
from kshot import cli
from kshot.data.vectors import Vectors
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError
from kshot.tasks import learner_encoder
from kshot.tasks.encoder_by_name import open_by_name
from kshot.tasks.examples import find_examples
from kshot.tasks.fit import fit
from kshot.workflows import embedding
from kshot.workflows.embedding import embed_examples
from kshot.workflows.experiment import prepare, run
from kshot.workflows.recipe import parse_recipe


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine classes of five pictures, each of one colour; the encoder `colours` gives it."""

    def opened(name: str, *, device: str = "cpu") -> Encoder:
        assert name == "colours"
        return Colours()

    monkeypatch.setattr(embedding, "open_by_name", opened)
    monkeypatch.setattr(learner_encoder, "open_encoder", opened)
    rng = np.random.default_rng(0)
    for number in range(9):
        folder = tmp_path / "photographs" / f"kind{number}"
        folder.mkdir(parents=True)
        for item in range(5):
            colour = (25 * number + rng.integers(0, 9, 3)).tolist()
            Image.new("RGB", (8, 8), tuple(colour)).save(folder / f"{item}.png")
    return tmp_path / "photographs"


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_classes(photographs: Path, tmp_path: Path) -> None:
    made = embed_examples(str(photographs), tmp_path / "v.npz", encoder="colours")
    assert (made.items, made.classes, made.features, made.reads, made.encoder) == (45, 9, 3, "photographs", "colours")
    vectors = Vectors(tmp_path / "v.npz")
    first = vectors.index.items_of("kind4")[0]
    with Image.open(photographs / "kind4" / "0.png") as image:
        wanted = np.asarray(image, np.float32).mean((0, 1)) / 255
    np.testing.assert_allclose(vectors.gather(np.array([first])).numpy()[0], wanted, rtol=1e-6)


def test_a_learner_on_vectors_is_an_encoder_of_what_they_were_made_of(photographs: Path, tmp_path: Path) -> None:
    embed_examples(str(photographs), tmp_path / "v.npz", encoder="colours")
    parts = {
        "data": {"name": str(tmp_path / "v.npz"), "split": "fractions"},
        "learner": {"name": "ridge"},
        "backbone": {"name": "adapter"},
        "episodes": {"way": 2, "query": 2},
        "validation": {"way": 2, "query": 2, "episodes": 4},
        "training": {"updates": 2},
    }
    saved = run(prepare(parse_recipe(parts, "made"), tmp_path / "run", device="cpu"))
    assert saved is not None
    encoder = open_by_name(str(tmp_path / "run"))
    assert (encoder.reads, encoder.features) == ("photographs", 3)
    assert "on vectors of colours (MIT)" in encoder.provenance.source
    path = photographs / "kind4" / "0.png"
    found = encoder.encode([encoder.read(path)])
    under = Colours()
    wanted = saved.learner.encode(saved.preprocess.to_input(torch.from_numpy(under.encode([under.read(path)]))))
    np.testing.assert_allclose(found, wanted.detach().numpy(), atol=1e-6)
    assert fit(find_examples(photographs), encoder, head="class_means").model.encoder.name == str(tmp_path / "run")


def test_the_command(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.npz"
    done = CliRunner().invoke(cli.app, ["embed", str(photographs), "-o", str(out), "--encoder", "colours"])
    assert done.exit_code == 0, done.output
    assert "45 photographs of 9 classes are vectors of 3 numbers, by colours." in done.output.replace("\n", " ")
    done = CliRunner().invoke(cli.app, ["embed", str(photographs), "-o", str(out), "--encoder", "colours", "--json"])
    assert '"items": 45' in done.stdout


def test_a_name_that_is_no_npz_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"vectors are written into an \.npz file; found --out .*v\.csv"):
        embed_examples(str(tmp_path / "nowhere"), tmp_path / "v.csv")
    (tmp_path / "v.npz").mkdir()
    with pytest.raises(RecipeError, match="is a folder"):
        embed_examples(str(tmp_path / "nowhere"), tmp_path / "v.npz")


def test_rows_of_numbers_need_no_encoder(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("a,b,label\n" + "".join(f"{number},{number % 3},{'xy'[number % 2]}\n" for number in range(10)))
    with pytest.raises(DataError, match="holds rows of numbers, which need no encoder"):
        embed_examples(str(table), tmp_path / "v.npz")


def test_wide_vectors_do_not_drive_others_out_of_the_cache(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed_examples(str(photographs), tmp_path / "v.npz", encoder="colours", cache=VectorCache(tmp_path / "narrow"))
    monkeypatch.setattr(embedding, "_WIDEST", 2)
    embed_examples(str(photographs), tmp_path / "v.npz", encoder="colours", cache=VectorCache(tmp_path / "wide"))
    assert ((tmp_path / "narrow").exists(), (tmp_path / "wide").exists()) == (True, False)
