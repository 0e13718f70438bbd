"""Measure this machine's GPU: ``python -m joulecast_calibration.measure --resume DIR``.

Needs torch, numpy and nvidia-ml-py alone; ``joulecast measure`` adds a progress bar.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import JoulecastError
from joulecast_calibration.measure.plan.configuration import PARENT, PRECISIONS, RUNTIMES, SLICES


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, plan or judge; return 1 and print one sentence on standard error if that fails, 2 for wrong usage."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["--job"]:
        from joulecast_calibration.measure.run import process

        return process.main(given[1])
    chosen = _parser().parse_args(given)
    if PARENT in os.environ:
        from joulecast_calibration.measure.run.process import die_with_parent

        die_with_parent()
    try:
        return _run(chosen)
    except JoulecastError as error:
        print(f"error: {error} [{error.reason}]", file=sys.stderr)
        return 2 if error.reason == "WrongUsage" else 1
    except KeyboardInterrupt:
        print("interrupted: rows so far are kept; the same command goes on from them", file=sys.stderr)
        return 130


def _run(chosen: argparse.Namespace) -> int:
    from joulecast_calibration.measure.run.options import CommandOptions, run_command
    from joulecast_calibration.measure.run.progress import PlainReporter

    options = CommandOptions(**{name: getattr(chosen, name) for name in CommandOptions.__dataclass_fields__})
    return run_command(options, PlainReporter(), sys.stdout.write)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m joulecast_calibration.measure",
        description="Measure the energy of layers and networks on this machine's GPU.",
    )
    parser.add_argument("--resume", type=Path, metavar="DIR", help="folder of the rows; made if it is not there")
    parser.add_argument("--budget", default="9.5m", metavar="TIME", help="wall time of this command (9.5m, 540s)")
    parser.add_argument(
        "--slice", action="append", default=[], metavar="NAME", help=f"repeatable; of {', '.join(SLICES)}"
    )
    parser.add_argument("--precision", default="", metavar="NAME", help=f"of {', '.join(PRECISIONS)}")
    parser.add_argument("--runtime", default="", metavar="NAME", help=f"of networks; of {', '.join(RUNTIMES)}")
    parser.add_argument("--device", type=int, default=0, metavar="N", help="index of the GPU, as CUDA counts")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order inside blocks, and of the data")
    parser.add_argument("--process-minutes", type=float, default=9.5, metavar="N", help="longest process")
    parser.add_argument("--one-process", action="store_true", help="end with the first process")
    parser.add_argument("--continues", action="store_true", help="another command follows at once: no closing anchors")
    parser.add_argument("--dry-run", action="store_true", help="print what the budget covers, and measure nothing")
    parser.add_argument("--order", action="store_true", help="with --dry-run: every row in its order")
    parser.add_argument("--simulate", nargs="?", const="hopper", metavar="PRESET", help="a device in virtual time")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=VALUE", help="of the simulated device")
    parser.add_argument("--simulate-on-cpu", action="store_true", help="torch on the processor, a simulated meter")
    parser.add_argument("--check", action="store_true", help="run all of the first run once on the processor")
    parser.add_argument("--report", type=Path, metavar="DIR", help="print the table and verdict of a folder's rows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
