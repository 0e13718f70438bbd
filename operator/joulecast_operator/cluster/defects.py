"""Errors that a reconcile ends with: which of them are defects of joulecast, what to say of them, and how to count."""

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
    """Return the reason that an error is counted under."""
    if isinstance(error, JoulecastError):
        return error.reason
    if isinstance(error, ApiError):
        return REFUSED if error.lasting else UNAVAILABLE
    return UNAVAILABLE if isinstance(error, (aiohttp.ClientError, TimeoutError)) else defects.REASON


def is_defect(error: Exception) -> bool:
    """Tell whether joulecast itself is at fault, and not the object, the API server or the way to it."""
    return reason_of(error) == defects.REASON


def sentence(error: Exception) -> str:
    """Return the message of a condition for a defect; ``id_of`` gives the id of its log line."""
    return defects.sentence(error, where=_WHERE)


def id_of(error: Exception) -> dict[str, str]:
    """Return fields of the log line that holds the error's traceback."""
    return {"defect": defects.defect_id(error)} if is_defect(error) else {}
