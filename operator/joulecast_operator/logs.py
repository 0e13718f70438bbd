"""Log to standard error as one JSON object a line: the lines of joulecast and libraries, Python's warnings and prints.

Only what C code writes by itself, and the usage of a wrong command line, are not JSON.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pwd
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "settings",
    "k8s_skip",
    "k8s_ref",
}

MESSAGE_CHARACTERS: Final = 2048
TRACEBACK_CHARACTERS: Final = 8192
"""Bounds of one line: container runtimes split a line after 16 KiB, and a part of a line is not JSON."""

_ESCAPE_CHARACTERS: Final = 6  # such as \u202e

_TALKATIVE: Final = ("aiohttp.access", "asyncio", "kopf", "kopf.objects")
"""Loggers of which only warnings are kept: kopf, for example, logs that it handled each event."""

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, message, the fields of ``extra``, and the end of the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        line |= {key: _cut(value) for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-TRACEBACK_CHARACTERS:]
        return _json(line)


class _Handler(logging.StreamHandler[Any]):
    """Writes lines, and for a record that cannot be formatted a line about that, where logging prints a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        error = sys.exception()
        said = {"level": "error", "logger": __name__, "message": "a line of the log could not be written"}
        self.stream.write(_json(said | {"of": record.name, "error": _cut(repr(error))}) + self.terminator)
        self.flush()


class _Printed(io.TextIOBase):
    """A text stream whose lines become lines of the log; it replaces the standard output and error."""

    def __init__(self) -> None:
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            log.warning("printed: %s", line)
        return len(text)

    def flush(self) -> None:
        if self._rest.strip():
            self.write("\n")


def configure(level: str) -> None:
    """Set up logging for the process, and the user name, which kopf needs, if the system does not know it."""
    handler = _Handler(sys.__stderr__)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread
    sys.stdout = sys.stderr = _Printed()
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run under any UID
        os.environ.setdefault("USER", "joulecast")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("an error ends the process", exc_info=(kind, error, trace))


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    log.error("an error ends a thread", exc_info=_info(found.exc_type, found.exc_value, found.exc_traceback))


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    told = {"where": repr(found.object), "said": found.err_msg or ""}
    info = _info(found.exc_type, found.exc_value, found.exc_traceback)
    log.error("an error that cannot be raised", exc_info=info, extra=told)


def _info(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    return kind, error or kind(), trace


def _cut(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = value[:MESSAGE_CHARACTERS]
    return shown if shown.isprintable() else shown[: MESSAGE_CHARACTERS // _ESCAPE_CHARACTERS]


def _json(line: Mapping[str, Any]) -> str:
    """Return one line of JSON, with NaN and infinities as text."""
    try:
        text = json.dumps(line, default=str, ensure_ascii=False, allow_nan=False)
    except ValueError:
        plain = {key: value if isinstance(value, (str, int)) else str(value) for key, value in line.items()}
        text = json.dumps(plain, ensure_ascii=False)
    return _escaped(text)


def _escaped(line: str) -> str:
    """Escape marks of writing direction and control characters that JSON does not escape."""
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
