"""The network of a node alone in its namespace: loopback, and the bridge to which pods are connected.

A default route that leads nowhere is there because kubelet and kube-proxy look for one.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ADDRESS = "10.244.0.1"  # of the node, on the bridge
POD_NETWORK = "10.244.0.0/16"
NODE_NETWORK = "10.244.0.0/24"  # the part of it that the controller manager gives to the first node
BRIDGE = "cni0"
FIRST_POD_ADDRESS = "10.244.0.10"


def set_up() -> None:
    """Make the bridge, and forward between pods and Services."""
    for command in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"address add {ADDRESS}/{NODE_NETWORK.rpartition('/')[2]} dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"route add default dev {BRIDGE}",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def write_plugins(directory: Path) -> None:
    """Write the configuration from which containerd connects pods by the CNI plugins `bridge` and `portmap`."""
    directory.mkdir(parents=True, exist_ok=True)
    addresses = {"type": "host-local", "ranges": [[{"subnet": NODE_NETWORK, "rangeStart": FIRST_POD_ADDRESS}]]}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isDefaultGateway": True, "hairpinMode": True, "ipam": addresses}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, portmap]}
    (directory / "10-bridge.conflist").write_text(json.dumps(plugins))
