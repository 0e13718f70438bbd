"""Kills what its parent started and left behind, even when the parent was killed with SIGKILL.

A process of its own, on any POSIX system: it reads "+PID START" and "-PID" lines from its standard input, whose other
end the parent holds. At the end of that input it kills the processes (and their groups) that are still listed.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_lock = threading.Lock()
_reaper: "subprocess.Popen[bytes] | None" = None


def watch(pid: int) -> None:
    """Have the process group of `pid` killed when this process ends."""
    _tell(f"+{pid} {start_of(pid)}\n")


def forget(pid: int) -> None:
    """`pid` was ended in order."""
    _tell(f"-{pid}\n")


def start_of(pid: int) -> str:
    """When `pid` started, as the system writes it: with the pid, the identity of a process. Empty if it is gone."""
    try:
        # the fields after the command, which is in parentheses and may hold anything; the 22nd of all is the start time
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "-".join(found.stdout.split())


def kill_group(pid: int, start: str, number: int = signal.SIGKILL) -> None:
    """Signal the process group led by `pid`, if that is still the process that started at `start`."""
    if start and start_of(pid) == start:
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return


def _tell(line: str) -> None:
    global _reaper
    with _lock:
        if _reaper is None:
            command = [sys.executable, "-E", "-S", str(Path(__file__).resolve())]
            _reaper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        assert _reaper.stdin is not None
        _reaper.stdin.write(line.encode())
        _reaper.stdin.flush()


def _serve() -> None:
    watched: dict[int, str] = {}
    for line in sys.stdin:
        pid, _, start = line[1:].strip().partition(" ")
        if line.startswith("+"):
            watched[int(pid)] = start
        else:
            watched.pop(int(pid), None)
    for pid, start in watched.items():
        kill_group(pid, start)


if __name__ == "__main__":
    _serve()
