"""Check that two commits train alike: run 20 updates of every recipe from both, and compare tensor by tensor.

    python scripts/same_training.py a5d7202                     # this working tree against that commit, both on this machine
    python scripts/same_training.py a5d7202 --only reptile --tolerance 1e-5

The other commit is checked out into a temporary git worktree, and both run the same command with the same Python, so that any difference
comes from the code. Bit identity is required unless a tolerance is given: the largest difference of a tensor, relative to its largest
entry. Recipes whose data are not present are skipped and named. The exit code is 1 if anything differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
SHORT = ("training.updates=20", "training.save_every=20", "validation.every=20", "validation.episodes=4", "training.warmup=0")


def main() -> int:
    """Run the comparison; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("--only", default="", help="only recipes whose name contains this text")
    parser.add_argument("--tolerance", type=float, default=0.0, help="allowed relative difference; 0 requires the same bits")
    parser.add_argument("--keep", type=Path, help="folder that keeps the other commit's runs for later calls")
    options = parser.parse_args()
    recipes = sorted(path.stem for path in (ROOT / "src" / "kshot" / "recipes").glob("*.toml") if options.only in path.stem)
    differing, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        before, runs = Path(scratch) / "before", options.keep or Path(scratch) / "runs"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", str(before), options.commit], cwd=ROOT, check=True)
        try:
            for recipe in recipes:
                if not (before / "src" / "kshot" / "recipes" / f"{recipe}.toml").exists():
                    print(f"{recipe:32} new", flush=True)
                    continue
                one = trained(before, recipe, runs / options.commit)
                if one is None:
                    print(f"{recipe:32} skipped: its data are not present", flush=True)
                    continue
                other = trained(ROOT, recipe, Path(scratch) / "now")
                worst, where = (float("inf"), "did not train") if other is None else gap(one, other)
                compared += 1
                differing += [recipe] if worst > options.tolerance else []
                print(f"{recipe:32} {'same bits' if worst == 0 else f'{worst:.2e} at {where}'}", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)
    print(f"{compared} compared with {options.commit}, {len(differing)} differ{': ' + ', '.join(differing) if differing else ''}")
    return int(bool(differing))


def trained(tree: Path, recipe: str, runs: Path) -> Path | None:
    """Return the file of tensors of a short run of a recipe with the code of a tree, or None if it cannot be run here."""
    out = runs / recipe
    if not (out / "learner").is_dir():
        settings = [word for setting in SHORT for word in ("--set", setting)]
        command = [sys.executable, "-m", "kshot", "train", recipe, *settings, "--out", str(out), "--device", "cpu"]
        environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=Path.cwd(), env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(json.dumps({"recipe": recipe, "tree": str(tree), "error": (done.stderr or done.stdout)[-400:]}), file=sys.stderr)
            return None
    (found,) = (out / "learner").glob("tensors-*.safetensors")
    return found


def gap(one: Path, other: Path) -> tuple[float, str]:
    """Return the largest relative difference between the tensors of two files, and its place; infinite if the names differ."""
    a, b = load_file(one), load_file(other)
    if {name: value.shape for name, value in a.items()} != {name: value.shape for name, value in b.items()}:
        return float("inf"), "the names or shapes of tensors"
    worst = (0.0, "")
    for name, value in a.items():
        if torch.equal(value, b[name]):
            continue
        scale = float(value.double().abs().max()) or 1.0
        worst = max(worst, (float((value.double() - b[name].double()).abs().max()) / scale, name))
    return worst


if __name__ == "__main__":
    sys.exit(main())
