"""Waiting for what comes about by itself, on a machine that may be many times slower than ours, and busy."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 600.0  # of what takes a second or two; what comes about is seen at once, so only failures wait
POLL_SECONDS = 0.05


def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether ``condition`` comes to hold within ``seconds``; it is asked once at least, and after the time once more.

    For states that last: one that passes may be over before it is looked at again.
    """
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= deadline
        if condition():
            return True
        if late:
            return False
        time.sleep(POLL_SECONDS)
