"""Fit every shipped profile from published sets and from this project's own rows.

Usage: ``python -m joulecast_calibration.fit --data DIR --out DIR``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import JoulecastError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the profiles; return 1 and print one sentence on standard error if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m joulecast_calibration.fit", description="Fit every profile that is shipped."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the profiles go")
    parser.add_argument(
        "--measured",
        type=Path,
        metavar="DIR",
        help="folder of our own rows, a subfolder a kind of card",
    )
    chosen = parser.parse_args(arguments)
    try:
        from joulecast_calibration.fit.profiles import write

        for path in write(chosen.data, chosen.out, chosen.measured):
            print(path)
    except JoulecastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
