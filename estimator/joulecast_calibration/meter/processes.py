"""Find the foreign processes on a device, even where a container hides process ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_GENERATIONS = 64  # how far up a process's ancestors are followed: more than any real tree, and an end to a false one


class DeviceProcesses:
    """Tells this process and its descendants from the foreign processes on a device.

    NVML lists processes by the host's ids in many containers, so that this process is not found among them. An object
    made before this process has a context on the device then takes the first unknown id to appear for its own.
    """

    def __init__(self, *, process: int | None = None, proc: Path = Path("/proc")) -> None:
        self._self = os.getpid() if process is None else process
        self._proc = proc
        self._adopted: int | None = None

    def foreign_processes(self, listed: Sequence[int]) -> tuple[int, ...]:
        """Return the listed process ids that use the device and do not belong to this run, in order."""
        unknown = [process for process in listed if not self._is_own(process)]
        if len(unknown) < len(listed):
            return tuple(sorted(unknown))
        if unknown and self._adopted not in unknown:
            self._adopted = unknown[0]
        if self._adopted in unknown:
            unknown.remove(self._adopted)
        return tuple(sorted(unknown))

    def foreign_before_context(self, listed: Sequence[int]) -> tuple[int, ...]:
        """Return the same before this process has a context, when no unknown id can be its own."""
        return tuple(sorted(process for process in listed if not self._is_own(process)))

    def _is_own(self, process: int) -> bool:
        """Return whether it is this process or a descendant of it."""
        for _ in range(_GENERATIONS):
            if process == self._self:
                return True
            if process <= 1:
                return False
            process = self._parent(process)
        return False

    def _parent(self, process: int) -> int:
        try:
            stat = (self._proc / str(process) / "stat").read_text("utf-8", "replace")
        except OSError:
            return 0
        after_name = stat.rpartition(")")[2].split()  # proc(5): pid (comm) state ppid …; comm may hold anything
        return int(after_name[1]) if len(after_name) > 1 and after_name[1].isdigit() else 0
