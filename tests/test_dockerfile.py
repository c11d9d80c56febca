"""The Dockerfile follows the README: it installs, makes keys and serves with the commands of its section, and as nobody in particular."""

import json
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).split("\n")
INSTRUCTIONS = [line for line in LINES if line.strip()]


def words_of_readme() -> list[list[str]]:
    """The commands of the README's section, each as its words."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Serve it\n")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"```console\n(.*?)```", section, flags=re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line]


def command() -> list[str]:
    (last,) = [line for line in INSTRUCTIONS if line.startswith("CMD ")]
    words: list[str] = json.loads(last.removeprefix("CMD "))
    return words


def test_the_readme_has_these_steps() -> None:
    assert [words[:2] for words in words_of_readme()] == [["pip", "install"], ["kshot", "serve"], ["kshot", "keys"], ["kshot", "serve"]]


def test_it_installs_what_the_readme_installs() -> None:
    install = words_of_readme()[0]
    ran = [shlex.split(part) for line in INSTRUCTIONS if line.startswith("RUN ") for part in line.removeprefix("RUN ").split("&&")]
    (same,) = [words for words in ran if words[0].endswith("/pip") and words[-1] == install[-1]]
    assert [word for word in same[1:] if word != "--no-cache-dir"] == install[1:]


def test_it_serves_as_the_readme_does_with_keys() -> None:
    words, (*_, wanted) = command(), words_of_readme()
    assert words[: len(wanted) - 1] == wanted[:-1]
    assert (wanted[-1], words[len(wanted) - 1]) == ("keys.json", "/data/keys.json")
    assert words[len(wanted) :] == ["--store", "sqlite:////data/tasks.db"]


def test_the_key_is_made_as_the_readme_makes_it() -> None:
    keys = words_of_readme()[2]
    told = [shlex.split(line.removeprefix("#")) for line in DOCKERFILE.splitlines() if "keys add" in line]
    assert [words[words.index("keys") - 1 :] for words in told] == [[word.replace("keys.json", "/data/keys.json") for word in keys]]


def test_it_is_slim_runs_as_no_root_and_says_whether_it_lives() -> None:
    bases = [line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")]
    assert set(bases) == {"python:3.12-slim"}
    (user,) = [line.split()[1] for line in INSTRUCTIONS if line.startswith("USER ")]
    assert user == "kshot"
    kinds = [line.split()[0] for line in INSTRUCTIONS if line.strip()]
    assert {"RUN", "COPY"} & {*kinds[kinds.index("USER") :]} == set()
    assert kinds.index("USER") < kinds.index("CMD")
    (health,) = [line for line in INSTRUCTIONS if line.startswith("HEALTHCHECK ")]
    program = json.loads(health[health.index("[") :])[2]
    assert "/healthz" in program
    compile(program, "healthcheck", "exec")


def test_what_it_copies_is_there_and_not_ignored() -> None:
    wanted = [word for line in INSTRUCTIONS if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]]
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    assert {word.removeprefix("./") for word in wanted} == kept
    assert all((ROOT / word).exists() for word in wanted)
