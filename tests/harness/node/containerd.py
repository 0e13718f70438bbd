"""containerd with runc, as a kubelet needs it: it runs pods, pulls images and mounts image volumes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.harness import binaries
from tests.harness.node import network
from tests.harness.node.isolation import STATE
from tests.harness.processes import Process

PAUSE = "localhost/pause:1"
SOCKET = STATE / "containerd" / "containerd.sock"
CONFIGURATION = """
version = 3
root = "{directory}/root"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{directory}/registries"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true     # for a root without CAP_SYS_RESOURCE, who cannot lower it
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{directory}/network"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"""


class Containerd:
    """containerd as a `process`; what it pulled lies below `directory`, its state where the namespaces end it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        network.write_plugins(directory / "network")
        configuration = directory / "containerd.toml"
        configuration.write_text(self._configuration())
        program = binaries.program("containerd")
        self.process = Process(
            "containerd",
            [program, "--config", configuration],
            directory=directory,
            # it finds its shim on PATH
            environment={**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
            is_ready=lambda: self._ctr("version").returncode == 0,
        )

    def trust(self, registry: str) -> None:
        """Have images of `registry`, HOST:PORT, pulled over plain HTTP."""
        folder = self.directory / "registries" / registry
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(f'server = "http://{registry}"\n')

    def load(self, layout: Path, name: str) -> None:
        """Import the image of an OCI layout folder, which has the tag of `name`. Raises `CalledProcessError`."""
        archive = shutil.make_archive(str(self.directory / layout.name), "tar", layout)
        self._ctr("-n", "k8s.io", "image", "import", "--base-name", name.rpartition(":")[0], archive).check_returncode()

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(binaries.program("ctr")), "--address", str(SOCKET), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            directory=self.directory,
            state=STATE / "containerd",
            socket=SOCKET,
            pause=PAUSE,
            plugins=binaries.program("bridge").parent,
            runc=shutil.which("runc"),
        )
