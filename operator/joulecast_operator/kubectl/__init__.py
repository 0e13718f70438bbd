"""The program ``kubectl-joulecast``, which kubectl runs as ``kubectl joulecast``, with the rights of the user."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_NEEDED = ("kubernetes", "pydantic")


def main() -> None:
    """Run the command line. Exit codes are those of ``joulecast``."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"error: kubectl joulecast needs {' and '.join(missing)}, which this installation leaves out: pip install"
            " 'joulecast[kubectl]' [MissingDependency]"
        )
    try:
        from joulecast_operator.kubectl.application import run

        run()
    except KeyboardInterrupt:  # while imports still ran; typer handles it afterwards
        sys.exit(_INTERRUPTED)
