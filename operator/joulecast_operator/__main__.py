"""Run a process of the operator: `python -m joulecast_operator COMMAND [--FLAG VALUE …]`; `COMMANDS` lists them."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from joulecast_operator import logs, settings

log = logging.getLogger(__name__)


def controller(chosen: settings.Settings) -> None:
    """Run the controller."""
    from joulecast_operator.controller import run

    run(chosen)


def webhook(chosen: settings.Settings) -> None:
    """Run the admission webhook."""
    from joulecast_operator.webhook import run

    run(chosen)


def null_outputs(chosen: settings.Settings) -> None:
    """Remove joulecast's annotations from all workloads that it watches, as before an uninstall."""
    from joulecast_operator.api.kinds import DEPLOYMENTS
    from joulecast_operator.api.objects import Key
    from joulecast_operator.cluster import writer
    from joulecast_operator.cluster.client import Cluster

    async def clean() -> int:
        cluster = Cluster(concurrency=chosen.api_requests)
        own = Key(kind=DEPLOYMENTS.kind, namespace=chosen.namespace, name=chosen.deployment)
        try:
            return await writer.null_outputs(cluster, own if chosen.deployment else None, chosen.namespaces)
        finally:
            await cluster.close()

    count = asyncio.run(clean())
    log.info("removed joulecast's annotations from %d workloads", count)


def trial(chosen: settings.Settings) -> None:
    """Ask the installed controller for a forecast and show it, as `helm test` does."""
    from joulecast_operator.trial import run

    run(chosen)


COMMANDS: Final[Mapping[str, Callable[[settings.Settings], None]]] = {
    "controller": controller,
    "webhook": webhook,
    "null-outputs": null_outputs,
    "trial": trial,
}


def main(arguments: list[str]) -> None:
    """Run the command that ``arguments`` name first, with the settings of the others. Ends the program on an error."""
    if not arguments or arguments[0] not in COMMANDS:
        sys.exit(f"usage: python -m joulecast_operator {{{','.join(COMMANDS)}}} [--help]")
    chosen = settings.load(arguments[1:], os.environ)
    logs.configure(chosen.log_level)
    try:
        COMMANDS[arguments[0]](chosen)
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        log.critical("%s", ended.code)  # Python itself would print it as plain text, not as JSON
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
