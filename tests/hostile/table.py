"""The families of cases, in the order in which they run.

What is promised is said in `judge`. Not promised, and therefore not tried or counted as handled:

- A mapping, list, array or path in whose place a Python caller gives another thing: `TypeError` of Python itself (`Case.loose`). Numbers,
  names and settings of a wrong type are errors of kshot.
- Features of another width than the learner's network gives, whole numbers as features, an object of another class where an object of kshot
  is wanted.
- What a user's own module or network prints, and how long it takes.
- A run as long as was asked for: 10^12 updates are no hang.
- What Python prints if Ctrl-C comes while it starts and imports the package, before the first line of kshot's `main`.
- `--out`, `--plot` and `--report` with a path outside the folder of the case, and a NUL character in a flag, which no shell passes on.
- A table or a folder as large as the disk: it is read as long as that takes. The time of a long answer is bounded nowhere; its memory is.
- Permissions, where the suite runs as a user who may read everything. Unit tests raise `PermissionError` themselves.
"""

from functools import cache

from hostile import (
    divisions,
    flags,
    folders,
    models,
    mutations,
    own_code,
    own_tables,
    own_things,
    pictures,
    processes,
    python_calls,
    recipe_files,
    runs,
    saved,
    settings,
)
from hostile.case import Case

FAMILIES = (
    settings,
    flags,
    recipe_files,
    saved,
    runs,
    pictures,
    folders,
    divisions,
    mutations,
    own_code,
    python_calls,
    models,
    own_tables,
    own_things,
    processes,
)


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case; names are distinct."""
    cases = tuple(case for family in FAMILIES for case in family.cases())
    assert len({case.name for case in cases}) == len(cases)
    return cases
