"""DeviceFaults of a device and its meter, each at a time of its own."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]
"""Begin and end in seconds of the device's time."""


def inside(at: float, spans: tuple[Span, ...]) -> bool:
    return any(start <= at < end for start, end in spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProcess:
    """Another process's kernels from ``start`` until ``end``: they add ``watts`` and stretch ours by ``slowdown``.

    - ``visible``: whether the driver lists the process.
    """

    start: float
    end: float = float("inf")
    watts: float = 60.0
    slowdown: float = 1.5
    visible: bool = True
    pid: int = 4242


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFaults:
    """DeviceFaults of one device.

    - ``wrap_joules``: the counter's modulus.
    - ``start_joules``: the counter's value at 0, drawn if not given.
    - ``resets``: times when the counter falls to 0.
    - ``frozen``: periods in which readings repeat; the energy is added afterwards.
    - ``lost``: periods whose energy is never counted.
    - ``missing_share``: probability that an update is late by a period.
    - ``raising``: periods in which every read raises an error, transient if ``transient``.
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
