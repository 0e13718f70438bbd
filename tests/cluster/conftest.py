"""Start the real programs once for all cluster tests, and stop them at the end."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.cluster.controlled import Cluster, controlled
from tests.cluster.patience import be_patient
from tests.cluster.settled import Shop
from tests.harness.control_plane import ControlPlane
from tests.harness.prometheus import Prometheus
from tests.harness.registry import Registry


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run etcd, kube-apiserver and kube-controller-manager; tests that kill one of them start their own set."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run an OCI registry without access control. Tests of authentication, TLS or absent registries start their own."""
    with Registry.start(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the targets that a test named last."""
    with Prometheus.start(tmp_path_factory.mktemp("prometheus")) as started:
        yield started


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Create a namespace, and delete it in the background after the test."""
    name = control_plane.create_namespace(f"test-{uuid4().hex[:8]}")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def sweeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a joulecast that looks at all Deployments each second, beside whatever else writes them."""
    with controlled(tmp_path_factory.mktemp("neighbours"), flags=["--sweep-seconds=1"]) as started:
        be_patient(started.plane)
        started.push("served")
        yield started
        assert started.forbidden() == []


@pytest.fixture
def shop(sweeping: Cluster) -> Shop:
    """Open a namespace with an estimate that is Ready."""
    return Shop.open(sweeping, f"test-{uuid4().hex[:8]}")
