"""The kubelet and kube-proxy of the one node, with the configurations and certificates that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.harness import binaries, http
from tests.harness.control_plane import ControlPlane
from tests.harness.node import network
from tests.harness.node.containerd import SOCKET
from tests.harness.node.isolation import CGROUP
from tests.harness.ports import free_port
from tests.harness.processes import Process

NODE = "node"
USER, GROUP = f"system:node:{NODE}", "system:nodes"


def kubelet(plane: ControlPlane, directory: Path) -> Process:
    """The kubelet, not yet started; pods and their logs lie below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    health = free_port()
    configuration = directory / "kubelet.yaml"
    configuration.write_text(yaml.safe_dump(_configuration(plane, directory, health)))
    identity = plane.authority.client("kubelet", user=USER, group=GROUP)
    flags = {
        "config": configuration,
        "kubeconfig": plane.client_kubeconfig("kubelet", identity),
        "root-dir": directory / "pods",
        "cert-dir": directory / "certificates",
        "hostname-override": NODE,
        "node-ip": network.ADDRESS,
    }
    options = [f"--{name}={value}" for name, value in flags.items()]
    ready = lambda: http.answers(f"http://127.0.0.1:{health}/healthz")  # noqa: E731
    return Process("kubelet", [binaries.program("kubelet"), *options], directory=directory, is_ready=ready)


def kube_proxy(plane: ControlPlane, directory: Path) -> Process:
    """kube-proxy, not yet started: it has iptables lead the addresses of Services to pods."""
    directory.mkdir(parents=True, exist_ok=True)
    health = free_port()
    identity = plane.authority.client("kube-proxy", user="system:kube-proxy")
    flags = {
        "kubeconfig": plane.client_kubeconfig("kube-proxy", identity),
        "hostname-override": NODE,
        "cluster-cidr": network.POD_NETWORK,
        "proxy-mode": "iptables",
        "bind-address": network.ADDRESS,
        "metrics-bind-address": f"127.0.0.1:{free_port()}",
        "healthz-bind-address": f"127.0.0.1:{health}",
        "conntrack-max-per-core": 0,  # leaves the machine's limit alone
    }
    options = [f"--{name}={value}" for name, value in flags.items()]
    ready = lambda: http.answers(f"http://127.0.0.1:{health}/healthz")  # noqa: E731
    return Process("kube-proxy", [binaries.program("kube-proxy"), *options], directory=directory, is_ready=ready)


def _configuration(plane: ControlPlane, directory: Path, health: int) -> dict[str, Any]:
    serving = plane.authority.server("kubelet-serving", (NODE, network.ADDRESS))
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "address": network.ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": health,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.authority.bundle)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "podLogsDir": str(directory / "logs"),
        "resolvConf": "/dev/null",  # there is no way out of the namespace, and no DNS in it
        "syncFrequency": "10s",  # of mounted Secrets, too: their tests wait for it
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi"},
    }
