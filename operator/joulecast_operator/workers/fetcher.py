"""Read registries and the hub in a worker process: `python -m joulecast_operator.workers.fetcher SECONDS MEMORY_BYTES`.

The process does not parse models. A job ``resolve`` returns the present digest of a reference, a job ``fetch`` the
model's skeleton.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import fields
from typing import Any, Final

from joulecast import sources
from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources.registries.address import DENIED_NETWORKS
from joulecast.sources.registries.object_access import ObjectAccess
from joulecast.sources.registries.proxies import Proxies
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.sandbox import WorkerLimits, serve

log = logging.getLogger(__name__)

_WARM: Final = (
    "joulecast.sources.registries.registry", "joulecast.sources.hubs.hub", "joulecast.sources.facts.fetching",
    "joulecast.sources.objects.bucket", "zstandard", "encodings.idna",
)  # fmt: skip


def work(header: Header, _: bytes) -> tuple[Header, bytes]:
    """Do one job. Raises the errors of ``joulecast.sources``."""
    try:
        return _done(header)
    except ModelFetchError as error:
        if isinstance(error.__cause__, ModelFetchError):  # only the log has the cause, which tells about the network
            hidden = error.__cause__
            log.warning(
                "a registry could not be used: %s", hidden, extra={"reason": hidden.reason, "image": header["image"]}
            )
        raise


def _done(header: Header) -> tuple[Header, bytes]:
    access = access_of(header["access"])
    budget = sources.FetchBudget(fetched_bytes=header["fetched_bytes"], wall_seconds=header["wall_seconds"])
    if header["operation"] == "resolve":
        digest = sources.resolve(
            header["image"], path=header.get("path"), access=access, platform=header["platform"], budget=budget
        )
        return {"digest": digest}, b""
    return _fetch(header, access, budget)


def access_of(plain: dict[str, Any]) -> sources.RegistryAccess:
    """Build a RegistryAccess from its fields as JSON; ``denied_networks`` extend the default ones, ``objects`` is an
    object.
    """
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    if isinstance(plain.get("objects"), dict):
        values["objects"] = ObjectAccess(**plain["objects"])
    values["denied_networks"] = DENIED_NETWORKS + tuple(values.get("denied_networks", ()))
    return sources.RegistryAccess(
        **values, proxies=Proxies.of(os.environ), hides_private_addresses=True, local_paths=False
    )


def _fetch(header: Header, access: sources.RegistryAccess, budget: sources.FetchBudget) -> tuple[Header, bytes]:
    fetched = sources.fetch(
        header["image"],
        path=header["path"],
        format=header["format"],
        budget=budget,
        access=access,
        platform=header["platform"],
    )
    if fetched.digest != header["digest"]:
        raise ModelReferenceError(
            f"{header['image']} changed while it was read, and is read again", reason="ImageChanged", transient=True
        )
    plain = {field.name: getattr(fetched, field.name) for field in fields(fetched) if field.name != "skeleton"}
    return {"model": plain}, fetched.skeleton


def main(arguments: list[str]) -> None:
    """Serve jobs with the limits that ``arguments`` give."""
    seconds, memory_bytes = arguments
    serve(work, WorkerLimits(seconds=float(seconds), memory_bytes=int(memory_bytes)), isolated=False, warm=_WARM)


if __name__ == "__main__":
    main(sys.argv[1:])
