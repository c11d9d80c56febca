"""From examples to the better one of two models: kept, given up, read again, added to, and refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cases.encoders import Lengths
from cases.tunable import PLAN, learning_encoder, learning_photograph_encoder, noisy_texts
from kshot.encoders.encoder import fingerprint_of
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.table import open_encoder
from kshot.errors import DataError, RecipeError, SavedError
from kshot.tasks.certainty.certainty import learn_certainty
from kshot.tasks.examples import Examples, find_examples
from kshot.tasks.fit import add, fit, remove
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.given import Given
from kshot.tasks.model_encoder import encoder_of
from kshot.tasks.model_folder import load_model, save_model
from kshot.tasks.scoring import score_model
from kshot.tasks.tune.fit_tuned import TunedFit, Tuning, check_tunable, fit_tuned

EXAMPLES, TEST = noisy_texts(8), noisy_texts(30, seed=5)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> TunedFit:
    return fit_tuned(EXAMPLES, learning_encoder(tmp_path_factory.mktemp("e")), head="class_means", tuning=Tuning(plan=PLAN))


@pytest.mark.slow
def test_an_encoder_that_has_learned_is_kept_and_right_more_often(tuned: TunedFit, tmp_path: Path) -> None:
    model, encoder = tuned.fitted.model, tuned.encoder
    assert encoder is not None
    assert tuned.comparison.better
    assert model.encoder.fingerprint == encoder.fingerprint
    assert model.tuned is not None
    assert model.findings["estimate"]["accuracy"] == tuned.comparison.tuned
    assert model.findings["estimate"]["how"] == "3 parts left out in turn, also while tuning"
    assert model.vectors == pytest.approx(encoder.encode([encoder.read(text) for text in EXAMPLES.things]), abs=1e-6)
    frozen = learning_encoder(tmp_path)
    before = score_model(fit(EXAMPLES, frozen, head="class_means").model, frozen, TEST).estimate
    after = score_model(model, encoder, TEST).estimate
    assert after.accuracy > before.accuracy + 0.2
    assert after.log_likelihood > before.log_likelihood
    assert after.log_likelihood > -np.log(3)  # its temperature is not that of examples which it has learned by heart


def test_what_is_learnt_of_its_sureness_is_from_encoders_that_had_not_learned_from_the_example(tuned: TunedFit) -> None:
    model = tuned.fitted.model
    assert model.certainty is not None
    assert tuned.encoder is not None
    naive = learn_certainty(choose(model.vectors, model.labels, len(model.classes)), Given(model.vectors, model.labels, len(model.classes)))
    assert len(model.certainty.familiar) == len(naive.familiar)
    assert model.certainty.scale[0, 1] < naive.scale[0, 1]  # examples lie farther from those outside their fold
    assert not len(model.certainty.fewer)
    more = Examples("texts", ["noise1 dragon", "dragon noise2"], ["dragon"] * 2, ["1", "2"])
    later = add(model, tuned.encoder, more).model.certainty
    assert later is not None
    assert later.familiar.tolist() == model.certainty.familiar.tolist()
    assert len(later.own) > len(model.certainty.own)


@pytest.mark.slow
def test_a_tuned_model_is_complete_in_its_folder(tuned: TunedFit, tmp_path: Path) -> None:
    save_model(tmp_path / "m", tuned.fitted.model, tuned.encoder)
    model = load_model(tmp_path / "m")
    assert model.tuned == tuned.fitted.model.tuned
    encoder = encoder_of(model)
    assert score_model(model, encoder, TEST).estimate.accuracy == score_model(tuned.fitted.model, encoder, TEST).estimate.accuracy
    (tmp_path / "m" / "encoder.json").unlink()
    with pytest.raises(
        SavedError, match=r"tuned on its examples, and is nowhere but beside model.json \(encoder.\*\), where it is missing"
    ):
        encoder_of(load_model(tmp_path / "m"))


def test_the_folder_of_a_tuned_model_is_an_encoder_for_another_model(tuned: TunedFit, tmp_path: Path) -> None:
    save_model(tmp_path / "m", tuned.fitted.model, tuned.encoder)
    encoder = open_encoder(str(tmp_path / "m"))
    assert encoder.name == str(tmp_path / "m")
    save_model(tmp_path / "n", fit(noisy_texts(3, seed=9), encoder).model)
    model = load_model(tmp_path / "n")
    assert model.tuned is None
    assert encoder_of(model).fingerprint == tuned.fitted.model.encoder.fingerprint


def test_examples_come_and_go_with_the_tuned_encoder(tuned: TunedFit) -> None:
    assert tuned.encoder is not None
    more = Examples("texts", ["noise1 dragon", "dragon noise2"], ["dragon"] * 2, ["1", "2"])
    model = add(tuned.fitted.model, tuned.encoder, more).model
    assert (model.classes, model.head_name) == (("apple", "bolt", "cloud", "dragon"), "class_means")
    assert model.tuned == tuned.fitted.model.tuned
    assert model.findings["estimate"]["how"].endswith("; too high, because the encoder was tuned on them")
    plain = fit(Examples("texts", [*EXAMPLES.things, *more.things], [*EXAMPLES.labels, *more.labels], list("x" * 26)), tuned.encoder)
    assert plain.model.tuned is None
    assert model.head.temperature == pytest.approx(model.tuned["factor"] * _temperature(tuned.encoder, model.vectors, model.labels))  # type: ignore[index]
    assert remove(model, "dragon").model.tuned == model.tuned


def _temperature(encoder: object, vectors: np.ndarray, labels: np.ndarray) -> float:
    from kshot.tasks.descriptions import Described, description_vectors
    from kshot.tasks.heads.class_means import ClassMeans

    described = description_vectors(encoder, ("apple", "bolt", "cloud", "dragon"))  # type: ignore[arg-type]
    return Described(ClassMeans(), described).fit(vectors, labels, 4).temperature


def test_tuning_that_does_not_help_is_given_up(tmp_path: Path) -> None:
    encoder, examples = learning_encoder(tmp_path), noisy_texts(6, told=False)
    found = fit_tuned(examples, encoder, head="class_means", tuning=Tuning(plan=replace(PLAN, passes=2)))
    assert not found.comparison.better
    assert found.encoder is None
    assert found.fitted.model.tuned is None
    assert found.fitted.model.encoder.fingerprint == encoder.fingerprint
    assert found.fitted.model.findings["tuned"]["said"].startswith("tuning is not kept, because it is not better: right for")
    assert found.fitted.model.vectors == pytest.approx(fit(examples, encoder, head="class_means").model.vectors)


def test_classes_of_one_example_are_learned_and_never_left_out(tmp_path: Path) -> None:
    """Two examples of one class are all that can be left out, so one part of the three is empty."""
    found = noisy_texts(2)
    few = found.keeping([0, 1, 2, 4])
    fitted = fit_tuned(few, learning_encoder(tmp_path), head="class_means", tuning=Tuning(plan=replace(PLAN, passes=2)))
    assert fitted.comparison.examples == 2
    assert fitted.fitted.model.counts == {"apple": 2, "bolt": 1, "cloud": 1}


@pytest.mark.slow
def test_photographs_are_tuned_from_their_files(tmp_path: Path) -> None:
    """The classes differ in red alone, and green and blue vary more; a factor per colour is all that learns."""
    random = np.random.default_rng(0)
    for place, name in enumerate(("dark", "light")):
        (tmp_path / "p" / name).mkdir(parents=True)
        for number in range(12):
            colour = (70 + 80 * place + int(random.integers(-15, 15)), *(int(value) for value in random.integers(20, 235, 2)))
            Image.new("RGB", (20, 30), colour).save(tmp_path / "p" / name / f"{number}.png")
    encoder = learning_photograph_encoder(tmp_path / "e")
    found = fit_tuned(find_examples(tmp_path / "p"), encoder, head="nearest", tuning=Tuning(plan=replace(PLAN, lr=0.02, passes=30)))
    assert found.comparison.better, found.comparison
    assert found.encoder is not None
    red, green, blue = found.encoder.encode([np.full((16, 16, 3), 255, np.uint8)])[0] - (0, 0, 0.5)
    assert red > 2 * max(abs(green), abs(blue))
    assert found.fitted.model.descriptions == {}


@pytest.mark.slow
def test_two_runs_give_one_fingerprint(tuned: TunedFit, tmp_path: Path) -> None:
    again = fit_tuned(EXAMPLES, learning_encoder(tmp_path), head="class_means", tuning=Tuning(plan=PLAN))
    assert again.encoder is not None
    assert tuned.encoder is not None
    assert again.encoder.fingerprint == tuned.encoder.fingerprint != fingerprint_of("tuned")


def test_what_cannot_be_tuned_says_why(tmp_path: Path) -> None:
    encoder = learning_encoder(tmp_path)
    with pytest.raises(RecipeError, match="the encoder 'lengths' answers and cannot learn"):
        check_tunable(EXAMPLES, Lengths())
    with pytest.raises(RecipeError, match="the encoder 'word-means' answers and cannot learn"):
        SentenceEncoder(tmp_path).tunable()
    with pytest.raises(RecipeError, match="there is none to train for rows of numbers"):
        check_tunable(replace(EXAMPLES, reads="numbers"), encoder)
    with pytest.raises(DataError, match=r"and no class has two\. Give two or more examples per class, or leave --tune out"):
        check_tunable(noisy_texts(1), encoder)
