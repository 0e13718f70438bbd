"""The command ``joulecast``. Commands live in ``commands``; what they print in ``tables`` and ``output``."""

from __future__ import annotations


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a JoulecastError (one sentence on stderr), 2 wrong usage, 130 interrupted."""
    from joulecast.cli.application import run

    run()
