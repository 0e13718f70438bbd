"""Test that nothing is left of a command in namespaces of its own, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.__main__ import DIRECTORY
from tests.e2e.cluster import processes
from tests.harness.environment import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(DIRECTORY not in os.environ, reason="needs namespaces of its own: make e2e")

RUN = """
import os, sys
from tests.harness.node import isolation
sys.exit(isolation.run(sys.argv[1:], environment=dict(os.environ)))
"""
PREPARE = "from tests.harness.node import isolation, network; isolation.prepared(); network.set_up()"


def isolated(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RUN, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_the_exit_code_is_the_commands() -> None:
    assert isolated("sh", "-c", "exit 7").wait() == 7


def test_the_machine_is_as_before() -> None:
    before = _machine()
    assert isolated(sys.executable, "-c", PREPARE).wait() == 0
    assert _machine() == before


def test_what_a_command_leaves_behind_is_ended_with_it() -> None:
    orphan = "2147483.1"
    assert isolated("sh", "-c", f"setsid sleep {orphan} & exit 0").wait() == 0
    assert processes("sleep", orphan) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_takes_all_its_processes_along(number: signal.Signals) -> None:
    orphan = f"2147483.{number.value}"
    process = isolated("sh", "-c", f"setsid sleep {orphan} & sleep {orphan}")
    assert eventually(lambda: len(processes("sleep", orphan)) == 2)
    process.send_signal(number)
    process.wait()
    assert eventually(lambda: processes("sleep", orphan) == [])


def _machine() -> tuple[str, str, list[str]]:
    """Mounts, kernel settings and cgroups as this process sees them."""
    settings = "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic", "/proc/sys/net/ipv4/ip_forward"
    cgroups = sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/joulecast-e2e"))
    return Path("/proc/self/mounts").read_text(), "".join(Path(path).read_text() for path in settings), cgroups
