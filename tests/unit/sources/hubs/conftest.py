from collections.abc import Iterator

import pytest

from joulecast.sources import RegistryAccess
from tests.harness import hub


@pytest.fixture
def served() -> Iterator[hub.Hub]:
    with hub.running() as one:
        yield one


@pytest.fixture
def access(served: hub.Hub) -> RegistryAccess:
    return RegistryAccess(hub_endpoint=served.url, insecure_registries=(served.server.host, served.storage.host))
