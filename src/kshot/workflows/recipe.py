"""Recipes: everything that a training run does, as frozen dataclasses read from TOML. Their sections are in `recipe_sections`.

In: a built-in name or a file, and `key=value` settings. Out: a `Recipe` of checked plain values. An unknown key is an error that lists the
known ones; a wrong type or a count out of range is an error, too. Next: `kshot.workflows.experiment` builds the stages from it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

from kshot.data.table import KINDS, whole_path
from kshot.errors import RecipeError, did_you_mean, known_ones
from kshot.regular_file import look, read_text
from kshot.value_types import fits, in_words, shortened
from kshot.workflows.optimizer_recipe import OF_LEARNERS, OptimizerRecipe
from kshot.workflows.recipe_sections import (
    LEAST,
    MOST,
    BackboneRecipe,
    DataRecipe,
    EpisodesRecipe,
    ItemsRecipe,
    LearnerRecipe,
    TrainingRecipe,
    ValidationRecipe,
)


@dataclass(frozen=True)
class Recipe:
    """A whole training run."""

    description: str = ""
    seed: int = 0  # seed of the initial parameters, the episodes and everything else drawn at random
    trains: Literal["learner", "optimizer"] = "learner"  # optimizer: a learned optimiser, from [optimizer], [validation] and [training]
    data: DataRecipe = field(default_factory=DataRecipe)
    learner: LearnerRecipe = field(default_factory=LearnerRecipe)
    backbone: BackboneRecipe = field(default_factory=BackboneRecipe)
    episodes: EpisodesRecipe = field(default_factory=EpisodesRecipe)
    items: ItemsRecipe = field(default_factory=ItemsRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which the state of a run and the record of a learner keep."""
        plain: dict[str, Any] = _plain(asdict(self))
        for part, later in _LATER.items():
            plain[part] = {key: value for key, value in plain[part].items() if key not in later or value != later[key]}
        if self.trains == "optimizer":
            return {key: value for key, value in plain.items() if key not in OF_LEARNERS}
        del plain["trains"], plain["optimizer"]  # records and states of learners do not have them
        return plain


_LATER: dict[str, dict[str, Any]] = {
    "data": {"kind": "auto", "arguments": {}},
    "training": {"start_from": "none", "backbone_from": "none", "frozen": "none"},
}
"""Settings that came later, with the values that change nothing: records and states of earlier runs do not have them."""


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes, sorted."""
    return sorted(path.name.removesuffix(".toml") for path in _shelf().iterdir() if path.name.endswith(".toml"))


def read_recipe(source: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe, and apply settings to it. A relative path in `data.name` is meant from the working directory, and becomes absolute.

    Args:
        source: A built-in name (`recipe_names`) or a TOML file.
        settings: `key=value` with a dotted key, for example `training.lr=0.01`. The value is TOML, or else plain text.

    Raises:
        RecipeError: There is no such recipe, it is not TOML, or a key or value is invalid.
    """
    path = Path(source)
    if path.suffix == ".toml" or look(path, RecipeError) not in ("nothing", "folder"):
        file = path
    elif str(source) in recipe_names():
        file = _shelf() / f"{source}.toml"
    else:
        raise RecipeError(
            f"there is no recipe {str(source)!r}.{did_you_mean(str(source), recipe_names())} "
            f"The built-in ones are {', '.join(recipe_names())}. Name one of them, or give a .toml file."
        )
    try:
        table = tomllib.loads(read_text(file))
    except RecursionError:
        raise RecipeError(f"cannot read the recipe {file}: it is nested too deep") from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, not TOML, or a number of thousands of digits
        raise RecipeError(f"cannot read the recipe {file}: {error}") from error
    for setting in settings:
        _put(table, setting)
    recipe = parse_recipe(table, str(source))
    return replace(recipe, data=replace(recipe.data, name=whole_path(recipe.data.name, recipe.data.kind)))


