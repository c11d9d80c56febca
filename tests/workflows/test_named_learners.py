"""Who a name means, and what is to be trained first."""

from pathlib import Path

import pytest

from cases.folders import pets_in
from kshot.errors import DataError, RecipeError, SavedError
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.saved.folder import save
from kshot.workflows.experiment import prepare, run
from kshot.workflows.named_learners import find_entrants, open_learner
from kshot.workflows.recipe import read_recipe

RECIPE = """
[data]
name = {pets}
split = "fractions"
fractions = [0.5, 0.25, 0.25]
size = 16

[learner]
name = "{learner}"

[backbone]
width = 3

[episodes]
way = 2
query = 2

[validation]
query = 2
episodes = 2

[training]
updates = 1
"""


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pets_in(tmp_path_factory.mktemp("data") / "pets")


@pytest.fixture
def here(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with two recipes."""
    monkeypatch.chdir(tmp_path)
    for learner in ("ridge", "protonet"):
        (tmp_path / f"my-{learner}.toml").write_text(RECIPE.format(pets=repr(str(pets)), learner=learner), encoding="utf-8")
    return tmp_path


def test_names_mean_shipped_learners_and_those_without_training(here: Path) -> None:
    entrants = find_entrants(["nearest", "omniglot-protonet"], here / "runs")
    assert list(entrants) == ["nearest", "omniglot-protonet"]
    assert all(entrant.first is None for entrant in entrants.values())
    assert isinstance(entrants["omniglot-protonet"].saved.learner, ProtoNet)
    nearest = entrants["nearest"].saved
    assert isinstance(nearest.learner, NearestNeighbour)
    assert (nearest.preprocess, nearest.record) == (None, {})


def test_a_folder_of_that_name_wins(here: Path) -> None:
    save(here / "nearest", ProtoNet(open_learner("omniglot-protonet").learner.get_submodule("backbone")))
    save(here / "omniglot-protonet", RidgeNet(open_learner("omniglot-protonet").learner.get_submodule("backbone")))
    entrants = find_entrants(["nearest", "omniglot-protonet"], here / "runs")
    assert [type(entrant.saved.learner) for entrant in entrants.values()] == [ProtoNet, RidgeNet]
    assert type(open_learner("nearest").learner) is ProtoNet


def test_a_recipe_is_to_be_trained_first_and_is_then_the_learner_of_its_run(here: Path) -> None:
    before = find_entrants(["my-ridge.toml", "nearest"], here / "runs", "cpu")["my-ridge.toml"]
    assert before.first is not None
    assert (before.first.folder, before.first.resume) == (here / "runs" / "my-ridge", False)
    assert isinstance(before.saved.learner, RidgeNet)
    assert not (here / "runs").exists()  # nothing is written by looking

    ready = prepare(before.first.recipe, before.first.folder, device="cpu")
    assert run(ready, stop=lambda: True) is not None  # one update is all there is
    after = find_entrants(["my-ridge.toml", "nearest"], here / "runs", "cpu")["my-ridge.toml"]
    assert after.first is None
    assert after.saved.folder == here / "runs" / "my-ridge" / "learner"
    foreseen = dict(before.saved.record)
    assert {key: after.saved.record[key] for key in foreseen} == foreseen  # what could be known was known
    assert len(foreseen["classes_seen"][""]) == 4

    (here / "my-ridge.toml").write_text((here / "my-ridge.toml").read_text(encoding="utf-8") + "lr = 0.5\n", encoding="utf-8")
    with pytest.raises(SavedError, match=r"belongs to a run with another recipe: .*lr.*Name that run by its path"):
        find_entrants(["my-ridge.toml", "nearest"], here / "runs", "cpu")
    assert find_entrants(["runs/my-ridge", "nearest"], here / "runs", "cpu")["runs/my-ridge"].first is None


def test_a_run_that_was_stopped_goes_on(here: Path) -> None:
    text = (here / "my-protonet.toml").read_text(encoding="utf-8").replace("updates = 1", "updates = 2")
    (here / "my-protonet.toml").write_text(text, encoding="utf-8")
    ready = prepare(read_recipe("my-protonet.toml"), here / "runs" / "my-protonet", device="cpu")
    assert run(ready, stop=lambda: True) is None
    first = find_entrants(["my-protonet.toml", "nearest"], here / "runs", "cpu")["my-protonet.toml"].first
    assert first is not None
    assert first.resume


@pytest.mark.slow
def test_one_learner_takes_part_once(here: Path) -> None:
    save(here / "mine", ProtoNet(open_learner("omniglot-protonet").learner.get_submodule("backbone")))
    (here / "copy").mkdir()
    (here / "copy" / "my-ridge.toml").write_text((here / "my-ridge.toml").read_text(encoding="utf-8"), encoding="utf-8")
    for names in (
        ["nearest", "nearest"],
        ["omniglot-protonet", "nearest", "omniglot-protonet"],
        ["mine", "nearest", "./mine/"],
        ["my-ridge.toml", "copy/my-ridge.toml"],  # both would write runs/my-ridge
    ):
        with pytest.raises(RecipeError, match=r"are the same learner, but each may take part once"):
            find_entrants(names, here / "runs", "cpu")


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        ([], RecipeError, r"at least two learners; found none"),
        (["nearest"], RecipeError, r"at least two learners; found nearest\. Name another, or score one with kshot evaluate"),
        (
            ["nearest", "protonot"],
            SavedError,
            r"no learner 'protonot': no such folder\. Did you mean 'protonet'\? "
            r"The shipped learners are omniglot-lake, omniglot-maml, omniglot-mann, omniglot-protonet, omniglot-snail, "
            r"tables-in-context.*nearest",
        ),
        (["nearest", "none.toml"], RecipeError, r"cannot read the recipe none\.toml"),
        (["nearest", "."], SavedError, r"not a saved learner: it has no learner\.json"),
    ],
)
def test_names_that_mean_nothing(here: Path, names: list[str], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        find_entrants(names, here / "runs", "cpu")


def test_a_recipe_that_cannot_be_trained_is_found_out_before(here: Path) -> None:
    text = (here / "my-ridge.toml").read_text(encoding="utf-8")
    (here / "lost.toml").write_text(text.replace("pets", "nowhere"), encoding="utf-8")
    with pytest.raises(DataError, match=r"nothing there"):
        find_entrants(["nearest", "lost.toml"], here / "runs", "cpu")
    assert not (here / "runs").exists()
