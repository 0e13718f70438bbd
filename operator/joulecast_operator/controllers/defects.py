"""Write that joulecast itself failed into the status of the object on which it failed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from joulecast_operator.api.conditions import READY, USABLE, defect_status
from joulecast_operator.api.kinds import CALIBRATIONS, ESTIMATES, PLANS, PROFILES, SITES
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.calibrations.status import CALIBRATED
from joulecast_operator.cluster import defects
from joulecast_operator.cluster.writer import Writer

_SAID: Final = {
    kind.kind: (kind, condition)
    for kind, condition in (
        (ESTIMATES, READY),
        (PLANS, READY),
        (PROFILES, USABLE),
        (SITES, READY),
        (CALIBRATIONS, CALIBRATED),
    )
}
"""The kinds with a status of joulecast's, and the type of the condition that says a defect: the last one of each."""

log = logging.getLogger(__name__)


async def say_defect(key: Key, resource: Resource | None, error: Exception, writer: Writer) -> None:
    """Write into the last condition of ``resource`` that joulecast failed, because it would else still say that all is
    well. Nothing is written to an object that is gone, or of a kind without such a status."""
    if resource is None or key.kind not in _SAID:
        return
    kind, condition = _SAID[key.kind]
    try:
        status = defect_status(resource, condition, defects.sentence(error), now=datetime.now(UTC))
        await writer.status(kind, resource, status, warning=True)
    except Exception:
        log.exception("a defect cannot be written into the object's status", extra={"key": str(key)})
