"""The real programs, started once for all cluster tests and stopped at their end."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.harness.control_plane import ControlPlane
from tests.harness.prometheus import Prometheus
from tests.harness.registry import Registry


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager; a test that kills one of them starts a set of its own."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open OCI registry. Tests of authentication, of TLS or of an absent registry start one of their own."""
    with Registry.start(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes whatever a test names last."""
    with Prometheus.start(tmp_path_factory.mktemp("prometheus")) as started:
        yield started


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace, deleted in the background afterwards."""
    name = control_plane.create_namespace(f"test-{uuid4().hex[:8]}")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
