"""The public Python surface: every name is what it says, whatever was imported before, and what it shows of itself fits one screen."""

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import kshot
from kshot.data.inputs import map_inputs
from kshot.learners.table import LEARNERS, LearnerSpec
from kshot.meta_train.loop import Validation
from kshot.short_repr import LINES, short_repr


def test_every_name_is_a_thing_and_no_module() -> None:
    import kshot.workflows.experiment  # imports every stage, each of which becomes an attribute of the package

    for name in kshot.__all__:
        assert not isinstance(getattr(kshot, name), ModuleType), name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MAML2'; it has ANIL, ArrayDataset"):
        _ = kshot.MAML2


def test_a_misspelt_function_is_told_what_could_be_meant() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'evalute'\. Did you mean 'evaluate'\?"):
        _ = kshot.evalute


def test_the_errors_are_there_without_an_import_of_their_own() -> None:
    code = "import kshot\ntry:\n    kshot.ClassIndex.build({})\nexcept kshot.errors.DataError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "expected at least one class" in done.stdout


@pytest.mark.slow
def test_star_import_and_dir_agree() -> None:
    code = "import kshot\nfrom kshot import *\nassert set(kshot.__all__) <= set(dir()) and set(kshot.__all__) < set(dir(kshot))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_learner_of_the_table_is_public_without_a_line_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Newest(kshot.ProtoNet):
        pass

    monkeypatch.setitem(LEARNERS, "newest", Newest)
    monkeypatch.delitem(vars(kshot), "__all__", raising=False)
    assert kshot.__getattr__("Newest") is Newest
    assert "Newest" in kshot.__all__
    monkeypatch.delitem(vars(kshot), "Newest")
    monkeypatch.delitem(vars(kshot), "__all__")


def test_what_tools_ask_a_module_for_does_not_load_torch() -> None:
    code = "import sys, kshot\nfrom kshot import cli, flags\nassert not hasattr(kshot, '__wrapped__')\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.slow
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


SMALL = {"features": 16, "inner_steps": 1, "adapt_steps": 1}
"""Arguments of learners that have them, so that they learn at once."""


def _public_things(folder: Path) -> dict[str, Any]:
    """An instance of every public class, and what the public functions give, by the name of the class or of the call."""
    for name in ("fox", "owl"):
        (folder / "letters" / name).mkdir(parents=True)
        for number in range(3):
            Image.effect_noise((20, 20), 90).convert("L").save(folder / "letters" / name / f"{number}.png")
    pixels = torch.rand(40, 1, 28, 28)
    data = kshot.ArrayDataset(pixels, [f"class {number % 4}" for number in range(40)], name="noise")
    tasks = kshot.ArrayTasks(torch.rand(8, 1), torch.rand(8), list("aabbaabb"))
    shape = kshot.EpisodeShape(2, 1, 2)
    stream = kshot.EpisodeStream(data, data.index, "all/train", shape, seed=0, tasks=2)
    items = kshot.ItemStream(data, data.index, "all/train", 0, batch=8)
    test = kshot.EpisodeSet.draw(data, data.index, "all/test", shape, episodes=4)
    learner, plan = kshot.ProtoNet(kshot.Conv4(width=4)), kshot.Plan(updates=1)
    state = kshot.start(learner, plan)
    steps = list(kshot.train(state, stream, plan, lambda _: Validation(1 / 3, 1 / 30)))
    results = kshot.evaluate(learner, test)
    comparison = kshot.compare({"a": learner, "b": kshot.NearestNeighbour(nn.Identity())}, test)
    kshot.save(folder / "saved", learner, preprocess=kshot.Omniglot().preprocess, trained_on=stream)
    classifier = kshot.Classifier("omniglot-protonet", folder / "letters")
    things: dict[str, Any] = {
        "ArrayDataset": data,
        "Client": kshot.Client("http://127.0.0.1:1"),
        "ArrayTasks": tasks,
        "ClassIndex": data.index,
        "Classifier": classifier,
        "FewShotClassifier": kshot.FewShotClassifier(head="ridge"),
        "Conv4": kshot.Conv4(),
        "EpisodeSet": test,
        "EpisodeShape": kshot.EpisodeShape((5, 20), (1, 5), 15, False, True, True, "quarter_turns", nearness="near"),
        "EpisodeStream": stream,
        "ImageFolder": kshot.ImageFolder(folder / "letters", kshot.Picture(28)),
        "InformationMaximisation": kshot.InformationMaximisation(),
        "ItemStream": items,
        "KshotError": kshot.KshotError("what is wrong"),
        "ModifiedHausdorff": kshot.ModifiedHausdorff(),
        "Omniglot": kshot.Omniglot(),
        "OptimalTransport": kshot.OptimalTransport(),
        "Picture": kshot.Picture(28),
        "Plan": plan,
        "PrototypeRectification": kshot.PrototypeRectification(),
        "Refined": kshot.Refined(learner, kshot.OptimalTransport()),
        "Regression": kshot.Regression(),
        "SoftKMeans": kshot.SoftKMeans(),
        "TorchDataset": kshot.TorchDataset([(picture, number % 4) for number, picture in enumerate(pixels)]),
        "split": kshot.Omniglot().split("vinyals"),
        "train": steps[0],
        "start": state,
        "evaluate": results,
        "compare": comparison,
        "verify": kshot.verify(learner, test),
        "load": kshot.load("omniglot-lake"),
        "open_saved": kshot.open_saved(folder / "saved"),
        "spec": kshot.open_saved("omniglot-maml").spec,
        "predict": classifier.predict([folder / "letters" / "owl" / "0.png"])[0],
        "batches": stream.batches(0)[0],
        "items": items.batches(0)[0],
        "drawn": test.drawn[0],
        "round": comparison.rounds[0],
        "standing": comparison.rounds[0].standings[1],
        "cost": comparison.rounds[0].costs["a"],
        "optimization": plan.optimization,
    }
    for name, made in LEARNERS.items():
        told: dict[str, Any] = {key: value for key, value in SMALL.items() if key in inspect.signature(made).parameters}
        one = LearnerSpec(name, "conv4", {"learner": "protonet"} if name == "ensemble" else told, {"width": 16}).build().eval()
        things[made.__name__] = one
        items = map_inputs(lambda value: value.unsqueeze(0), one.encode(pixels[:10]))
        things[f"what {name} learns"] = one.adapt(items, torch.arange(10).unsqueeze(0) % 5, way=5)
    things["rule"] = kshot.MetaSGD(kshot.Conv4(), features=64).rule()
    return things


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _public_things(tmp_path_factory.mktemp("things"))


