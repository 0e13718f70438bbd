"""A real API server takes every object that the chart renders, field by field, for each kept set of values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.chart.manifests import FOLDER, VALUES, rendered
from tests.contract.test_chart import LOADER
from tests.harness.control_plane import ControlPlane
from tests.waiting import eventually

NAMESPACES = ("joulecast", "lab")
FOREIGN = ("podmonitors", "prometheusrules", "issuers", "certificates")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run an API server that knows the kinds of the Prometheus operator and of cert-manager too."""
    with ControlPlane.start(tmp_path_factory.mktemp("manifests"), controller_manager=False) as started:
        for namespace in NAMESPACES:
            started.kubectl("create", "namespace", namespace)
        started.kubectl("apply", "-f", FOLDER / "definitions.yaml")
        served = lambda: started.kubectl("get", ",".join(FOREIGN), check=False).returncode == 0  # noqa: E731
        assert eventually(served), "the API server does not serve the foreign kinds"
        yield started


@pytest.mark.parametrize("name", VALUES)
def test_every_object_passes_the_servers_own_validation(plane: ControlPlane, name: str) -> None:
    manifests = rendered(name)
    wanted = [each for each in yaml.load_all(manifests, Loader=LOADER) if each]
    plane.apply(*[each for each in wanted if each["kind"] == "ServiceAccount"])  # admission looks for that of the Pod
    done = plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests)
    assert len(done.stdout.splitlines()) == len(wanted)
    assert "Warning" not in done.stderr, done.stderr


def test_a_field_that_does_not_exist_is_refused(plane: ControlPlane) -> None:
    manifests = rendered("monitored")
    for right, wrong in (("honorLabels:", "honourLabels:"), ("dnsNames:", "dnsName:"), ("expr:", "expression:")):
        assert right in manifests
        text = manifests.replace(right, wrong)
        done = plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text, check=False)
        assert done.returncode != 0
        assert 'unknown field "spec.' in done.stderr
        assert wrong.rstrip(":") in done.stderr
