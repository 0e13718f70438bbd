"""Rules of a window: how long it is, when it is accurate enough, and how often values are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one window. ``Policy.fixed(8.0)`` is the 8 s window that shows the bias of short ones."""

    fewest_edges: int = 5
    shortest_seconds: float = 0.6  # six updates of the usual 100 ms (Yang, Adamek, Armour: update period)
    longest_seconds: float = 4.0
    relative_error: float = 0.01
    largest_step: float = 0.05  # of an execution's joules or seconds, from what was cut off: warming adds less
    largest_drift: float = 0.02  # twice the error allowed: a drift of 2 % moves a window's mean by at most 1 %
    aliasing_share: float = 0.105  # of the counter's period: executions of over a tenth, which neither is known to the
    # percent, can keep step with a sensor that samples
    largest_phase_gap: float = 0.25  # of an execution unseen: A100 and H100 sensors look 25 % of the time (Yang et al.)
    single_seconds: float = 3.0  # an execution longer than this is measured once
    queue_seconds: float = 0.05  # work pending: 50 times the longest sleep of the loop, so that no gap opens
    chunk_seconds: float = 0.005  # work enqueued at once: how long a load that runs synchronously may blind the meter
    poll_seconds: float = 0.001  # 0.1 % of a one-second window
    reading_share: float = 0.1  # of the time near an edge that reading the counter may take; 1 % of all time
    looking_share: float = 0.01  # of all time that reading the state, and the power beside the counter, may take each
    state_seconds: float = 0.1  # the driver refreshes power and clocks no faster on most cards
    patience_seconds: float = 120.0  # a load that completes nothing for so long has stopped
    attempts: int = 3  # windows tried when a counter is reset in them

    @classmethod
    def fixed(cls, seconds: float) -> Policy:
        """Return a policy of windows of exactly this length, even if they are accurate earlier."""
        return cls(shortest_seconds=seconds, longest_seconds=seconds)
