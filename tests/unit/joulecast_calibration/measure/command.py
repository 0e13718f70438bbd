"""The measuring command as a process of its own, on the simulated device and the handmade suite."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def written(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """Every whole line of the folder's journals as it stands there."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().split(b"\n")[:-1]]
    rows = [json.loads(line) for line in lines if line]
    return [row for row in rows if not kinds or row["kind"] in kinds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """Runs ``python -m joulecast_calibration.measure`` on ``folder``."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, simulate: str = "hopper") -> subprocess.CompletedProcess[str]:
        command = [*self.command(*arguments), *(["--simulate", simulate] if simulate else [])]
        return subprocess.run(
            command, env=dict(self.environment), text=True, capture_output=True, timeout=1800, check=False
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "joulecast_calibration.measure", "--resume", str(self.folder), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [*self.command(*arguments), "--simulate"]
        return subprocess.Popen(
            command, env=dict(self.environment), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def rows(self, *kinds: str) -> list[dict[str, Any]]:
        return written(self.folder, *kinds)

    def measured(self) -> list[dict[str, Any]]:
        return [row for row in self.rows("layer", "network", "window") if row.get("joules")]

    def keys(self) -> Counter[str]:
        """How often each configuration was measured, anchors aside."""
        return Counter(row["key"] for row in self.measured() if not row["anchor"])
