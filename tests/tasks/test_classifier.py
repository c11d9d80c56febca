"""A user's own classes: adapting, predicting, and what cannot be read."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kshot.data.as_is import AsIs
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError, SavedError
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.table import LearnerSpec
from kshot.saved.folder import Saved, save
from kshot.tasks import classifier as module
from kshot.tasks.classifier import Classifier, Prediction

SPEC = LearnerSpec("protonet", "conv4", {}, {"channels": 3, "width": 4})
COLOURS = {"red": (230, 20, 20), "green": (20, 220, 30), "blue": (20, 30, 225)}


def picture(colour: str, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(-15, 15, (20, 24, 3))
    return Image.fromarray((np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8))


def opened(**changes: Any) -> Saved:
    return Saved(**{"learner": SPEC.build().eval(), "preprocess": Picture(16), "spec": SPEC, **changes})


@pytest.fixture
def support(tmp_path: Path) -> Path:
    for colour in COLOURS:
        (tmp_path / "support" / colour).mkdir(parents=True)
        for item in range(2):
            picture(colour, item).save(tmp_path / "support" / colour / f"{item}.png")
    return tmp_path / "support"


def queries() -> list[Image.Image]:
    return [picture(colour, seed) for seed in range(10, 14) for colour in COLOURS]


def table(predictions: list[Prediction]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in predictions])


def test_labels_pictures_with_probabilities(support: Path) -> None:
    made = Classifier(opened(), support)
    assert made.classes == ("blue", "green", "red")
    predictions = made.predict(queries())
    assert [one.label for one in predictions] == list(COLOURS) * 4
    for one in predictions:
        assert list(one.probabilities) == ["blue", "green", "red"]
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-12)
        assert one.probability == max(one.probabilities.values()) == one.probabilities[one.label]


def test_probabilities_are_those_of_the_learner_by_hand(support: Path) -> None:
    saved = opened()
    preprocess = Picture(16)

    def embed(image: Image.Image) -> np.ndarray:
        with torch.no_grad():
            features = saved.learner.encode(preprocess.to_input(torch.from_numpy(preprocess.read(image))[None]))
        assert isinstance(features, torch.Tensor)
        return features[0].double().numpy()

    centres = [np.mean([embed(picture(colour, item)) for item in range(2)], axis=0) for colour in ("blue", "green", "red")]
    logits = np.array([-np.sum((embed(picture("red", 10)) - centre) ** 2) for centre in centres])
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = table(Classifier(saved, support).predict([picture("red", 10)]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_folder_a_mapping_and_paths_or_pictures_are_the_same(tmp_path: Path, support: Path) -> None:
    save(tmp_path / "saved", opened().learner, spec=SPEC, preprocess=Picture(16))
    from_folder = Classifier(tmp_path / "saved", str(support))
    from_mapping = Classifier(opened(), {name: [picture(name, item) for item in range(2)] for name in ("blue", "green", "red")})
    picture("red", 10).save(tmp_path / "query.png")
    one = from_folder.predict([str(tmp_path / "query.png")])
    assert one == from_folder.predict([tmp_path / "query.png"]) == from_mapping.predict([picture("red", 10)])


def test_support_may_be_unbalanced(support: Path) -> None:
    (support / "red" / "1.png").unlink()
    assert Classifier(opened(), support).predict([picture("red", 10)])[0].label == "red"


def test_answers_do_not_depend_on_the_other_queries_or_their_chunks(support: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Classifier(opened(), support)
    whole = table(made.predict(queries()))
    alone = table([made.predict([query])[0] for query in queries()])
    backwards = table(made.predict(queries()[::-1]))[::-1]
    monkeypatch.setattr(module, "_AT_ONCE", 5)
    chunked = table(made.predict(queries()))
    small_support = table(Classifier(opened(), support).predict(queries()))
    for other in (alone, backwards, chunked, small_support):
        np.testing.assert_allclose(other, whole, rtol=1e-4, atol=1e-7)


def test_two_classifiers_of_one_learner_do_not_touch(support: Path) -> None:
    saved = opened()
    before = {name: value.clone() for name, value in saved.learner.state_dict().items()}
    first = Classifier(saved, support)
    answers = first.predict(queries())
    second = Classifier(saved, {"warm": [picture("red", 0)], "cold": [picture("blue", 0)]})
    assert [one.label for one in second.predict([picture("blue", 3), picture("red", 3)])] == ["cold", "warm"]
    assert first.predict(queries()) == answers
    assert first.classes == ("blue", "green", "red")
    assert all(torch.equal(before[name], value) for name, value in saved.learner.state_dict().items())
    assert not saved.learner.training


def test_a_learner_in_training_mode_is_used_in_evaluation_mode_and_left_as_it_is(support: Path) -> None:
    saved = opened()
    expected = Classifier(saved, support).predict(queries())
    saved.learner.train()
    before = {name: value.clone() for name, value in saved.learner.state_dict().items()}
    assert Classifier(saved, support).predict(queries()) == expected
    assert saved.learner.training
    assert all(torch.equal(before[name], value) for name, value in saved.learner.state_dict().items())


def test_training_the_learner_afterwards_changes_no_answer(support: Path) -> None:
    saved = opened()
    made = Classifier(saved, support)
    expected = made.predict(queries())
    with torch.no_grad():
        for value in saved.learner.parameters():
            value.add_(1.0)
    saved.learner.train().encode(torch.rand(4, 3, 16, 16))  # which moves the running statistics
    assert made.predict(queries()) == expected
    assert Classifier(saved, support).predict(queries()) != expected


def test_answers_change_nothing_in_a_training_that_goes_on(support: Path) -> None:
    saved = opened()
    made = Classifier(saved, support)
    saved.learner.train()
    loss = torch.as_tensor(saved.learner.encode(torch.rand(4, 3, 16, 16))).sum()
    before = {name: value.clone() for name, value in saved.learner.state_dict().items()}
    made.predict(queries())
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch; nothing that it needs was changed meanwhile
    assert all(module.training for module in saved.learner.modules())
    assert all(torch.equal(before[name], value) for name, value in saved.learner.state_dict().items())


def test_a_learner_that_only_the_classifier_has_is_not_copied(tmp_path: Path, support: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "saved", opened().learner, spec=SPEC, preprocess=Picture(16))
    monkeypatch.setattr(module, "copy", None)  # copying would be an AttributeError
    assert len(Classifier(tmp_path / "saved", support).predict(queries())) == 12


def test_no_queries_no_answers(support: Path) -> None:
    assert Classifier(opened(), support).predict([]) == []


@pytest.mark.parametrize("support", [{}, {"red": [picture("red", 0)]}])
def test_fewer_than_two_classes_are_refused(support: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"at least 2 of them; found {len(support)}: {'red' if support else 'none'}"):
        Classifier(opened(), support)


def test_one_class_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    picture("red", 0).save(tmp_path / "red" / "0.png")
    with pytest.raises(DataError, match=r"at least 2 of them; found 1: red"):
        Classifier(opened(), tmp_path)


def test_a_class_without_pictures_is_named(support: Path) -> None:
    with pytest.raises(DataError, match=r"class 'blue' has no pictures"):
        Classifier(opened(), {"red": [picture("red", 0)], "blue": []})
    (support / "grey").mkdir()
    with pytest.raises(DataError, match=r"'?grey'?"):
        Classifier(opened(), support)


def test_one_path_where_a_list_belongs_is_told(support: Path) -> None:
    with pytest.raises(DataError, match=r"class 'red' takes a list of pictures; found one, 'red\.png'"):
        Classifier(opened(), {"red": "red.png", "blue": ["blue.png"]})
    with pytest.raises(DataError, match="class 'red' takes a list of pictures; found NoneType"):
        Classifier(opened(), {"red": None, "blue": []})  # type: ignore[dict-item]
    with pytest.raises(DataError, match="predict takes a list of pictures; found int"):
        Classifier(opened(), support).predict(7)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"predict takes a list of pictures; found one, 'query\.png'"):
        Classifier(opened(), support).predict("query.png")


def test_files_that_cannot_be_read_are_named(support: Path, tmp_path: Path) -> None:
    made = Classifier(opened(), support)
    for name, content in {"text.png": b"no picture", "empty.png": b"", "cut.png": (support / "red" / "0.png").read_bytes()[:200]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            made.predict([picture("red", 0), tmp_path / name])
    with pytest.raises(DataError, match=r"there is no file .*none\.png"):
        made.predict([tmp_path / "none.png"])
    with pytest.raises(DataError, match=str(tmp_path)):
        made.predict([tmp_path])
    (support / "red" / "9.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"9\.png"):
        Classifier(opened(), support)


def test_a_missing_support_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        Classifier(opened(), tmp_path / "nowhere")


def test_a_learner_that_reads_no_pictures_is_refused(support: Path) -> None:
    with pytest.raises(SavedError, match=r"saved without preprocessing, so it cannot read pictures"):
        Classifier(opened(preprocess=None), support)
    with pytest.raises(DataError, match="this learner reads arrays"):
        Classifier(opened(preprocess=AsIs()), support)


ROWS = LearnerSpec("protonet", "mlp", {}, {"inputs": 4, "outputs": 3})
HEADED = LearnerSpec("maml", "mlp", {"features": 3, "outputs": 2}, {"inputs": 4, "outputs": 3})


@pytest.mark.parametrize("spec", [ROWS, HEADED], ids=["encodes", "adapts a network"])
def test_rows_that_the_network_cannot_read_are_named(spec: LearnerSpec) -> None:
    saved = Saved(spec.build().eval(), AsIs(), spec=spec)
    row = np.ones(4, np.float32)
    for wrong in (np.ones(3, np.float32), np.ones(4)):
        named = f"network cannot read these items.*{len(wrong)}|are torch.{wrong.dtype}"
        with pytest.raises(DataError, match=named):
            Classifier(saved, {"a": [wrong], "b": [wrong]})
        classifier = Classifier(saved, {"a": [row], "b": [-row]})
        with pytest.raises(DataError, match=rf"{named}|items must have one shape; found \(4,\) and \({len(wrong)},\)"):
            classifier.predict([wrong])
        assert len(classifier.predict([row, [1, 2.5, 3, 4]])) == 2


def test_a_folder_for_a_learner_of_arrays_is_refused_with_what_to_do(support: Path) -> None:
    saved = Saved(ROWS.build().eval(), AsIs(), spec=ROWS)
    with pytest.raises(DataError, match=r"this learner reads arrays\. Give it rows, in Python: kshot\.Classifier\(saved, "):
        Classifier(saved, support)


def test_all_items_that_cannot_be_read_are_named_at_once(support: Path, tmp_path: Path) -> None:
    made = Classifier(opened(), support)
    with pytest.raises(DataError, match=r"2 of 3 items cannot be used.*\n.*there is no file .*none\.png.*\n  item 2: .*no pixels"):
        made.predict([picture("red", 0), tmp_path / "none.png", Image.new("RGB", (0, 3))])
    for name in ("8.png", "9.png"):
        (support / "red" / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2 of \d+ support items cannot be used.*\n.*8\.png.*\n.*9\.png"):
        Classifier(opened(), support)


def test_each_of_an_endless_stream_is_answered_as_alone(support: Path) -> None:
    made = Classifier(opened(), support)
    wanted = made.predict(queries())
    stream = made.answer_each(itertools.cycle([*queries(), Path("none.png")]))
    for _ in range(50):
        for one in wanted:
            found = next(stream)
            assert not isinstance(found, DataError)
            assert (found.label, found.second) == (one.label, one.second)
            assert found.probabilities == pytest.approx(one.probabilities)
        assert "there is no file none.png" in str(next(stream))


def test_the_second_is_the_most_probable_of_the_others() -> None:
    assert Prediction("a", 0.5, {"b": 0.1, "a": 0.5, "c": 0.4}).second == "c"
    assert Prediction("a", 0.5, {"a": 0.5, "b": 0.5}).second == "b"


def test_centres_are_means_of_equally_many_items_of_each_class() -> None:
    saved = Saved(ProtoNet(nn.Identity()).eval(), AsIs())
    made = Classifier(saved, {"a": [[1.0, 2], [3, 4], [50, 60]], "b": [[0.0, 0], [2, 2]]})
    rows, items = made.centres(10)
    assert items == 2
    assert rows.tolist() == [[2, 3], [1, 1]]
    assert made.centres(1)[0].tolist() == [[1, 2], [0, 0]]


def test_answers_that_are_no_numbers_are_refused(support: Path) -> None:
    learner = SPEC.build().eval()
    with torch.no_grad():
        learner.backbone.blocks[3].norm.weight.fill_(1e30)  # finite, but the squared distances of the features are not
    with pytest.raises(DataError, match="the answers of this learner are not numbers: what it computes is too large for its type"):
        Classifier(opened(learner=learner), support).predict([picture("red", 9)])
