"""Fit the engines' coefficients from published tables of single kernels, and print errors on held-out shapes.

Usage: ``python -m joulecast_calibration.fit.engines --data DIR --out FILE``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import JoulecastError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return 1 and print one sentence on standard error if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m joulecast_calibration.fit.engines", description="Fit the coefficients of inference engines."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the table goes")
    chosen = parser.parse_args(arguments)
    try:
        from joulecast_calibration.files import write_whole
        from joulecast_calibration.fit.engines.document import engine_of, table_of, text_of

        engine = engine_of(chosen.data)
        write_whole(chosen.out, text_of(engine))
        print(table_of(engine), end="")
    except JoulecastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
