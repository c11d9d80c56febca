"""The wheel, built and used outside the checkout: embedded data and shipped learners included."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import json, kshot
learner = kshot.load("omniglot-protonet")
omniglot = kshot.Omniglot()
test = kshot.EpisodeSet.draw(omniglot, omniglot.split("vinyals").part("test"), "vinyals/test", kshot.EpisodeShape(5, 1, 5), episodes=20)
print(json.dumps({"file": kshot.__file__, "accuracy": kshot.evaluate(learner, test).mean, "shipped": kshot.shipped()}))
"""


SHIPPED = ("omniglot-protonet", "omniglot-lake", "omniglot-maml", "omniglot-mann", "omniglot-snail", "tables-in-context")


@pytest.mark.slow
def test_the_wheel_holds_everything_and_works_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    made = subprocess.run(build, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,) = tmp_path.glob("kshot-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("py.typed", "data/embedded/omniglot.xz", "data/embedded/vinyals.json", "data/embedded/OMNIGLOT-LICENSE"):
        assert f"kshot/{wanted}" in names
    assert "kshot/recipes/results.json" in names
    for name in ("index.html", "page.css", "page.js", "icon.svg"):
        assert f"kshot/web/page/{name}" in names
    for name in SHIPPED:
        assert f"kshot/saved/shipped/{name}/learner.json" in names
    assert "kshot/saved/shipped/learned-optimizer/optimizer.safetensors" in names
    assert wheel.stat().st_size < 40_000_000
    # The heavy dependencies come from this environment; kshot itself comes from the wheel, found first.
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(target), "KSHOT_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert Path(answer["file"]).is_relative_to(target)
    assert answer["accuracy"] > 0.9
    assert set(SHIPPED) <= set(answer["shipped"])
    helped = subprocess.run(
        [sys.executable, "-m", "kshot", "recipes", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert {entry["name"] for entry in json.loads(helped.stdout)["recipes"]} >= {"omniglot-protonet", "omniglot-demo", "protonet"}
