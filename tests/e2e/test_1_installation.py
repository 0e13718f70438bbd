"""Test that the chart's pods run on a real node, from the image built here, as restricted as the chart says."""

from __future__ import annotations

import json

import pytest

from tests.e2e import images
from tests.e2e.cluster import NAMESPACE, Cluster

PARTS = {"controller": 1, "webhook": 2}


def test_one_command_installs_it_and_all_its_pods_become_ready(cluster: Cluster) -> None:
    for reference in (images.OPERATOR, images.CALIBRATION):
        cluster.push(reference)
    cluster.plane.create_namespace(NAMESPACE)
    cluster.plane.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    cluster.helm("install")
    for part, count in PARTS.items():
        cluster.rolled_out(f"joulecast-{part}", NAMESPACE)
        assert cluster.status("deployment", f"joulecast-{part}", NAMESPACE)["readyReplicas"] == count


@pytest.mark.parametrize("part", PARTS)
def test_its_processes_have_no_rights_on_their_machine(cluster: Cluster, part: str) -> None:
    inside = ("exec", f"deployment/joulecast-{part}", "-n", NAMESPACE, "--", "python3", "-c")
    program = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
try:
    open("/written", "w")
    written = True
except OSError:
    written = False
print(json.dumps({"uid": os.getuid(), "capabilities": status["CapEff"].strip(), "seccomp": status["Seccomp"].strip(),
                  "no new privileges": status["NoNewPrivs"].strip(), "writes": written}))
"""
    found = json.loads(cluster.plane.kubectl(*inside, program).stdout)
    filtered = "2"  # SECCOMP_MODE_FILTER, proc(5)
    restricted = {"capabilities": "0" * 16, "seccomp": filtered, "no new privileges": "1", "writes": False}
    assert found == {"uid": 65532, **restricted}


def test_the_operators_image_has_no_torch(cluster: Cluster) -> None:
    inside = ("exec", "deployment/joulecast-controller", "-n", NAMESPACE, "--", "python3", "-c", "import torch")
    done = cluster.plane.kubectl(*inside, check=False)
    assert "No module named 'torch'" in done.stderr
