"""The commands that train: `kshot demo`, `kshot train`, and `kshot recipes`, which lists what can be trained. Next: `kshot.cli`."""

import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from kshot.errors import RecipeError, known_ones
from kshot.flags import Device, Json
from kshot.regular_file import look


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the run, the report and the pictures.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Train a prototypical network on Omniglot in a few minutes, test it on 1,000 held-out episodes, and show a report."""
    from kshot.episodes.shape import EpisodeShape
    from kshot.running import evaluate_learner, train_learner
    from kshot.saved.shipped import open_saved
    from kshot.tables import show_results
    from kshot.terminal import say
    from kshot.workflows.question import Question
    from kshot.workflows.recipe import read_recipe
    from kshot.workflows.run_folder import LEARNER

    began = time.perf_counter()
    run_folder = out / "run"
    if look(run_folder / LEARNER / "learner.json") == "file":
        say(f"The learner in {run_folder} is already trained; it is tested again. Delete {out} to start from the beginning.")
        saved = open_saved(run_folder)
    else:
        say("Training on Omniglot: 1,028 characters from 33 alphabets … The learner never sees the test characters.")
        saved = train_learner(read_recipe("omniglot-demo"), run_folder, resume=look(run_folder) != "nothing", device=device)
    question = Question(shape=EpisodeShape(5, 1, 15), episodes=1000)
    results, page = evaluate_learner(saved, question, device, report=out, title="kshot demo")
    show_results(results, f"kshot demo, {time.perf_counter() - began:.0f} s in all")
    say(f"The report with its pictures is {page}")
    say(f"Try the learner: {_typed()} predict {run_folder} --support FOLDER_OF_CLASS_FOLDERS PICTURE…")


def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe (`kshot recipes` lists them) or a TOML file.")],
    data: Annotated[Path | None, typer.Option(help="Your own folder of class folders instead of the recipe's data.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, for example training.lr=0.01. May be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/RECIPE, with -seedN if a seed is given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly where it stopped.")] = False,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed to use instead of the recipe's.")] = None,
) -> None:
    """Meta-train a learner with a recipe, and save the best state."""
    from kshot.running import train_learner, train_optimizer
    from kshot.terminal import print_line, say
    from kshot.workflows.recipe import read_recipe

    chosen = list(settings or ())
    if data is not None:
        # An absolute path: the record of the run names it, and `./omniglot` is a folder, not the built-in data of that name.
        chosen += [f"data.name={json.dumps(os.path.abspath(data), ensure_ascii=False)}"]
        if not any(setting.startswith("data.split=") for setting in chosen):
            chosen += ["data.split=fractions"]
    if seed is not None:
        chosen += [f"seed={seed}"]
    asked = read_recipe(recipe, chosen)
    own_seed = any(setting.partition("=")[0].strip() == "seed" for setting in chosen)
    folder = out or Path("runs") / (Path(recipe).stem + (f"-seed{asked.seed}" if own_seed else ""))
    if asked.trains == "optimizer":
        trained = train_optimizer(asked, folder, resume=resume, device=device)
        say(f"The learned optimiser is saved in {trained.folder}. To set it against hand-made ones on functions that it has not seen:")
        print_line(shlex.join(["kshot", "evaluate", str(folder)]))
        return
    saved = train_learner(asked, folder, resume=resume, device=device)
    say(f"The learner is saved in {saved.folder}. To score it on classes that it has not seen:")
    print_line(f"{_typed()} {shlex.join(['evaluate', str(folder)])}")


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show all numbers of this recipe.")] = None,
    as_json: Json = False,
) -> None:
    """List the built-in recipes; with a name, its published numbers and those measured here."""
    from kshot.tables import show_recipe_list, show_recipes
    from kshot.terminal import print_json
    from kshot.workflows.recipe_results import recipe_rows

    rows = recipe_rows()
    if name is not None:
        chosen = [row for row in rows if row["name"] == name]
        if not chosen:
            raise RecipeError(f"there is no built-in recipe {name!r}.{known_ones(name, [row['name'] for row in rows])}")
        rows = chosen
    if as_json:
        print_json({"recipes": rows})
    elif name is not None:
        show_recipes(rows)
    else:
        show_recipe_list(rows)


def _typed() -> str:
    """Return this command as it can be typed here: `kshot`, or with its path where no `kshot` is found (`.venv/bin/kshot`)."""
    if shutil.which("kshot") is not None:
        return "kshot"
    started = Path(sys.argv[0])
    return shlex.join([sys.executable, "-m", "kshot"] if started.suffix == ".py" else [str(started)])
