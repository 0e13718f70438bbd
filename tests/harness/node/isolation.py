"""Runs a command as if on a machine of its own, and leaves nothing behind, however it ends.

The command gets namespaces for network, mounts and processes. The kernel ends all their processes, unmounts all their
mounts and removes their interfaces with the first process; what no namespace holds, the cgroups of pods, is removed
here. The kubelet would change settings of the whole machine: in the namespaces it sees the values that it wants.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.harness.processes import POLL_SECONDS
from tests.harness.steps import StepError

CGROUP = "joulecast-e2e"  # below it are the cgroups of all pods
CGROUPS = Path("/sys/fs/cgroup")
# Private to the namespaces: what programs write under /var, where paths such as /var/log/containers are fixed, and all
# of /run, with the sockets of containerd and the lock of iptables.
OVERLAID = Path("/var")
STATE = Path("/run")
# What the kubelet sets, in pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables) of Kubernetes 1.37
KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
# Of all pods together. By default they would weigh as much as one process of the machine (v1) or as any other cgroup
# (v2): on a busy machine pods would not start within their probes' time.
CPU_WEIGHTS = {"cpu.shares": 4 * 1024, "cpu.weight": 4 * 100}
# without it, a killed parent would leave all of them behind
TIED = ("setpriv", "--pdeathsig", "KILL")
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# The first process of a process namespace inherits orphans; the shell, unlike pytest, waits for them.
FIRST = ("sh", "-c", '"$@"; exit $?', "sh")
REMOVAL_SECONDS = 60.0


def run(command: Sequence[str | Path], *, environment: dict[str, str]) -> int:
    """Run `command` in new namespaces, and return its exit code when all its processes are gone.

    Ctrl-C reaches the command from the terminal, which then tidies up and ends; a SIGTERM ends everything at once.
    """
    with _signals():
        process = subprocess.Popen([*TIED, *UNSHARE, *FIRST, *map(str, command)], env=environment)
        try:
            return process.wait()
        finally:
            process.kill()
            process.wait()
            remove_cgroups()


def is_hidden(path: Path) -> bool:
    """Whether the namespaces have another folder in the place of one above `path`."""
    return any(path.resolve().is_relative_to(each) for each in (OVERLAID, STATE))


def prepared() -> None:
    """Make the namespaces of this process fit for a node."""
    _mount("-t", "tmpfs", "tmpfs", STATE)
    upper, work = STATE / "overlay" / "upper", STATE / "overlay" / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    _mount("-t", "overlay", "overlay", "-o", f"lowerdir={OVERLAID},upperdir={upper},workdir={work}", OVERLAID)
    for name, value in KERNEL_SETTINGS.items():
        pretended = STATE / "kernel" / name
        pretended.parent.mkdir(parents=True, exist_ok=True)
        pretended.write_text(f"{value}\n")
        _mount("--bind", pretended, Path("/proc/sys") / name)
    remove_cgroups()
    for hierarchy in _hierarchies():
        (hierarchy / CGROUP).mkdir()
        for name, weight in CPU_WEIGHTS.items():
            if (hierarchy / CGROUP / name).exists():
                (hierarchy / CGROUP / name).write_text(str(weight))


def remove_cgroups() -> None:
    """Remove the cgroups of pods, when their last processes are gone."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while not all(_is_removed(hierarchy / CGROUP) for hierarchy in _hierarchies()):
        if time.monotonic() > deadline:
            raise StepError(f"processes that nobody ends are left in cgroups named {CGROUP} below {CGROUPS}")
        time.sleep(POLL_SECONDS)


def _is_removed(cgroup: Path) -> bool:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not cgroup.exists()


def _hierarchies() -> list[Path]:
    """The one of cgroup v2, or those of v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in CGROUPS.iterdir() if not folder.is_symlink() and (folder / "cgroup.procs").exists()]


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Wait for the command after Ctrl-C, and run the `finally` clauses of this process at a SIGTERM."""

    def ended(number: int, _: object) -> None:
        sys.exit(128 + number)

    # handlers and not SIG_IGN, which the command would inherit
    before = signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
