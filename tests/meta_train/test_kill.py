"""A real training process is killed with SIGKILL at random moments and resumed: it ends at the same bits.

A process that has imported torch, and has started no thread, forks one child a trial. The child is the command `kshot train`; it is
killed from outside after a random time, or kills itself in the middle of a write, which it finds by way of patched `os.fsync` and
`os.replace`. Nothing of this is in the product.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import kshot.errors
from cases.folders import pets_in

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]

RECIPE = """
[data]
name = "{pets}"
split = "fractions"
size = 16
fractions = [0.5, 0.25, 0.25]

[backbone]
width = 8

[episodes]
way = 5
shot = [1, 2]
query = 2
tasks = 2

[validation]
query = 2
episodes = 10
every = 15

[training]
updates = 60
lr = 0.01
schedule = "cosine"
warmup = 5
clip_norm = 1.0
save_every = 1
"""

ITEM_RECIPE = """
[data]
name = "{pets}"
split = "fractions"
size = 16
fractions = [0.5, 0.25, 0.25]

[learner]
name = "baseline"

[backbone]
width = 8

[items]
batch = 32

[validation]
query = 2
episodes = 10
every = 15

[training]
updates = 60
lr = 0.01
save_every = 1
"""  # the state holds a head that the learner does not

KILLER = '''
import json, os, random, select, shutil, signal, sys
from pathlib import Path

recipe, folder, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
import torch
torch.set_num_threads(1)
import torch._dynamo  # every optimiser imports it, which takes two seconds
from kshot import atomic, cli, terminal
from kshot.exit_code import exit_code_of
from kshot.workflows import experiment  # imported once, for all children

random = random.Random(7)


def kill_inside_a_write(number, stage, report):
    """Arrange that the `number`-th write of this process ends in SIGKILL, at one of three moments."""
    sync, replace, written = os.fsync, os.replace, [0]

    def die(what):
        os.write(report, what.encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def fsync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(".part"):
            written[0] += 1
            if written[0] == number and stage == "half":
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                die(f"half {Path(path).name}")
        return sync(descriptor)

    def taking_the_name(source, target):
        if written[0] == number and stage == "before the name":
            die(f"before the name {Path(source).name}")
        replace(source, target)
        if written[0] == number and stage == "after the name":
            die(f"after the name {Path(source).name}")

    os.fsync, os.replace = fsync, taking_the_name


def child(words, plan, report):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if plan is not None:
        kill_inside_a_write(*plan, report)
    sys.argv = ["kshot", *words]
    code = 1
    try:
        code = exit_code_of(cli.app)
    finally:
        os._exit(code)


def trial(words, plan=None, seconds=None):
    """Exit code, or minus the signal, and what the child was doing when it killed itself."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        child(words, plan, writing)
    os.close(writing)
    if seconds is not None and not select.select([reading], [], [], seconds)[0]:  # until then, or until the child has ended
        os.kill(pid, signal.SIGKILL)
    said = b""
    while part := os.read(reading, 1000):
        said += part
    os.close(reading)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def start(plan=None, seconds=None):
    """What a user does: go on with the run, or, when told that there is none, start it."""
    words = ["train", recipe, "--out", str(folder)]
    code, said = trial([*words, "--resume"], plan, seconds)
    if code == 2:
        code, said = trial(words, plan, seconds)
    return code, said


told, ended = [], 0
# The first one dies before its first state is whole: in the recipe, in the division, in the state of update 0.
plans = [((number, "half"), None) for number in (1, 2, 3)] + [((3, "before the name"), None)]
for _ in range(2 * kills // 5):
    plans.append(((random.randrange(1, 25), random.choice(["half", "before the name", "after the name"])), None))
plans += [(None, random.uniform(0.0, 0.4)) for _ in range(kills - len(plans))]
first, rest = plans[:4], plans[4:]
random.shuffle(rest)
queue = first + rest
whole = []
while queue:
    plan, seconds = queue[0]
    code, said = start(plan, seconds)
    if code == 0:  # the run was over sooner; the moment is tried again in the next run
        shutil.move(folder, f"{folder}-{len(whole)}")
        whole.append(f"{folder}-{len(whole)}")
        assert len(whole) < 20
        continue
    assert code == -signal.SIGKILL, (code, said, plan)
    queue.pop(0)
    told.append(said or "by time")
code, said = start()
assert code == 0, (code, said)
print(json.dumps({"told": told, "runs": [*whole, str(folder)]}))
'''


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["update"], line["loss"]) for line in lines]


def learner(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = (folder / "learner").glob("*.safetensors")
    return safetensors.torch.load_file(file)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, SIGKILL and /proc")
@pytest.mark.parametrize(("text", "kills", "least"), [(RECIPE, 20, 6), (ITEM_RECIPE, 10, 2)], ids=["episodes", "items"])
def test_kills_and_resumes_end_at_the_same_bits(tmp_path: Path, text: str, kills: int, least: int) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(text.replace("{pets}", str(pets_in(tmp_path / "pets", classes=12, items=6))))
    words = [sys.executable, "-m", "kshot", "train", str(recipe), "--out", str(tmp_path / "whole")]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = learner(tmp_path / "whole")
    assert [update for update, _ in losses(tmp_path / "whole")] == list(range(1, 61))

    words = [sys.executable, "-c", KILLER, str(recipe), str(tmp_path / "killed"), str(kills)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=300)
    log = tmp_path / "killed.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    answer = json.loads(done.stdout)
    assert len(answer["told"]) == kills
    assert sum("state.safetensors" in told for told in answer["told"]) >= least, answer["told"]
    assert sum(told == "by time" for told in answer["told"]) >= least, answer["told"]
    for run in map(Path, answer["runs"]):
        found = learner(run)
        assert found.keys() == expected.keys()
        for name in expected:
            assert torch.equal(found[name], expected[name]), name
        assert losses(run) == losses(tmp_path / "whole")
        assert (run / "state.safetensors").read_bytes() == (tmp_path / "whole" / "state.safetensors").read_bytes()
        assert list(run.rglob("*.part")) == []
