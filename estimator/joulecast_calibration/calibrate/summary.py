"""The state of a calibration as a small JSON file that is always complete when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from joulecast.units import rounded
from joulecast_calibration.files import write_whole
from joulecast_calibration.measure.report.smoke import Finding

KIND, SCHEMA_VERSION = "calibration-summary", 1
PREFIX = "joulecast-calibration: "
"""Prefix of the summary on the last line of standard output."""
MOST_BYTES = 64 * 1024  # what fits a Kubernetes ConfigMap with ease
Phase = Literal["measuring", "fitting", "done", "failed"]

_STATES = {"holds": "ok", "fails": "FAIL", "unknown": "?"}
_DIGITS = 6
_SAID = 500  # characters of one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationState:
    """State of a calibration; errors are shares.

    - ``progress``: from 0 to 1.
    - ``verdict``: results of the checks of the rows.
    - ``held_out``, ``against``: errors of the new and of the old profile on the same held-out rows.
    - ``learning``: error on rows that were not fitted, by number of fitted layers.
    - ``better``: whether the new profile replaces the old one; None until that is known.
    - ``says``: the reason for ``better``.
    """

    phase: Phase
    progress: float
    message: str
    simulated: bool = False
    accelerator: str | None = None
    runtime: str = "torch-eager"
    rows: int = 0
    networks: int = 0
    layers: int = 0
    verdict: tuple[Mapping[str, str], ...] = ()
    held_out: Mapping[str, float] | None = None
    against: Mapping[str, float] | None = None
    learning: tuple[Mapping[str, Any], ...] = ()
    better: bool | None = None
    says: str = ""
    profile_digest: str | None = None
    kind: str = field(default=KIND, init=False)
    schema_version: int = field(default=SCHEMA_VERSION, init=False)

    def to_json(self) -> str:
        """Return one line of JSON of at most ``MOST_BYTES``; a longer verdict is cut."""
        text = _line(asdict(self))
        checks = list(self.verdict)
        while len(text.encode()) > MOST_BYTES and checks:
            checks.pop()
            text = _line(asdict(self) | {"verdict": checks})
        return text

    def write(self, path: Path | None) -> None:
        if path is not None:
            write_whole(path, self.to_json() + "\n")


def verdict_of(findings: Sequence[Finding]) -> tuple[Mapping[str, str], ...]:
    return tuple({"name": each.name, "state": _STATES[each.outcome], "says": each.figure[:_SAID]} for each in findings)


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(rounded(document, _DIGITS), ensure_ascii=False, allow_nan=False)
