"""Recipes: what is read is what was written, and every bad one says which setting, what was expected, what was found."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.errors import RecipeError
from kshot.workflows.recipe import Recipe, parse_recipe, read_recipe, recipe_names
from kshot.workflows.recipe_sections import BackboneRecipe


def write(folder: Path, text: str) -> Path:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return folder / "mine.toml"


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "")) == Recipe()


def test_every_table_and_argument_arrives(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(
            tmp_path,
            'description = "mine"\nseed = 3\n[data]\nsplit = "alphabets"\nfractions = [0.5, 0.25, 0.25]\n'
            '[learner]\nname = "protonet_cosine"\n'
            "scale = 4\n[backbone]\nwidth = 8\n[episodes]\nway = [2, 5]\n[training]\nlr = 1\ntensorboard = true\n",
        )
    )
    assert (recipe.description, recipe.seed, recipe.data.split) == ("mine", 3, "alphabets")
    assert recipe.data.fractions == (0.5, 0.25, 0.25)
    assert (recipe.learner.name, recipe.learner.arguments) == ("protonet_cosine", {"scale": 4})
    assert recipe.backbone == BackboneRecipe("conv4", {"width": 8})
    assert recipe.episodes.way == (2, 5)
    assert recipe.training.lr == 1.0
    assert isinstance(recipe.training.lr, float)
    assert recipe.training.tensorboard is True


@pytest.mark.parametrize("name", recipe_names())
def test_every_built_in_recipe_is_good_and_described(name: str) -> None:
    assert read_recipe(name).description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sed = 1",
            r"mine\.toml: there is no setting 'sed'\. Did you mean 'seed'\? The known ones are description, seed, "
            r"trains, data, learner, backbone, episodes, items, "
            "validation, training, optimizer",
        ),
        (
            "[training]\nlearning_rate = 1",
            r"no setting 'training\.learning_rate'\. .*The known ones are training\.updates, training\.optimizer, training\.lr",
        ),
        ("[trainnig]\nlr = 1", r"there is no setting 'trainnig'\. Did you mean 'training'\? The known ones are"),
        ("training = 3", r"\[training\] must be a table of settings; found 3"),
        ('learner = "protonet"', r"\[learner\] must be a table of settings; found 'protonet'"),
        ("[[data]]\nname = 'x'", r"\[data\] must be a table of settings"),
        ("[learner]\narguments = 3", r"\[learner\.arguments\] must be a table of settings; found 3"),
        ("[backbone]\nname = 4", r"backbone\.name must be text in quotes; found 4"),
        ("seed = 1.5", r"seed must be a whole number; found 1\.5"),
        ("seed = true", r"seed must be a whole number; found True"),
        ("seed = '1'", r"seed must be a whole number; found '1'"),
        ("seed = -1", r"seed must be at least 0; found -1"),
        ("seed = 1979-05-27", r"seed must be a whole number; found datetime"),
        ("[training]\nlr = 'fast'", r"training\.lr must be a number; found 'fast'"),
        ("[training]\nlr = true", r"training\.lr must be a number; found True"),
        ("[training]\nlr = nan", r"training\.lr must be a number; found nan"),
        ("[training]\nlr = inf", r"training\.lr must be a number; found inf"),
        ("[training]\nlr = 1" + "0" * 400, r"training\.lr must be a number; found 1000"),
        ("[training]\nupdates = 0", r"training\.updates must be at least 1; found 0"),
        ("[training]\nupdates = -5", r"training\.updates must be at least 1; found -5"),
        ("[training]\nsave_every = 0", r"training\.save_every must be at least 1"),
        ("[training]\noptimizer = 'lion'", r"training\.optimizer must be one of 'adam', 'adamw', 'sgd'; found 'lion'"),
        ("[training]\ntensorboard = 1", r"training\.tensorboard must be true or false; found 1"),
        ("[training]\ntensorboard = 'yes'", r"training\.tensorboard must be true or false"),
        ("[validation]\nepisodes = 0", r"validation\.episodes must be at least 1"),
        ("[validation]\nevery = -1", r"validation\.every must be at least 1"),
        ("[episodes]\nway = -1", r"episodes\.way must be at least 0; found -1"),
        ("[episodes]\nshot = 0", r"episodes\.shot must be at least 1; found 0"),
        ("[episodes]\nshot = [0, 5]", r"episodes\.shot must be at least 1; found \(0, 5\)"),
        ("[episodes]\nshot = [1, 2, 3]", r"episodes\.shot must be a whole number or a list of 2 numbers; found \(1, 2, 3\)"),
        ("[episodes]\nshot = [1, 2.5]", r"episodes\.shot must be a whole number or a list of 2 numbers"),
        ("[episodes]\nshot = []", r"episodes\.shot must be a whole number or a list of 2 numbers; found \(\)"),
        ("[episodes]\ntasks = 0", r"episodes\.tasks must be at least 1"),
        ("[data]\nchannels = 2", r"data\.channels must be one of 3, 1|data\.channels must be one of 1, 3; found 2"),
        ("[data]\nchannels = true", r"data\.channels must be one of"),
        ("[validation]\nsteps = [1, -1]", r"validation\.steps must be at least 0; found \(1, -1\)"),
        ("[validation]\nsteps = [1, 0.5]", r"validation\.steps must be a list of whole numbers; found \(1, 0\.5\)"),
        ("[data]\nfractions = [0.5, 0.5]", r"data\.fractions must be a list of 3 numbers"),
        ("[data]\nfractions = [nan, 0.5, 0.5]", r"data\.fractions must be a list of 3 numbers"),
        ("[data]\nsize = -28", r"data\.size must be at least 0"),
        ("lr = = 1", r"cannot read the recipe .*mine\.toml: "),
        ("a = 1\na = 2", r"cannot read the recipe"),
    ],
)
def test_a_bad_recipe_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text))


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"seed = {'9' * 5000}\n")
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*mine\.toml: Exceeds the limit"):
        read_recipe(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.toml: .*No such file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*folder\.toml: .*Is a directory"):
        read_recipe(tmp_path / "folder.toml")
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(
        RecipeError, match=r"cannot read the recipe .*picture\.toml: line 1 is not UTF-8: byte 0x89 at character 1\. .*iconv"
    ):
        read_recipe(tmp_path / "picture.toml")


@pytest.mark.parametrize("name", ["protonot", "", "protonet.json", "../recipes/protonet"])
def test_an_unknown_name_lists_the_built_in_ones(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"there is no recipe .*The built-in ones are {', '.join(recipe_names())}"):
        read_recipe(name)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("training.lr=0.5", 0.5),
        (" training.lr = 0.5 ", 0.5),
        ("training.lr=1", 1.0),
    ],
)
def test_set_changes_one_value(setting: str, value: float) -> None:
    recipe = read_recipe("protonet", [setting])
    assert recipe.training.lr == value
    assert recipe.training.updates == read_recipe("protonet").training.updates


def test_set_takes_bare_words_lists_and_text_and_the_last_wins() -> None:
    recipe = read_recipe(
        "protonet",
        ["data.split=characters", "episodes.shot=[1, 3]", "seed=1", "seed=2", 'data.name="a b"', "backbone.width=16", "learner.scale=2.5"],
    )
    assert recipe.data.split == "characters"
    assert recipe.episodes.shot == (1, 3)
    assert recipe.seed == 2
    assert recipe.data.name == "a b"
    assert recipe.backbone.arguments["width"] == 16
    assert recipe.learner.arguments == {"scale": 2.5}
    assert read_recipe("protonet", ["data.name=a=b"]).data.name == "a=b"
    quoted = ['learner.layer_lr."head.*"=0.1', "learner.layer_lr.'*.bias' = 0.2", 'learner.layer_lr."*"=0.3']
    assert read_recipe("protonet", quoted).learner.arguments == {"layer_lr": {"head.*": 0.1, "*.bias": 0.2, "*": 0.3}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.lrr=1", r"no setting 'training\.lrr'\. Did you mean 'training\.lr'\? The known ones are training\.updates"),
        ("trianing.lr=1", r"no setting 'trianing'\. Did you mean 'training'\? The known ones are description, seed"),
        ("lr=1", r"no setting 'lr'"),
        ("training.lr.deep=1", r"training\.lr.*not a table of settings|'lr' is a setting, not a table"),
        ("seed.deep=1", r"seed must be a whole number; found \{'deep': 1\}"),
        ("data.=1", r"no setting 'data\.'"),
        ("training=1", r"\[training\] must be a table"),
        ("training.lr", r"--set needs key=value, for example training\.lr=0\.01; found 'training\.lr'"),
        ("=1", r"--set needs key=value"),
        ("", r"--set needs key=value"),
        ("training.lr=", r"training\.lr must be a number; found ''"),
        ("training.lr=fast", r"training\.lr must be a number; found 'fast'"),
        ("training.updates=-3", r"training\.updates must be at least 1; found -3"),
        ("episodes.way=0.5", r"episodes\.way must be a whole number or a list of 2 numbers; found 0\.5"),
        ("learner.arguments=1", r"\[learner\.arguments\] must be a table"),
        ("training.updates=" + "9" * 5000, r"training\.updates must be a whole number; found '9999"),
        ('learner."head=1', r"--set needs a key of names and dots, .*; found 'learner\.\"head'"),
        ("'#=1", r"--set needs a key of names and dots"),
    ],
)
def test_a_bad_setting_says_what_is_wrong(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe("protonet", [setting])


count = st.integers(1, 50) | st.tuples(st.integers(1, 5), st.integers(5, 9)).map(list)
argument = st.integers(-9, 9) | st.floats(-1e6, 1e6) | st.text(max_size=5) | st.booleans() | st.lists(st.integers(0, 9), max_size=3)
arguments = st.dictionaries(st.text(min_size=1, max_size=6), argument, max_size=3)
tables = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(max_size=20),
        "seed": st.integers(0, 2**63 - 1),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(max_size=9),
                "fractions": st.tuples(*[st.floats(0, 1)] * 3).map(list),
                "rotations": st.sampled_from(["classes", "none"]),
                "channels": st.sampled_from([1, 3]),
            },
        ),
        "learner": st.fixed_dictionaries({}, optional={"name": st.text(max_size=9), "arguments": arguments}),
        "backbone": st.fixed_dictionaries(
            {}, optional={"name": st.text(max_size=9), "width": st.integers(), "hidden": st.lists(st.integers())}
        ),
        "episodes": st.fixed_dictionaries({}, optional={"way": count, "shot": count, "query": count, "balanced": st.booleans()}),
        "training": st.fixed_dictionaries({}, optional={"lr": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)}),
    },
)


@pytest.mark.slow
@given(tables)
def test_as_dict_and_parse_are_inverse_through_json(table: dict[str, Any]) -> None:
    recipe = parse_recipe(table, "made")
    plain = recipe.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    again = parse_recipe(json.loads(json.dumps(plain)), "again")
    assert again == recipe
    assert again.as_dict() == plain


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3),
        max_leaves=5,
    )
)
def test_any_value_anywhere_is_taken_or_refused_in_words(value: Any) -> None:
    for place in ("seed", "data", "learner", "backbone", "training"):
        assert place in refusal({place: value}, place)
    for key in ("lr", "updates", "optimizer", "tensorboard"):
        assert f"training.{key}" in refusal({"training": {key: value}}, f"training.{key}")


def refusal(table: dict[str, Any], taken: str) -> str:
    """What the error says, or `taken` where there is none; any other error passes through."""
    try:
        parse_recipe(table, "made")
    except RecipeError as error:
        return str(error)
    return taken
