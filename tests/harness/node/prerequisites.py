"""Says what a machine lacks to run a node: root, a kernel with namespaces and overlayfs, and programs of the system."""

from __future__ import annotations

import os
import platform
import shutil

from tests.harness.steps import StepError

# program -> the Debian package that brings it
PACKAGES = {
    "buildah": "buildah",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "runc": "runc",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def check(programs: tuple[str, ...] = tuple(PACKAGES)) -> None:
    """Return if a node can run here. Raises `StepError` that names all that is missing, and how to get it."""
    if platform.system() != "Linux":
        raise StepError(f"a node runs on Linux alone, and this is {platform.system()}")
    if os.geteuid() != 0:
        raise StepError("a node needs root, for namespaces, mounts and cgroups: run `sudo make e2e`")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        raise StepError(f"missing: {', '.join(missing)}; on Debian: apt-get install --no-install-recommends {packages}")
