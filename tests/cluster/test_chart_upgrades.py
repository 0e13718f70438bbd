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
from tests.chart.manifests import FOLDER
from tests.cluster.release import Release, deployment
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART, NAMESPACE
from tests.waiting import eventually

SECRET = "joulecast-webhook-certificate"
CONFIGURATION = "joulecast-webhook"
CONTROLLER = f"--as=system:serviceaccount:{NAMESPACE}:joulecast-controller"
FIRST = FOLDER / "older" / "joulecast-2026-11-23.tgz"
"""The first chart that could be installed, of commit da2e74bb, packed as it was there; nobody has released it."""
WRITTEN = {"InferenceEnergyEstimate/detector", "AcceleratorEnergyProfile/own", "Deployment/web"}
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
        plane.apply(
            kind | profile | {"spec": {"product": "NVIDIA-L40S", "coefficients": "{}"}},
            deployment("web", "shop", annotations={"joulecast.dev/joules-per-batch": "0.42", "team": "a"}),
        )

    def calibrate(self) -> None:
        kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyCalibration"}
        metadata = {"name": "l40s", "namespace": "shop"}
        self.plane.apply(kind | {"metadata": metadata, "spec": {"accelerator": "NVIDIA-L40S"}})

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
        definitions = {each["metadata"]["name"]: each["metadata"]["uid"] for each in self._listed("crds")}
        kinds = ",".join(name for name in definitions if name.endswith(".joulecast.dev"))
        listed = self._listed(kinds, "-A") + self._listed("deployments,configmaps", "-n", "shop")
        return definitions | {f"{each['kind']}/{each['metadata']['name']}": each for each in listed}

    def _listed(self, kinds: str, *where: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.plane.kubectl("get", kinds, *where, "-o", "json").stdout)["items"]
        return items

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
    written.calibrate()
    written.certificate()
    before, trusted = written.found(), written.trusted()
    assert before.keys() >= WRITTEN | {"EnergyCalibration/l40s"}

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


@pytest.mark.parametrize(("first", "later"), HELMS, ids=["3", "4", "3-then-4"])
def test_an_upgrade_of_the_first_chart_keeps_every_object_and_goes_back(
    plane: ControlPlane, first: str, later: str
) -> None:
    """That chart knew two kinds of objects, and needed a certificate of the user's."""
    where, written = ("-n", NAMESPACE), Written(plane)
    own = ("--set", "webhook.certSecret=own", "--set", f"webhook.caBundle={written.bundle}")
    plane.helm("install", "joulecast", FIRST, *where, "--create-namespace", *own, program=first)
    assert eventually(lambda: plane.kubectl("get", "iee,aep", "-A", check=False).returncode == 0)
    written.write()
    before = written.found()
    assert before.keys() >= WRITTEN

    plane.helm("upgrade", "joulecast", CHART, *where, "--reset-then-reuse-values", program=later)
    assert eventually(lambda: plane.kubectl("get", "ecal", "-A", check=False).returncode == 0), "the kind is new"
    written.calibrate()
    after = written.found()
    assert {key: after[key] for key in before} == before

    plane.helm("rollback", "joulecast", "1", *where, program=later)
    assert written.found() == after, "the definition that the first chart does not know is kept"
    plane.helm("upgrade", "joulecast", CHART, *where, "--reset-then-reuse-values", program=later)
    assert written.found() == after
    assert plane.get("secret", SECRET, NAMESPACE) is None, "the user's certificate stays in use"
