"""What keeps a profiler from the network on this kernel, asked once in a process of its own:
`python -m joulecast_operator.workers.isolation` puts the barriers up and prints the names of those that stand."""

from __future__ import annotations

import asyncio
import logging
import sys

from joulecast_operator.workers.sandbox import AUDIT_HOOK, BARRIERS, isolate

log = logging.getLogger(__name__)


async def checked() -> tuple[str, ...]:
    """Return the barriers around profilers, strongest first, and log them once; as a warning if only Python's own is
    left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "joulecast_operator.workers.isolation", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    words = printed.decode(errors="replace").split() if process.returncode == 0 else []
    found = tuple(barrier for barrier in BARRIERS if barrier in {*words, AUDIT_HOOK})
    if found == (AUDIT_HOOK,):
        log.warning(
            "the kernel neither lets the profiler leave the network nor filters its system calls: models are read with"
            " the network in reach, and only an audit hook keeps them from it; allow seccomp filters or unprivileged"
            " user namespaces on this node, or deny the controller's pod all traffic but that to the API server and"
            " the registries by a NetworkPolicy"
        )
    else:
        log.info("the profiler is kept from the network by: %s", ", ".join(found))
    return found


if __name__ == "__main__":
    print(*isolate())
