"""Whether the kernel lets a process leave the network, asked once in a process of its own:
`python -m joulecast_operator.isolation` ends with 0 where it does."""

from __future__ import annotations

import asyncio
import logging
import sys

from joulecast_operator.sandbox import without_network

log = logging.getLogger(__name__)


async def checked() -> bool:
    """Whether profilers have no network; says in the log, once, what stands in its place where they have."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "joulecast_operator.isolation")
    isolated = await process.wait() == 0
    if not isolated:
        log.warning(
            "the kernel does not let the profiler leave the network: models are read with the network in reach, and"
            " only an audit hook keeps them from it; allow unprivileged user namespaces on this node, or deny the"
            " controller's pod all traffic but that to the API server and the registries by a NetworkPolicy"
        )
    return isolated


if __name__ == "__main__":
    sys.exit(not without_network())
