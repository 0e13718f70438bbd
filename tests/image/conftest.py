"""The image that is looked at, mounted as it runs on a node: its root read-only, /tmp in memory, no rights."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot", **os.environ}
# In namespaces of its own: the root read-only, /tmp in memory, then a user whom the kernel leaves no capability.
RUN = """
mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && mount -t tmpfs tmpfs "$0/tmp" && mount -t proc proc "$0/proc"
user=$1 && shift
exec setpriv --no-new-privs chroot --userspec="$user" "$0" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image and the folder where its files lie."""

    reference: str
    root: Path
    config: dict[str, Any]

    def run(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command as the kubelet would with the chart's security context."""
        user = self.config["User"]
        environment = ["env", "-i", *self.config["Env"]]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc"]
        isolated = [*namespaces, "sh", "-c", RUN, self.root, user, *environment, *command]
        return subprocess.run(isolated, input=stdin, capture_output=True, timeout=600, check=False)

    def python(self, program: str) -> str:
        done = self.run("python", "-c", program)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image that `make test-image` built, or the one that IMAGE names."""
    reference = os.environ["IMAGE"]
    config = json.loads(buildah("inspect", "--type", "image", reference))["OCIv1"]
    container = buildah("from", "--pull-never", reference)
    try:
        yield Image(reference=reference, root=Path(buildah("mount", container)), config=config["config"])
    finally:
        buildah("rm", container)
