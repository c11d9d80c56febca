"""The command `kshot export`: a fitted model or a saved learner, as files that need no kshot. Next: `kshot.cli`, which lists it."""

from pathlib import Path
from typing import Annotated

import typer

from kshot.errors import RecipeError
from kshot.flags import Json


def export(
    saved: Annotated[str, typer.Argument(metavar="SAVED", help="A model of kshot fit; or a run, a saved learner, or a shipped one.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the exported task.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write the network as an ONNX file, which is the only form so far.")] = False,
    support: Annotated[
        Path | None, typer.Option(help="For a saved learner: a folder with one folder per class, whose classes the task then has.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an exported task that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a model or a learner as an ONNX file, numbers in JSON, and thirty lines of numpy that answer with the two.

    The files are written only if they give kshot's own probabilities. Without --support, a learner is exported without classes; the program
    beside it learns them from examples.
    """
    from kshot.tasks.export.export import task_of_learner, task_of_model
    from kshot.tasks.export.exported_folder import EXAMPLE, NETWORK, TASK, check_place, write_task
    from kshot.tasks.model_folder import load_model
    from kshot.tasks.model_record import is_model
    from kshot.tasks.regression.model import is_quantity_model
    from kshot.terminal import print_json, say

    if not onnx:
        raise RecipeError("the form of an export must be named, and there is one so far. Add --onnx.")
    check_place(out, overwrite=overwrite)
    fitted = is_model(saved)
    if fitted and is_quantity_model(saved):
        raise RecipeError(f"{saved} is a model of a quantity, and models of classes are exported. kshot predict answers with it.")
    if fitted and support is not None:
        raise RecipeError(f"{saved} is a model, which has its classes already: --support would change nothing. Leave it out.")
    task = task_of_model(load_model(saved), saved) if fitted else task_of_learner(saved, support)
    write_task(out, task)
    if as_json:
        files = {"network": NETWORK, "task": TASK, "program": EXAMPLE}
        print_json({"folder": str(out), "classes": list(task.classes), **files, "takes": dict(task.takes)})
        return
    say(f"The task is in {out}: {NETWORK}, {TASK}, and {EXAMPLE}, which needs numpy and onnxruntime alone.")
    say(f"To try it: python {out / EXAMPLE}")
