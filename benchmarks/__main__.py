"""``python -m benchmarks [NAME …]``: run all of ``SECTIONS`` or those named, and write each table into
docs/performance.md.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; what is around it is written by hand.
"""

from __future__ import annotations

import importlib
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
SECTIONS = (
    "walk",
    "profiling",
    "tracing",
    "fitting",
    "forecasting",
    "images",
    "serving",
    "planning",
    "cluster",
    "hub",
    "scale",
    "decisions",
)


def stamp() -> str:
    with Path("/proc/cpuinfo").open() as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"Python {platform.python_version()}, {model}, {datetime.now(tz=UTC):%Y-%m-%d}."


def write(name: str, table: str) -> None:
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    page, replaced = pattern.subn(lambda match: f"{match[1]}{table}\n\n{stamp()}\n{match[2]}", PAGE.read_text())
    if not replaced:
        raise SystemExit(f"{PAGE} has no place <!-- {name} --> for this table; add the two markers.")
    PAGE.write_text(page)


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown:
        raise SystemExit(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(SECTIONS)}.")
    for name in names or SECTIONS:
        table = importlib.import_module(f"benchmarks.{name}").section()
        print(table, flush=True)
        write(name, table)


if __name__ == "__main__":
    main(sys.argv[1:])
