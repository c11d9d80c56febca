"""For all tests: a cache folder of their own, a share of the cores for each process, and what is opened once for all of them.

`make test` runs one process per core (pytest-xdist); plain `pytest` runs all in one. Both hold, in any order of the tests.
"""

import gc
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from cases.logged import Logged

if TYPE_CHECKING:  # torch is not imported before its number of threads is set
    from kshot.data.pictures.omniglot import Omniglot
    from kshot.data.pictures.omniglot_archive import Drawings

gc.disable()  # until all tests are collected: what is imported stays, so nothing is found
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
if WORKERS:
    # Each of several processes computes with its share of the cores, and so do the processes that it starts. torch reads this once, when
    # it is imported. A test that needs several threads sets their number and puts it back.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // WORKERS))

hypothesis.settings.register_profile("kshot", deadline=None)  # other processes share the cores: how long an example takes says nothing
hypothesis.settings.load_profile("kshot")


def pytest_collection_finish() -> None:
    """Let the garbage collector never look again at the modules and the thousands of tests, which stay. It saves a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`KSHOT_CACHE` for the whole session: no test depends on, or changes, what a user has cached. Started processes inherit it."""
    if WORKERS:  # one cache for all processes of the session: its files are written whole or not at all
        folder = tmp_path_factory.getbasetemp().parent / "kshot-cache"
        folder.mkdir(exist_ok=True)
    else:
        folder = tmp_path_factory.mktemp("kshot-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSHOT_CACHE", str(folder))
        yield


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What kshot logs during the test, from INFO on."""
    logger, handler = logging.getLogger("kshot"), Logged()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="session")
def omniglot(own_cache: None) -> "Omniglot":
    """Omniglot at 28×28, every quarter turn a class of its own."""
    from kshot.data.pictures.omniglot import Omniglot

    return Omniglot()


@pytest.fixture(scope="session")
def upright_omniglot(own_cache: None) -> "Omniglot":
    """Omniglot at 28×28 as it was drawn."""
    from kshot.data.pictures.omniglot import Omniglot

    return Omniglot(rotations="none")


@pytest.fixture(scope="module")
def drawings() -> "Drawings":
    """All drawings at their full size; 358 MB, and so not for the whole session."""
    from kshot.data.pictures.omniglot_archive import EMBEDDED, unpack

    return unpack(EMBEDDED.read_bytes())
