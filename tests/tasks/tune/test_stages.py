"""A tuning in stages: folds, stopping and going on to the same bits, and states that are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import kshot.tasks.tune.stages
from cases.tunable import PLAN, learning_encoder, noisy_texts
from kshot.errors import SavedError
from kshot.tasks.tune.stages import Material, Stages, Stopped, deal_folds

IDENTITY = {"encoder": "0123", "examples": "abc"}
LABELS = np.repeat([0, 1, 2], 4)
TOTAL = 3 * 15 + 30  # three folds of 8 texts, then 12 texts in 2 batches, 15 times each


def test_folds_by_hand() -> None:
    keys = [b"c", b"a", b"b", b"x", b"z", b"y"]
    assert deal_folds(np.array([0, 0, 0, 1, 2, 2]), keys, 3).tolist() == [2, 0, 1, -1, 1, 0]
    # the classes begin at different folds, so that two of two examples each do not leave the last fold empty


def test_folds_do_not_depend_on_the_sequence() -> None:
    labels, keys = np.repeat([0, 1], 5), [bytes([value]) for value in range(10)]
    order = np.random.default_rng(0).permutation(10)
    assert deal_folds(labels[order], [keys[place] for place in order], 3).tolist() == deal_folds(labels, keys, 3)[order].tolist()


def stages(folder: Path, stop: Callable[[], bool] = lambda: False, identity: dict[str, str] = IDENTITY) -> Stages:
    encoder, examples = learning_encoder(folder), noisy_texts(4)
    vectors = encoder.encode([encoder.read(text) for text in examples.things])
    fold = deal_folds(LABELS, [str(text).encode() for text in examples.things], 3)
    material = Material(examples.things, LABELS, vectors, fold, 3)
    file = folder / "tuning.safetensors"
    return Stages(encoder, material, PLAN, device=torch.device("cpu"), file=file, identity=identity, stop=stop)


def stop_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


def bits(found: Stages) -> list[bytes]:
    vectors = [one.tobytes() for one in found.fold_vectors()]
    return [*vectors, *(value.detach().numpy().tobytes() for value in found.network().network.parameters())]


def test_each_stage_learns_without_its_fold_from_the_same_beginning(tmp_path: Path) -> None:
    found = stages(tmp_path)
    vectors = found.fold_vectors()
    assert found.total == TOTAL
    assert len({one.tobytes() for one in vectors}) == 3
    again = stages(tmp_path)
    again.progress.stage, again.progress.folds = 2, {"0": vectors[0], "1": vectors[1]}
    assert again.fold_vectors()[2].tobytes() == vectors[2].tobytes()  # the third does not depend on the first two


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 14, 15, 60, TOTAL - 1])
def test_a_stopped_tuning_goes_on_to_the_same_bits(tmp_path: Path, steps: int) -> None:
    whole = bits(stages(tmp_path))
    with pytest.raises(Stopped) as stopped:
        bits(stages(tmp_path, stop_after(steps)))
    assert (stopped.value.done, stopped.value.total) == (steps, TOTAL)
    rest = stages(tmp_path)
    rest.resume()
    assert bits(rest) == whole
    assert rest.elsewhere == []


@pytest.mark.slow
def test_a_killed_tuning_goes_on_from_its_last_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bits(stages(tmp_path))
    monkeypatch.setattr(kshot.tasks.tune.stages, "_SAVE_SECONDS", 0.0)  # after every step

    def kill() -> bool:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return False

    left = iter(range(21))
    with pytest.raises(KeyboardInterrupt):
        bits(stages(tmp_path, kill))
    rest = stages(tmp_path)
    rest.resume()
    assert (rest.progress.stage, rest.progress.step) == (1, 6)
    assert bits(rest) == whole


def test_another_number_of_threads_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        bits(stages(tmp_path, stop_after(3)))
    rest = stages(tmp_path)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    rest.resume()
    assert rest.elsewhere == [f"threads was {threads}, is {threads + 1}"]


def test_a_finished_tuning_is_there_until_it_is_written(tmp_path: Path) -> None:
    """Writing the encoder may fail, on a full disk: then nothing is learned again."""
    first = stages(tmp_path)
    first.fold_vectors()
    trained = next(first.network().network.parameters()).detach().clone()
    again = stages(tmp_path, stop_after(0))  # it would stop before any step
    again.resume()
    again.fold_vectors()
    assert torch.equal(next(again.network().network.parameters()), trained)


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    with pytest.raises(SavedError, match=r"there is no tuning to resume: .*tuning.safetensors is missing"):
        stages(tmp_path).resume()
    with pytest.raises(Stopped):
        bits(stages(tmp_path, stop_after(3)))
    with pytest.raises(SavedError, match="belongs to another tuning: examples was 'abc', is 'abd'"):
        stages(tmp_path, identity={**IDENTITY, "examples": "abd"}).resume()
    file = tmp_path / "tuning.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:-4] + b"\0\0\0\1", whole.replace(b'\\"stage\\"', b'\\"sbage\\"'), b""):
        file.write_bytes(damaged)
        with pytest.raises(SavedError, match=r"tuning.safetensors is damaged: .* Begin again with --overwrite"):
            stages(tmp_path).resume()


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        bits(stages(tmp_path, stop_after(3)))
    other = stages(tmp_path)
    other.resume()
    assert other._read is not None
    other._read.tensors["directions"].resize_(2, 6)  # type: ignore[attr-defined]  # as a network of other sizes has them
    with pytest.raises(SavedError, match=r"directions must be float32 \(3, 6\); found float32 \(2, 6\)"):
        other.fold_vectors()
