"""``joulecast version``."""

from __future__ import annotations

import platform
from importlib.metadata import version

from joulecast.cli.output import write

EXAMPLES = "Example: `joulecast version`"


def command() -> None:
    """Print the versions of joulecast, of the ONNX library it reads with, and of Python."""
    write(f"joulecast {version('joulecast')} (onnx {version('onnx')}, Python {platform.python_version()})\n")
