"""The learner by gradient steps that ships: it labels pictures as the others do, of as many classes as its head has."""

import numpy as np
import pytest
from PIL import Image

from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.omniglot_archive import EMBEDDED, unpack
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError
from kshot.saved.shipped import open_saved
from kshot.tasks.classifier import Classifier
from kshot.workflows.question import Question, answer, ask

pytestmark = pytest.mark.slow

NAME = "omniglot-maml"


def pictures(classes: int, *drawers: int) -> dict[str, list[Image.Image]]:
    """Scans of test characters, of the same classes for the same number."""
    drawings, omniglot = unpack(EMBEDDED.read_bytes()), Omniglot(rotations="none")
    names = omniglot.split("characters").part("test").names
    place = {"/".join(character): number for number, character in enumerate(drawings.characters)}
    chosen = [names[number] for number in np.random.default_rng(0).permutation(len(names))[:classes]]
    return {name: [Image.fromarray(~drawings.ink[20 * place[name] + drawer]) for drawer in drawers] for name in chosen}


def test_it_labels_pictures_of_five_classes() -> None:
    queries = pictures(5, 3, 7, 11)
    classifier = Classifier(NAME, pictures(5, 0))
    wanted = [name for name, shown in queries.items() for _ in shown]
    answers = classifier.predict([picture for shown in queries.values() for picture in shown])
    assert np.mean([one.label == name for one, name in zip(answers, wanted, strict=True)]) >= 0.8
    assert all(abs(sum(one.probabilities.values()) - 1) < 1e-5 for one in answers)


def test_another_number_of_classes_is_refused_with_what_to_do() -> None:
    with pytest.raises(RecipeError, match=r"the head of this learner has 5 outputs, and the tasks have 3 classes.*learner.outputs=3"):
        Classifier(NAME, pictures(3, 0)).predict(pictures(3, 1)[next(iter(pictures(3, 1)))])


def test_it_reaches_what_its_page_says() -> None:
    saved = open_saved(NAME)
    episodes = ask(saved, Question(shape=EpisodeShape(5, 1, 5, augment="quarter_turns"), episodes=40))
    assert answer(saved, episodes, "inductive").mean > 0.93
    assert answer(saved, episodes, "transductive").mean > 0.95
