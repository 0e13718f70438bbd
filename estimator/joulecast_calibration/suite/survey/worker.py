"""Trace the architectures that standard input names: ``python -m joulecast_calibration.suite.survey.worker``.

Each name is answered with a line of JSON. The process ends with its input, so that it never outlives its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_SECONDS = 180
"""Limit of the processor time of one architecture, the same on a busy machine; the slowest takes a tenth of it."""


def main() -> None:
    """Answer each name on standard output; redirect what libraries print to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from joulecast.readers.named import entries
    from joulecast_calibration.suite.survey.surveyor import Surveyor, failure

    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)  # tracing computes nothing, and the other worker has the other core
    known = {entry.recorded: entry for entry in entries()}
    surveyor = Surveyor()
    for line in sys.stdin:
        entry = known[line.strip()]
        try:
            with at_most(LONGEST_SECONDS):
                found = surveyor.survey(entry)
        except Exception as error:
            found = failure(entry, error)
        answers.write(json.dumps(found) + "\n")
        answers.flush()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block once it has taken ``seconds`` of this process's processor time."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s of processor time")

    signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def end_with(parent: int) -> None:
    """End this process when the process ``parent`` ends, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
