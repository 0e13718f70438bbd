"""Start the node once for the whole scenario, and stop it at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.__main__ import DIRECTORY
from tests.e2e.cluster import Cluster, with_gpus
from tests.harness.node.containerd import PAUSE
from tests.harness.node.node import Node


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if DIRECTORY not in os.environ:
        pytest.skip("needs namespaces of its own: make e2e")
    directory = Path(os.environ[DIRECTORY])
    layouts = directory / "images"
    node = Node(directory)
    try:
        node.start(images.layout(layouts, PAUSE))
        node.containerd.load(images.layout(layouts, images.ENGINE), images.ENGINE)
        with_gpus(node.plane)
        yield Cluster(node=node, layouts=layouts)
    finally:
        node.stop()
