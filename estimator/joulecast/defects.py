"""Programming errors of joulecast itself: an id connects the message to the user with the traceback in the log."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import PurePath

from joulecast.errors import InternalInconsistencyError, JoulecastError

REASON = InternalInconsistencyError.default_reason

_ID_DIGITS = 8
_TEXT_CHARACTERS = 200


def is_defect(error: BaseException) -> bool:
    """Decide whether the error is a mistake of joulecast, by its type or by its own reason."""
    return not isinstance(error, JoulecastError) or error.reason == REASON


def defect_id(error: BaseException) -> str:
    """Return 8 hexadecimal digits over the error's type and the lines of code that it passed.

    The same defect has the same id each time, on every machine that runs the same version.
    """
    frames = traceback.extract_tb(error.__traceback__)
    passed = [f"{PurePath(frame.filename).name}:{frame.name}:{frame.lineno}" for frame in frames]
    return hashlib.sha256("\n".join([type(error).__qualname__, *passed]).encode()).hexdigest()[:_ID_DIGITS]


def sentence(error: BaseException, *, where: str) -> str:
    """Return the message for the user. ``where``: how to see the traceback, with ``{id}`` in the id's place."""
    said = " ".join(str(error).split())[:_TEXT_CHARACTERS]
    kind = type(error).__name__
    found = f"{kind}: {said}" if said else kind
    return f"this is a defect of joulecast, not of the input ({found}): {where.format(id=defect_id(error))}"
