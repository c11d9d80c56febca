"""Vision models of transformers, tiny ones with random weights, give the vectors that transformers gives."""

import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kshot.encoders.encoder import TextSide
from kshot.encoders.photograph_encoder import PhotographEncoder
from kshot.encoders.photograph_text_encoder import PhotographTextEncoder
from kshot.encoders.table import open_encoder, read_encoder
from kshot.errors import DataError, RecipeError, SavedError

SIZE = 16
SMALL = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": SIZE, "patch_size": 8}
WORDS = ["<pad>", "<end>", "a", "red", "blue", "bus", "photograph", "of"]


def of_transformers(name: str) -> Any:
    """Its class of this name. Importing them takes seconds, which a run of other tests does not wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module("transformers"), name)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path / "cache"


def saved(folder: Path, model: Any, preprocessing: str) -> str:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(preprocessing)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA tiny model.\n")
    return str(folder)


def tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    fast = of_transformers("PreTrainedTokenizerFast")(tokenizer_object=made, pad_token="<pad>", eos_token="<end>")
    fast.save_pretrained(folder)
    return fast


def light(x: np.ndarray, mean: float, deviation: float) -> torch.Tensor:
    return (torch.from_numpy(x).permute(0, 3, 1, 2) / 255 - mean) / deviation


PICTURES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.slow
def test_a_vision_model(tmp_path: Path, cache: Path) -> None:
    torch.manual_seed(0)
    model = of_transformers("Dinov2Model")(of_transformers("Dinov2Config")(**VISION, mlp_ratio=2)).eval()
    scale = '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]'
    name = saved(tmp_path / "dino", model, f'{{"do_center_crop": true, "crop_size": {{"height": 16, "width": 16}}, {scale}}}')
    encoder = open_encoder(name)
    assert isinstance(encoder, PhotographEncoder)
    assert (encoder.name, encoder.features, encoder.form.size, encoder.provenance.licence) == (name, 8, SIZE, "mit")
    with torch.no_grad():
        expected = model(pixel_values=light(PICTURES, 0.5, 0.25)).pooler_output.numpy()
    np.testing.assert_allclose(encoder.encode(list(PICTURES)), expected, atol=1e-4)
    (made,) = cache.glob("encoders/*/encoder.onnx")
    when = made.stat().st_mtime_ns
    assert open_encoder(name).fingerprint == encoder.fingerprint
    assert made.stat().st_mtime_ns == when, "it is exported once"
    (tmp_path / "dino" / "model.safetensors").unlink()
    with pytest.raises(SavedError, match="holds no weights as safetensors"):
        open_encoder(name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_model_of_pictures_and_texts(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    text = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 6, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": 2}
    if kind == "clip":
        model: Any = of_transformers("CLIPModel")(
            of_transformers("CLIPConfig")(text_config={**text, "projection_dim": 6}, vision_config=VISION, projection_dim=6)
        ).eval()
    else:
        model = of_transformers("SiglipModel")(
            of_transformers("SiglipConfig")(text_config={**text, "projection_size": 8}, vision_config=VISION)
        ).eval()
    fast = tokenizer(tmp_path / "model")
    scale = '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]'
    name = saved(tmp_path / "model", model, f'{{"size": {{"shortest_edge": 16}}, {scale}}}')
    encoder = open_encoder(name)
    assert isinstance(encoder, PhotographTextEncoder)
    assert isinstance(encoder, TextSide)
    texts = ["a red bus", "blue", "a photograph of a red bus of a blue bus"]
    given = fast(texts, padding="max_length", truncation=True, max_length=6, return_tensors="pt").input_ids
    with torch.no_grad():
        of_pictures = model.get_image_features(pixel_values=light(PICTURES, 0.5, 0.5)).pooler_output.numpy()
        of_texts = model.get_text_features(input_ids=given).pooler_output.numpy()
    np.testing.assert_allclose(encoder.encode(list(PICTURES)), of_pictures, atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(texts), of_texts, atol=1e-4)
    assert encoder.encode_texts([]).shape == (0, encoder.features)
    with pytest.raises(DataError, match="text 1 is empty; expected a name or a sentence"):
        encoder.encode_texts(["bus", " "])
    encoder.write(tmp_path / "written")
    again = read_encoder(tmp_path / "written")
    assert isinstance(again, PhotographTextEncoder)
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.encode_texts(texts), encoder.encode_texts(texts))


@pytest.mark.slow
def test_a_folder_without_a_vision_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no encoder .*: expected modules\.json of sentence-transformers, config\.json"):
        open_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RecipeError, match="there is no encoder"):
        open_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SavedError, match=r"cannot read .*config\.json: .*Save the model again with save_pretrained"):
        open_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "dinov2", "image_size": 16}')
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(SavedError, match=r"as a model of transformers: .*Save it again"):
        open_encoder(str(tmp_path))
