"""The typer application and how it ends."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

import typer

from joulecast import defects
from joulecast.errors import JoulecastError, UnresolvedShapeError
from joulecast.printable import printable

EPILOGUE = (
    "Examples: `joulecast profile model.onnx` · `joulecast estimate model.onnx -a NVIDIA-H200 -b 32` ·"
    " `joulecast plan registry.example/models/resnet50:1 --latency-milliseconds 20`"
)

TRACEBACK = "JOULECAST_TRACEBACK"
"""Environment variable: whether a defect's traceback is printed."""

DEFECT = 70
"""Exit code of a defect of joulecast (EX_SOFTWARE of sysexits.h)."""

_WHERE = f"please report it as {{id}}, with the traceback that {TRACEBACK}=1 before the same command shows"

app = typer.Typer(
    name="joulecast",
    help="Forecast the energy of a neural network per batch on a GPU, before it is deployed.",
    epilog=EPILOGUE,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    "profile", "estimate", "plan", "split", "accelerators", "evaluate", "fit", "suite", "measure", "calibrate",
    "schema", "version",
)  # fmt: skip
"""In the order of the help; each is a function ``command`` in the module that bears its name, in the package
``joulecast.cli.commands`` or, for a command of the laboratory, in ``LABORATORY``."""

LABORATORY = "joulecast_calibration.cli"
LABORATORY_COMMANDS = {
    "evaluate": "fit",
    "fit": "fit",
    "suite": "report",
    "measure": "calibrate",
    "calibrate": "calibrate,fit",
}
"""Commands that the library does not import but finds, each with the extra of this distribution that it needs."""


def add_commands(application: typer.Typer) -> None:
    """Add every command. One of the laboratory raises JoulecastError (MissingDependency) where that is left out."""
    has_laboratory = find_spec(LABORATORY.partition(".")[0]) is not None
    for name in COMMANDS:
        if name in LABORATORY_COMMANDS and not has_laboratory:
            settings = {"allow_extra_args": True, "ignore_unknown_options": True}
            application.command(name, context_settings=settings)(_absent(name))
            continue
        package = LABORATORY if name in LABORATORY_COMMANDS else "joulecast.cli.commands"
        module = import_module(f"{package}.{name}")
        application.command(name, epilog=module.EXAMPLES)(module.command)


def _absent(name: str) -> Callable[[], None]:
    """Make the command ``name`` for where the laboratory is not installed."""

    def command() -> None:
        """Not available: this installation leaves out the package joulecast_calibration."""
        raise JoulecastError(
            f"`joulecast {name}` needs the package joulecast_calibration, which this installation leaves out: pip"
            f" install 'joulecast[{LABORATORY_COMMANDS[name]}]'",
            reason="MissingDependency",
        )

    return command


add_commands(app)


@app.callback()
def _root() -> None:
    """Hold options that all commands share; there are none yet."""


def run(application: typer.Typer = app, program: str = "joulecast") -> None:
    """Run the command line given and exit. ``program``: the words by which users call ``application``."""
    try:
        application(prog_name=program)
    except Exception as error:
        if isinstance(error, JoulecastError) and not defects.is_defect(error):
            _end(str(error), error.reason, 1, _way_out(error, (*program.split(), *sys.argv[1:])))
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        _end(defects.sentence(error, where=_WHERE), defects.REASON, DEFECT)


def _end(message: str, reason: str, code: int, way_out: str = "") -> NoReturn:
    """End with the message on one line of standard error, and the line to copy below it."""
    sys.stderr.write(f"error: {printable(' '.join(message.split()))} [{reason}]\n{way_out}")
    sys.exit(code)


def _way_out(error: JoulecastError, command: Sequence[str]) -> str:
    """Return the given command completed with the missing options, or an empty text where options would not help."""
    options = error.options if isinstance(error, UnresolvedShapeError) else ()
    if not options:
        return ""
    verb = "fill in" if any("…" in option for option in options) else "try"
    return f"{verb}: {shlex.join(command)} {' '.join(options)}\n"
