"""A machine that is a whole cluster: control plane, registry, and itself as the one node."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.harness.control_plane import ControlPlane
from tests.harness.node import isolation, network
from tests.harness.node.containerd import PAUSE, Containerd
from tests.harness.node.kubelet import NODE, kube_proxy, kubelet
from tests.harness.registry import Registry

READY_SECONDS = 300


class Node:
    """`plane`, `registry`, `containerd`, `kubelet` and `proxy`, each to be killed and restarted."""

    def __init__(self, directory: Path) -> None:
        """Prepare everything; for a process in namespaces of its own (`isolation.run`)."""
        isolation.prepared()
        network.set_up()
        self.plane = ControlPlane(directory / "plane", address=network.ADDRESS, pod_network=network.POD_NETWORK)
        self.registry = Registry(directory / "registry", address=network.ADDRESS)
        self.containerd = Containerd(directory / "containerd")
        self.containerd.trust(self.registry.host)
        self.kubelet = kubelet(self.plane, directory / "kubelet")
        self.proxy = kube_proxy(self.plane, directory / "kube-proxy")
        self._cleanup = ExitStack()

    def start(self, pause: Path) -> Self:
        """Start everything, with the image of sandboxes from the OCI layout `pause`."""
        plane = self.plane
        self._cleanup.callback(plane.stop)
        plane.run([plane.controller_manager, plane.scheduler])
        for process in (self.registry.process, self.containerd.process, self.kubelet, self.proxy):
            self._cleanup.callback(process.stop)
        self.registry.process.start()
        self.containerd.process.start()
        self.containerd.load(pause, PAUSE)
        self.kubelet.start()
        self.proxy.start()
        plane.kubectl("wait", "--for=create", f"node/{NODE}", f"--timeout={READY_SECONDS}s")
        plane.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", f"--timeout={READY_SECONDS}s")
        return self

    def stop(self) -> None:
        self._cleanup.close()
