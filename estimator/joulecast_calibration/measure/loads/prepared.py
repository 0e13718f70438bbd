"""A load that is ready to be measured. No torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulecast_calibration.meter.sensor import Load
from joulecast_calibration.rows.graphs import PackedGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A load that has run once. ``columns``: what its row says beside the window. ``graph``: what was traced of it;
    None where nothing was."""

    load: Load
    columns: Mapping[str, Any]
    graph: PackedGraph | None = None
