from collections.abc import Iterator

import pytest

from joulecast.sources import RegistryAccess
from tests.unit.sources.serving import Served, serving


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Served]:
    """A second host, for redirects and mirrors."""
    with serving() as one:
        yield one


@pytest.fixture
def access(served: Served) -> RegistryAccess:
    return RegistryAccess(insecure_registries=(served.host,))
