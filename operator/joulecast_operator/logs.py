"""Logs as one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import os
import pwd
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "settings",
    "k8s_skip",
    "k8s_ref",
}

_TALKATIVE: Final = ("aiohttp.access", "asyncio", "kopf.objects")  # the last says of each event that it was handled


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, whatever was given as ``extra``, and the exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _escaped(json.dumps(line, default=str, ensure_ascii=False))


def _escaped(line: str) -> str:
    """Marks of direction and the controls that JSON leaves as they are, as escapes that mean the same in JSON."""
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def configure(level: str) -> None:
    """Set up logging before kopf, which sets up none. Also names the user, which kopf asks for, where nobody did."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a container's arbitrary UID
        os.environ.setdefault("USER", "joulecast")
