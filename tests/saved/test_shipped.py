"""Finding a learner: by the name of a shipped one, by a folder, by the folder of a run."""

from pathlib import Path

import pytest

from kshot.errors import SavedError
from kshot.learners.table import LearnerSpec
from kshot.saved import shipped as module
from kshot.saved.folder import save
from kshot.saved.shipped import find, load, open_saved, shipped

SPEC = LearnerSpec("protonet", "mlp", {}, {"inputs": 4, "hidden": [3], "outputs": 2})


def put(folder: Path, seed: int = 0) -> None:
    save(folder, SPEC.build(seed), spec=SPEC, record={"seed": seed})


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of two learners, and a working folder of its own."""
    put(tmp_path / "shelf" / "beta", 1)
    put(tmp_path / "shelf" / "alpha", 2)
    (tmp_path / "shelf" / "notes").mkdir()
    monkeypatch.setattr(module, "_shelf", lambda: tmp_path / "shelf")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "shelf"


def test_names_are_sorted_and_of_learners_alone(shelf: Path) -> None:
    assert shipped() == ["alpha", "beta"]


def test_a_name_is_found_and_loaded(shelf: Path) -> None:
    assert find("alpha") == shelf / "alpha"
    assert open_saved("beta").record == {"seed": 1}
    assert not load("alpha").training


def test_a_folder_of_that_name_wins(shelf: Path) -> None:
    put(Path("alpha"), 7)
    assert open_saved("alpha").record == {"seed": 7}


def test_the_folder_of_a_run_is_its_learner(shelf: Path) -> None:
    put(Path("run") / "learner", 5)
    (Path("run") / "state.safetensors").write_bytes(b"")
    assert find("run") == Path("run") / "learner"
    assert open_saved(Path("run")).record == {"seed": 5}
    assert open_saved(Path("run") / "learner").record == {"seed": 5}


def test_a_run_without_a_learner_yet_is_an_error_with_its_name(shelf: Path) -> None:
    Path("run").mkdir()
    with pytest.raises(SavedError, match=r"run is not a saved learner: it has no learner\.json"):
        open_saved("run")


def test_an_unknown_name_lists_the_shipped_ones(shelf: Path) -> None:
    with pytest.raises(SavedError, match=r"there is no saved learner 'gamma': no such folder\. The shipped learners are alpha, beta"):
        load("gamma")


@pytest.mark.parametrize("name", ["../shelf/alpha/../../secret", "", "alpha/..", "no\0where"])
def test_odd_names_lead_nowhere(shelf: Path, name: str) -> None:
    with pytest.raises(SavedError, match=r"there is no saved learner|is not a saved learner|cannot reach"):
        load(name)


def test_into_fills_the_learner_given(shelf: Path) -> None:
    mine = SPEC.build(9)
    assert load("alpha", into=mine) is mine


def test_every_learner_in_the_package_loads() -> None:
    for name in shipped():
        opened = open_saved(name)
        assert opened.preprocess is not None
        assert opened.record["classes_seen"]
