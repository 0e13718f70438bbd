"""An upgrade and a rollback, by Helm 3, by Helm 4 and by one after the other, keep everything that was written."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulecast_operator.cluster.client import FIELD_MANAGER
from tests.cluster.release import Release, deployment
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART, NAMESPACE
from tests.waiting import eventually

SECRET = "joulecast-webhook-certificate"
CONFIGURATION = "joulecast-webhook"
CONTROLLER = f"--as=system:serviceaccount:{NAMESPACE}:joulecast-controller"
OURS = "iee,ecal,deployment,configmap"
DEFINITIONS = ("inferenceenergyestimates", "acceleratorenergyprofiles", "energycalibrations")
HELMS = [("helm3", "helm3"), ("helm", "helm"), ("helm3", "helm")]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path / "plane", controller_manager=False) as started:
        yield started


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chart of an earlier version: without the test, with other texts and fewer columns in its definitions."""
    folder = tmp_path_factory.mktemp("older") / "joulecast"
    shutil.copytree(CHART, folder)
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "0.0.9", "appVersion": "0.0.9"}))
    shutil.rmtree(folder / "templates" / "tests")
    for path in (folder / "templates" / "crds").glob("*.yaml"):
        text = path.read_text()
        assert "description: " in text
        path.write_text(
            text.replace("priority: 1", "priority: 2").replace("description: The ", "description: An older ")
        )
    return folder


class Written:
    """What users and the controller have written beside the chart's own objects."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.bundle = base64.b64encode(plane.authority.bundle.read_bytes()).decode()

    def write(self) -> None:
        plane, release = self.plane, Release(self.plane)
        plane.kubectl("create", "namespace", "shop")
        release.estimate("detector", "shop", "registry.invalid/detector:1", 0.42)
        kind = {"apiVersion": "joulecast.dev/v1alpha1"}
        profile = {"kind": "AcceleratorEnergyProfile", "metadata": {"name": "own"}}
        calibration = {"kind": "EnergyCalibration", "metadata": {"name": "l40s", "namespace": "shop"}}
        plane.apply(
            kind | profile | {"spec": {"product": "NVIDIA-L40S", "coefficients": "{}"}},
            kind | calibration | {"spec": {"accelerator": "NVIDIA-L40S"}},
            deployment("web", "shop", annotations={"joulecast.dev/joules-per-batch": "0.42", "team": "a"}),
        )
        self.certificate()

    def certificate(self) -> None:
        """Write Secret and caBundle as the controller does."""
        data = {"tls.crt": self.bundle, "ca.crt": self.bundle}
        self._patch(f"secret/{SECRET}", "--type=merge", {"data": data})
        change = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": self.bundle}
        self._patch(f"mutatingwebhookconfiguration/{CONFIGURATION}", "--type=json", [change])

    def _patch(self, name: str, kind: str, change: Any) -> None:
        options = ("-n", NAMESPACE, kind, f"--field-manager={FIELD_MANAGER}", CONTROLLER, "-p", json.dumps(change))
        self.plane.kubectl("patch", name, *options)

    def found(self) -> dict[str, Any]:
        """Return every such object as it is now, with its resourceVersion, and the uids of the definitions."""
        plane = self.plane
        listed = json.loads(plane.kubectl("get", OURS, "-n", "shop", "-o", "json").stdout)["items"]
        listed += json.loads(plane.kubectl("get", "aep", "-o", "json").stdout)["items"]
        found = {f"{each['kind']}/{each['metadata']['name']}": each for each in listed}
        for name in DEFINITIONS:
            definition = plane.get("crd", f"{name}.joulecast.dev")
            assert definition is not None
            found[name] = definition["metadata"]["uid"]
        return found

    def trusted(self) -> tuple[str, str]:
        """Return the authority in the Secret and the one that the API server trusts."""
        secret = self.plane.get("secret", SECRET, NAMESPACE)
        configuration = self.plane.get("mutatingwebhookconfiguration", CONFIGURATION)
        assert secret is not None
        assert configuration is not None
        return secret["data"]["ca.crt"], configuration["webhooks"][0]["clientConfig"]["caBundle"]


def columns(plane: ControlPlane) -> set[int]:
    """Return the priorities of the columns that `kubectl get iee -o wide` adds."""
    definition = plane.get("crd", "inferenceenergyestimates.joulecast.dev")
    assert definition is not None
    return {
        each["priority"] for each in definition["spec"]["versions"][0]["additionalPrinterColumns"] if "priority" in each
    }


def version(plane: ControlPlane) -> str:
    found = plane.get("deployment", "joulecast-controller", NAMESPACE)
    assert found is not None
    return str(found["metadata"]["labels"]["helm.sh/chart"])


@pytest.mark.parametrize(("first", "later"), HELMS, ids=["3", "4", "3-then-4"])
def test_an_upgrade_and_a_rollback_keep_every_object(plane: ControlPlane, older: Path, first: str, later: str) -> None:
    where = ("-n", NAMESPACE)
    plane.helm(
        "install", "joulecast", older, *where, "--create-namespace", "--set", "webhook.replicas=1", program=first
    )
    assert eventually(lambda: plane.kubectl("get", "iee,aep,ecal", "-A", check=False).returncode == 0)
    written = Written(plane)
    written.write()
    before, trusted = written.found(), written.trusted()
    assert {"InferenceEnergyEstimate/detector", "AcceleratorEnergyProfile/own", "Deployment/web"} <= before.keys()

    plane.helm("upgrade", "joulecast", CHART, *where, program=later)
    assert version(plane) == "joulecast-0.1.0"
    assert columns(plane) == {1}
    assert (written.found(), written.trusted()) == (before, trusted)

    plane.helm("rollback", "joulecast", "1", *where, program=later)
    assert version(plane) == "joulecast-0.0.9"
    assert columns(plane) == {2}
    assert (written.found(), written.trusted()) == (before, trusted)

    plane.helm("uninstall", "joulecast", *where, "--no-hooks", program=later)
    assert written.found() == before, "the definitions, and with them all objects, are kept"
    assert eventually(lambda: plane.get("secret", SECRET, NAMESPACE) is None)
