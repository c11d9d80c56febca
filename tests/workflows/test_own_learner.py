"""Learners from a user's own module, and from nothing else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kshot.errors import SavedError
from kshot.learners.metric.protonet import ProtoNet
from kshot.workflows.named_learners import open_learner
from kshot.workflows.own_learner import names_module, open_own

MODULE = """
from torch import nn
import kshot

learner = kshot.ProtoNet(nn.Flatten()).train()
saved = kshot.open_saved("omniglot-protonet")
number = 3

def make():
    return kshot.ProtoNet(nn.Flatten())

def needs(one):
    return one
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "own_module_of_a_user.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "own_module_of_a_user"
    sys.modules.pop("own_module_of_a_user", None)


def test_a_learner_a_saved_one_and_a_function_that_makes_one(module: str) -> None:
    for name in ("learner", "make"):
        opened = open_own(f"{module}:{name}")
        assert isinstance(opened.learner, ProtoNet)
        assert not opened.learner.training
        assert (opened.preprocess, opened.record) == (None, {})
    assert open_learner(f"{module}:saved").record["data"] == "omniglot"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lerner", "the module own_module_of_a_user has no 'lerner'. Did you mean 'learner'?"),
        ("number", "or a function without arguments that returns one of these; found int"),
        ("needs", r"needs\(\) failed: TypeError: .*It must need no argument and return a learner"),
    ],
)
def test_what_is_no_learner_is_told(module: str, name: str, message: str) -> None:
    with pytest.raises(SavedError, match=message):
        open_own(f"{module}:{name}")


def test_a_module_that_fails_is_told(module: str) -> None:
    Path("broken_module_of_a_user.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(SavedError, match=r"cannot import the module broken_module_of_a_user: ZeroDivisionError.*Correct the module"):
        open_own("broken_module_of_a_user:learner")
    Path("leaving_module_of_a_user.py").write_text("import sys\n\ndef learner():\n    sys.exit(3)\n", encoding="utf-8")
    with pytest.raises(SavedError, match=r"leaving_module_of_a_user:learner\(\) failed: SystemExit: 3\. It must need no argument"):
        open_own("leaving_module_of_a_user:learner")
    Path("ending_module_of_a_user.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    with pytest.raises(SavedError, match=r"cannot import the module ending_module_of_a_user: SystemExit: 3\. Correct the module"):
        open_own("ending_module_of_a_user:learner")
    with pytest.raises(SavedError, match=r"no_such_module_at_all: ModuleNotFoundError.*Put no_such_module_at_all\.py into"):
        open_own("no_such_module_at_all:learner")


@pytest.mark.parametrize(
    "name", ["own_module_of_a_user", "runs/mine", "a:b:c", "./a:b", "a/b:c", "a:", ":b", "1a:b", "a.b", "C:\\runs", "a-b:c"]
)
def test_nothing_but_module_and_name_is_imported(module: str, name: str) -> None:
    assert not names_module(name)
    with pytest.raises(SavedError, match="there is no learner"):
        open_learner(name)
    assert module not in sys.modules


def test_a_folder_of_that_name_comes_first(module: str) -> None:
    assert names_module(f"{module}:learner")
    Path(f"{module}:learner").mkdir()
    assert not names_module(f"{module}:learner")
