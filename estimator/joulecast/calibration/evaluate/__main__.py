"""``python -m joulecast.calibration.evaluate --data DIR``: score every measured set of a data folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import JoulecastError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the scores; 1 and one sentence on standard error if there is nothing to score."""
    parser = argparse.ArgumentParser(
        prog="python -m joulecast.calibration.evaluate", description="Score forecasts against measured networks."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument("-o", "--output", choices=("table", "json", "csv"), default="table")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write the accuracy page there")
    chosen = parser.parse_args(arguments)
    from joulecast.calibration.evaluate.protocol import evaluate
    from joulecast.calibration.evaluate.report import as_csv, as_json, as_page, as_table

    try:
        found = evaluate(chosen.data)
    except JoulecastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print({"table": as_table, "json": as_json, "csv": as_csv}[chosen.output](found), end="")
    if chosen.page:
        chosen.page.write_text(as_page(found), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
