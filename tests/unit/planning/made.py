"""Candidates made by hand."""

from __future__ import annotations

from typing import Any

from joulecast.planning.candidates import Candidate
from joulecast.planning.settings import Setting
from joulecast.units import Joules, Seconds, Watts


def setting(accelerator: str = "NVIDIA-H200", size: int = 8, **other: Any) -> Setting:
    return Setting(
        **{"runtime": "torch-eager", "precision": "default", "batch_size": size, **other}, accelerator=accelerator
    )


def candidate(
    joules: float, width: float = 0.1, own: Setting | None = None, seconds: float = 0.01, **other: Any
) -> Candidate:
    return Candidate(
        setting=own or setting(),
        unit="inference",
        joules=Joules(joules),
        log_half_width=width,
        latency_seconds=Seconds(seconds),
        time_to_first_token_seconds=Seconds(0.0),
        inter_token_latency_seconds=Seconds(0.0),
        average_power_watts=Watts(100.0),
        origin="transferred",
        **other,
    )