@pytest.mark.slow
def test_there_is_one_of_every_public_class(things: dict[str, Any]) -> None:
    classes = {name: getattr(kshot, name) for name in kshot.__all__ if isinstance(getattr(kshot, name), type)}
    assert [name for name, made in classes.items() if name != "Learner" and type(things.get(name)) is not made] == []


def _faults(thing: object) -> list[str]:
    """What is wrong with what a thing shows of itself."""
    lines = repr(thing).splitlines()
    wrong = [f"{len(lines)} lines"] if len(lines) > 12 else []
    wrong += [f"a line of {max(map(len, lines))} columns"] if max(map(len, lines)) > 140 else []
    wrong += ["an address"] if "0x" in repr(thing) else []
    return [*wrong, *([f"print fills {len(str(thing))} characters"] if len(str(thing)) > 4000 else [])]


@pytest.mark.slow
def test_what_is_shown_fits_one_screen_and_names_no_address(things: dict[str, Any]) -> None:
    assert {name: wrong for name, thing in things.items() if (wrong := _faults(thing))} == {}


def test_a_fault_in_what_is_shown_is_found() -> None:
    class Tall:
        def __repr__(self) -> str:
            return "0x7f\n" * 13 + "x" * 4000

    assert _faults(Tall()) == ["14 lines", "a line of 4000 columns", "an address", "print fills 4065 characters"]


def test_a_learner_shows_its_networks_arguments_family_and_size() -> None:
    learner = kshot.MAML(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), features=3, outputs=2, adapt_steps=7)
    learner.adapt_steps = 9  # as with_steps does
    words = " ".join(repr(learner).split())
    assert words.startswith("MAML(backbone=Sequential(…), head=Linear(in_features=3, out_features=2, bias=True), features=3, outputs=2, ")
    assert "adapt_steps=9, " in words
    assert words.endswith(", family=Classification(), meta_parameters=23)")
    assert "rates=ParameterList(…)" in repr(kshot.MAMLPlusPlus(nn.Linear(4, 3), features=3))


def test_a_shape_shows_itself_as_it_is_made() -> None:
    for shape in (kshot.EpisodeShape(), kshot.EpisodeShape((2, 5), 1, 3, replacement=True, augment="mirror", nearness="far")):
        assert eval(repr(shape), {"EpisodeShape": kshot.EpisodeShape}) == shape
    assert repr(kshot.EpisodeShape()) == "EpisodeShape(way=5, shot=1, query=15)"


def test_parts_stay_whole_and_what_is_too_long_is_cut() -> None:
    assert short_repr("Thing", ["a b=1", "c\n  d=2"]) == "Thing(a b=1, c d=2)"
    wide = short_repr("Thing", [f"part {number} of many" for number in range(8)]).splitlines()
    assert [line.strip()[:4] for line in wide[1:]] == ["part"] * (len(wide) - 1)
    endless = short_repr("Thing", map(str, range(10_000))).splitlines()
    assert len(endless) == LINES
    assert endless[-1].endswith(" …")
    assert max(map(len, short_repr("Thing", ["x" * 500]).splitlines())) <= 100
