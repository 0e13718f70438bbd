"""Find out what separates profilers from the network on this kernel, once, in a separate process.

`python -m joulecast_operator.workers.isolation` sets up the barriers and prints the names of those that work.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from joulecast_operator.workers.sandbox import AUDIT_HOOK, BARRIERS, isolate

log = logging.getLogger(__name__)


async def checked() -> tuple[str, ...]:
    """Return the barriers between profilers and the network, the strongest first, and log them.

    The line is a warning if there is only Python's audit hook.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "joulecast_operator.workers.isolation", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    words = printed.decode(errors="replace").split() if process.returncode == 0 else []
    found = tuple(barrier for barrier in BARRIERS if barrier in {*words, AUDIT_HOOK})
    if found == (AUDIT_HOOK,):
        log.warning(
            "the kernel provides neither a network namespace nor a filter of system calls for the profiler, so that"
            " only an audit hook separates the models that it reads from the network: allow seccomp filters or"
            " unprivileged user namespaces on this node, or deny the controller's pod all traffic but to the API server"
            " and the registries by a NetworkPolicy"
        )
    else:
        log.info("the profiler is separated from the network by: %s", ", ".join(found))
    return found


if __name__ == "__main__":
    print(*isolate())
