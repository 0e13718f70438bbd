"""``python -m joulecast.calibration.fit --data DIR --out DIR``: fit every profile from a data folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import JoulecastError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the profiles; 1 and one sentence on standard error if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m joulecast.calibration.fit", description="Fit every profile from a data folder."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the profiles go")
    chosen = parser.parse_args(arguments)
    try:
        from joulecast.calibration.fit.profiles import write

        for path in write(chosen.data, chosen.out):
            print(path)
    except JoulecastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
