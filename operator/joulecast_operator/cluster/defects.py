"""Classify the errors of reconciles: the reason to count each under, whether it is a defect, and the message of one."""

from __future__ import annotations

from typing import Final

import aiohttp

from joulecast import defects
from joulecast.errors import JoulecastError
from joulecast_operator.cluster.client import ApiError

UNAVAILABLE: Final = "ApiUnavailable"
REFUSED: Final = "ApiRefused"

_WHERE: Final = "please report it with the traceback that the controller's log has under {id}"


def reason_of(error: Exception) -> str:
    """Return the reason under which an error is counted."""
    if isinstance(error, JoulecastError):
        return error.reason
    if isinstance(error, ApiError):
        return REFUSED if error.lasting else UNAVAILABLE
    return UNAVAILABLE if isinstance(error, (aiohttp.ClientError, TimeoutError)) else defects.REASON


def is_defect(error: Exception) -> bool:
    """Tell whether joulecast itself is the cause, and not the object, the API server or the network."""
    return reason_of(error) == defects.REASON


def sentence(error: Exception) -> str:
    """Return the message of a condition for a defect; it names the id that ``id_of`` puts into the log line."""
    return defects.sentence(error, where=_WHERE)


def id_of(error: Exception) -> dict[str, str]:
    """Return the id of a defect as a field of the log line with its traceback; {} for other errors."""
    return {"defect": defects.defect_id(error)} if is_defect(error) else {}
