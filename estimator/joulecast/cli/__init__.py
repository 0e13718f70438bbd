"""The command ``joulecast``. Commands live in ``commands``, what they print in the modules of tables."""

from __future__ import annotations

import sys

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a JoulecastError (one sentence on stderr), 2 wrong usage, 70 a defect of joulecast, 130
    interrupted.
    """
    try:
        from joulecast.cli.application import run

        run()
    except KeyboardInterrupt:  # while imports still ran; typer handles it afterwards
        sys.exit(_INTERRUPTED)
