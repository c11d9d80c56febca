"""For all tests: a cache folder of their own, so that no test depends on, or changes, what a user has cached."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`KSHOT_CACHE` for the whole session, inherited by the processes that tests start."""
    before = os.environ.get("KSHOT_CACHE")
    os.environ["KSHOT_CACHE"] = str(tmp_path_factory.mktemp("kshot-cache"))
    yield
    if before is None:
        del os.environ["KSHOT_CACHE"]
    else:
        os.environ["KSHOT_CACHE"] = before
