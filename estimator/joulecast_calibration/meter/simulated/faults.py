"""What can go wrong with a device and its meter, each at a time of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

Span = tuple[float, float]
"""From, until: seconds of the device's time."""


def inside(at: float, spans: tuple[Span, ...]) -> bool:
    return any(start <= at < end for start, end in spans)


def kill() -> None:
    """End this process as the kernel would: no handler, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProcess:
    """Another process's kernels from ``start`` until ``end``: they add ``watts`` and stretch ours by ``slowdown``.

    ``visible``: whether the driver lists the process.
    """

    start: float
    end: float = float("inf")
    watts: float = 60.0
    slowdown: float = 1.5
    visible: bool = True
    pid: int = 4242


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """``wrap_joules``: the counter's modulus. ``start_joules``: its value at 0, else drawn. ``resets``: when it
    falls to 0. ``frozen``: readings repeat, and are made up for afterwards. ``lost``: energy that is never counted.
    ``missing_share``: probability that an update is late by a period. ``raising``: every read raises, transient or not
    by ``transient``. ``end_at_call``: the number of the call to the device at which ``end`` runs.
    """

    wrap_joules: float | None = None
    start_joules: float | None = None
    resets: tuple[float, ...] = ()
    frozen: tuple[Span, ...] = ()
    lost: tuple[Span, ...] = ()
    missing_share: float = 0.0
    raising: tuple[Span, ...] = ()
    transient: bool = True
    foreign_processes: tuple[ForeignProcess, ...] = ()
    end_at_call: int | None = None
    end: Callable[[], None] = kill
