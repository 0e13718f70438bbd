"""Answer a job that plans: what to run a model on, or where to cut it, as fields of a status.

The decision is ``joulecast.planning`` alone, so that a cluster, Python and the command line recommend the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.errors import NotCalibratedError
from joulecast.sources import FetchedModel
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.plans.choices import chosen
from joulecast_operator.workers.plans.cuts import cut
from joulecast_operator.workers.plans.jobs import Job, in_fields


def plan(header: Header, skeleton: bytes, ready: Mapping[int | None, bytes]) -> tuple[Header, dict[str, bytes]]:
    """Return the plan as fields of a status, and the profiles that were made for it, by batch size.

    Where no accelerator can be priced, the answer is ``failed`` with reason and message. Raises JoulecastError for a
    model or a workload that cannot be planned at all.
    """
    job = Job(header=header, fetched=FetchedModel(**header["model"], skeleton=skeleton), ready=ready, made={})
    try:
        found = cut(job) if "split" in job.question else chosen(job)
    except NotCalibratedError as error:
        found = {"failed": {"reason": error.reason, "message": in_fields(str(error))}}
    return found, job.made
