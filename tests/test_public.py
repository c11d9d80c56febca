"""The public Python surface: every name is what it says, whatever was imported before, and what it shows of itself fits one screen."""

import subprocess
import sys
from types import ModuleType

import pytest

import kshot


def test_every_name_is_a_thing_and_no_module() -> None:
    import kshot.workflows.experiment  # imports every stage, each of which becomes an attribute of the package

    for name in kshot.__all__:
        assert not isinstance(getattr(kshot, name), ModuleType), name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MAML2'; it has ANIL, ArrayDataset"):
        _ = kshot.MAML2


def test_the_errors_are_there_without_an_import_of_their_own() -> None:
    code = "import kshot\ntry:\n    kshot.ClassIndex.build({})\nexcept kshot.errors.DataError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "expected at least one class" in done.stdout


def test_star_import_and_dir_agree() -> None:
    code = "import kshot\nfrom kshot import *\nassert set(kshot.__all__) <= set(dir()) and set(kshot.__all__) < set(dir(kshot))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_readme_job_in_small(tmp_path: object) -> None:
    omniglot = kshot.Omniglot()
    split = omniglot.split("vinyals")
    learner, plan = kshot.ProtoNet(kshot.Conv4(width=4)), kshot.Plan(updates=2)
    episodes = kshot.EpisodeStream(omniglot, split.part("train"), "vinyals/train", kshot.EpisodeShape(5, 1, 2), seed=0)
    assert [step.update for step in kshot.train(kshot.start(learner, plan), episodes, plan)] == [1, 2]
    test = kshot.EpisodeSet.draw(omniglot, split.part("test"), "vinyals/test", kshot.EpisodeShape(way=5, shot=1), episodes=5)
    before = kshot.evaluate(learner, test)
    kshot.save(f"{tmp_path}/mine", learner, preprocess=omniglot.preprocess)
    again = kshot.evaluate(kshot.load(f"{tmp_path}/mine"), test)
    assert (again.scores == before.scores).all()
    assert again.episodes_hash == test.hash