def parse_recipe(table: Mapping[str, Any], name: str) -> Recipe:
    """Make a recipe from nested tables of plain values.

    Args:
        table: Nested tables, as read from TOML or JSON.
        name: Name of the recipe in error messages.

    Raises:
        RecipeError: A key is unknown, a value has the wrong type, or a count is too small.
    """
    recipe: Recipe = _build(Recipe, table, "", name)
    foreign = [key for key in (OF_LEARNERS if recipe.trains == "optimizer" else ("optimizer",)) if table.get(key)]
    if foreign:
        what = "a learned optimiser" if recipe.trains == "optimizer" else "a learner"
        raise RecipeError(f"recipe {name} trains {what}; it has no use for [{foreign[0]}]. Leave it out, or change `trains`.")
    return recipe


def _build(kind: Any, table: Mapping[str, Any], where: str, recipe: str) -> Any:
    table = dict(table)
    known = {part.name: part for part in fields(kind)}
    arguments: dict[str, Any] = {}
    if "arguments" in known:
        # The other keys belong to a constructor, which knows its own arguments (`kshot.learners.table`), or to a kind of data, which knows
        # its own settings (`kshot.data.table`).
        given = table.pop("arguments", {})
        if not isinstance(given, Mapping):
            raise RecipeError(f"recipe {recipe}: [{where}.arguments] must be a table of settings; found {given!r}.")
        foreign = _settings_of_kinds() if kind is DataRecipe else table
        arguments = {**given, **{key: table.pop(key) for key in list(table) if key not in known and key in foreign}}
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            raise RecipeError(f"recipe {recipe}: there is no setting {place!r}.{known_ones(place, _keys(kind, where))}")
        if is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise RecipeError(f"recipe {recipe}: [{place}] must be a table of settings; found {value!r}.")
            values[key] = _build(hints[key], value, place, recipe)
        else:
            values[key] = _value(hints[key], value, place, recipe)
    return replace(kind(**values), arguments=arguments) if arguments else kind(**values)


def _value(hint: Any, value: Any, place: str, recipe: str) -> Any:
    """Return `value` as the type of `hint`, or raise an error that says what was expected."""
    if isinstance(value, list):
        value = tuple(value)
    if not fits(hint, value):
        raise RecipeError(f"recipe {recipe}: {place} must be {in_words(hint)}; found {shortened(value)}.")
    least = LEAST.get(place)
    smallest = min(value, default=None) if isinstance(value, tuple) else value
    if least is not None and smallest is not None and smallest < least:
        raise RecipeError(f"recipe {recipe}: {place} must be at least {least}; found {value!r}.")
    most, largest = MOST.get(place), max(value, default=None) if isinstance(value, tuple) else value
    if most is not None and largest is not None and largest > most:
        raise RecipeError(f"recipe {recipe}: {place} must be at most {most:,}; found {value!r}.")
    return float(value) if hint is float else value


def _keys(kind: Any, where: str) -> list[str]:
    names = [part.name for part in fields(kind) if part.name != "arguments"]
    if kind is DataRecipe:
        names += [name for name in _settings_of_kinds() if name not in names]
    return [f"{where}.{name}" if where else name for name in names]


def _settings_of_kinds() -> dict[str, None]:
    return {name: None for kind in KINDS.values() for name in kind.settings()}


def _put(table: dict[str, Any], setting: str) -> None:
    """Set `a.b=value` in nested tables."""
    key, found, text = setting.partition("=")
    if not found or not key.strip():
        raise RecipeError(f"--set needs key=value, for example training.lr=0.01; found {setting!r}.")
    parts = _parts(key.strip())
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {setting}: {part!r} is a setting, not a table of settings.")
        table = inner
    try:
        table[parts[-1]] = tomllib.loads(f"value = {text.strip()}")["value"]
    except RecursionError:
        raise RecipeError(f"--set {shortened(setting)}: the value is nested too deep.") from None
    except ValueError:  # not TOML, or a number of thousands of digits
        table[parts[-1]] = text.strip()  # a bare word, as in data.split=characters


def _parts(key: str) -> list[str]:
    """The parts of a dotted key; a part in quotes may hold dots, as in `learner.layer_lr."head.*"`."""
    if not {'"', "'"} & set(key):
        return key.split(".")
    parts: list[str] = []
    try:
        table: Any = tomllib.loads(f"{key} = 0")
        while isinstance(table, dict):
            ((part, table),) = table.items()
            parts.append(part)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"--set needs a key of names and dots, with quotes around a name that holds dots; found {key!r}.") from error
    return parts


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _shelf() -> Path:
    return Path(str(resources.files("kshot"))) / "recipes"
