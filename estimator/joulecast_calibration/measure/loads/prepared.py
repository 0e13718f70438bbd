"""A load that is ready to be measured. torch is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulecast_calibration.meter.sensor import Load
from joulecast_calibration.rows.graphs import PackedGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A load that has run once.

    - ``columns``: columns of its row beside the window.
    - ``graph``: the traced graph; None where nothing was traced.
    """

    load: Load
    columns: Mapping[str, Any]
    graph: PackedGraph | None = None
