"""A folder for PYTHONPATH whose ``sitecustomize`` gives every Python process the handmade suite."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]

_CODE = """
import sys
sys.path[1:1] = [{estimator!r}, {root!r}]
from joulecast_calibration import suite
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite
made = HandmadeSuite({networks}, {layers})
suite.committed = lambda: made
"""


def environment(folder: Path, *, networks: int = 12, layers: int = 60, more: str = "") -> dict[str, str]:
    """Variables for a process that knows the handmade suite and nothing else; ``more``: code that it runs first."""
    folder.mkdir(parents=True, exist_ok=True)
    code = more + _CODE.format(estimator=str(ROOT / "estimator"), root=str(ROOT), networks=networks, layers=layers)
    (folder / "sitecustomize.py").write_text(code)
    return {**os.environ, "PYTHONPATH": str(folder)}
