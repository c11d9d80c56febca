"""What `kshot show` says of names that are nothing it can show. What it says of the others: tests/saved and tests/test_task_commands.py."""

from pathlib import Path

import pytest

from kshot.errors import SavedError
from kshot.saved.shipped import shipped, shipped_optimizers
from kshot.workflows.description import describe_saved


def test_an_unknown_name_lists_all_that_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SavedError) as raised:
        describe_saved("omniglot-protonets")
    told = str(raised.value)
    assert told.startswith("there is nothing to show of 'omniglot-protonets': no such folder. Did you mean 'omniglot-protonet'? ")
    assert "the folder of a model (kshot fit), of a run (kshot train), or of a saved learner or learned optimiser" in told
    assert all(name in told for name in (*shipped(), *shipped_optimizers()))
    assert told.endswith("Recipes are shown by kshot recipes.")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "sinusoid-joint",
            "sinusoid-joint is a recipe, of which nothing is trained yet. kshot recipes sinusoid-joint shows it; kshot train",
        ),
        ("efficientnet_lite0", r"efficientnet_lite0 is an encoder, .* kshot fit EXAMPLES --encoder efficientnet_lite0 -o MODEL"),
        ("nearest", "nearest needs no training and is not saved"),
    ],
)
def test_a_name_of_something_else_says_what_to_do_with_it(name: str, told: str) -> None:
    with pytest.raises(SavedError, match=told):
        describe_saved(name)
