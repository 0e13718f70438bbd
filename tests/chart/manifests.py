"""The manifests that the chart renders for each set of values; `python -m tests.chart.manifests` writes them anew."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.harness import binaries
from tests.harness.installation import CHART

FOLDER: Final = Path(__file__).parent
VALUES: Final = {path.stem: path for path in sorted((FOLDER / "values").glob("*.yaml"))}
"""The file of each set of values."""


def rendered(name: str, helm: str = "helm") -> str:
    """Return what the program ``helm`` renders for a set of values, definitions and all."""
    command = [str(binaries.program(helm)), "template", "joulecast", str(CHART), "-n", "joulecast"]
    done = subprocess.run([*command, "-f", str(VALUES[name])], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept(manifests: str) -> str:
    """Return manifests without definitions and dashboard, which are compared elsewhere, by their templates."""
    parts = [part.strip() for part in manifests.split("---\n") if part.strip() and not _is_elsewhere(part)]
    return "".join(f"---\n{part}\n" for part in sorted(parts))


def file_of(name: str) -> Path:
    """Return the file with the kept manifests of a set of values."""
    return FOLDER / "manifests" / f"{name}.yaml"


def _is_elsewhere(part: str) -> bool:
    return "\nkind: CustomResourceDefinition\n" in part or "\n  joulecast.json: |-\n" in part


def main() -> None:
    """Write all kept manifests."""
    for name in VALUES:
        file_of(name).write_text(kept(rendered(name)))


if __name__ == "__main__":
    main()
