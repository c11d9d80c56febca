"""What the tests of the convolution block share."""

from collections.abc import Iterator

import pytest

from kshot.backbones.kernels import folded_block


@pytest.fixture(scope="module", params=["few images", pytest.param("many images", marks=pytest.mark.slow)])
def many_or_few_images(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test twice: as it is, and as if the maps of more than one image did not fit in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many images":
            patch.setattr(folded_block, "_CACHE", 0)
        yield
