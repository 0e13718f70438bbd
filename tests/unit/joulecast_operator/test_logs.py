from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.logs import JsonFormatter


@pytest.mark.parametrize(
    "text", ["\x1b[2Jgone", "two\nlines", "\x9b31m", "\u202eflipped", "\u2028", "\ud800", "größer – 模型"]
)
def test_a_line_holds_the_text_and_nothing_that_a_terminal_obeys(text: str) -> None:
    record = logging.makeLogRecord({"msg": "read %s", "args": (text,), "levelname": "INFO", "image": text})
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["message"] == f"read {text}"
    assert json.loads(line)["image"] == text


EVERYBODY = """
import asyncio, logging, sys, threading, warnings
from joulecast_operator import logs

logs.configure("info")
log = logging.getLogger("anybody")

class Undeletable:
    def __del__(self):
        raise RuntimeError("in __del__")

async def main():
    asyncio.create_task(fails())
    asyncio.get_running_loop().call_soon(callback)
    asyncio.get_running_loop().call_exception_handler({"message": "said to the handler"})
    await asyncio.sleep(0.05)

async def fails():
    raise ValueError("nobody\\nretrieves this")

def callback():
    raise KeyError("in a callback")

def thread():
    raise OSError("in a thread")

warnings.warn("a library's warning", UserWarning)
Undeletable()
asyncio.run(main())
runner = threading.Thread(target=thread); runner.start(); runner.join()
print("printed"); print("and more", file=sys.stderr); print("without an end", end="")
log.info("%d", "no number")
log.info("a ratio", extra={"ratio": float("nan"), "by": {1, 2}})
log.info("x" * 100_000)
log.info("\\u202e" * 100_000)
logging.getLogger("kopf.activities.startup").info("noise")
raise SystemError("at the end")
"""


def lines_of(*command: str) -> list[dict[str, Any]]:
    """Return the lines that a Python process wrote to both streams, each of which must be standard JSON."""
    ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    written = [*ended.stdout.splitlines(), *ended.stderr.splitlines()]
    assert all(len(line) < 16 * 1024 for line in written), "a container runtime cuts it"
    return [json.loads(line, parse_constant=pytest.fail) for line in written]


def test_every_line_is_json_whoever_speaks() -> None:
    lines = lines_of("-c", EVERYBODY)
    told = [f"{line['message']} {line.get('exception', '')} {line.get('error', '')}" for line in lines]
    for said in (
        "a library's warning",
        "RuntimeError: in __del__",
        "nobody\nretrieves this",
        "KeyError: 'in a callback'",
        "said to the handler",
        "OSError: in a thread",
        "printed: printed",
        "printed: and more",
        "printed: without an end",
        "could not be written",
        "a ratio",
        "SystemError: at the end",
    ):
        assert [text for text in told if said in text], said
    assert not [text for text in told if "noise" in text]
    (ratio,) = [line for line in lines if line["message"] == "a ratio"]
    assert ratio["ratio"] == "nan"


@pytest.mark.slow
def test_a_setting_that_cannot_be_used_is_said_in_json_too(tmp_path: Path) -> None:
    missing = f"--webhook-certfile={tmp_path / 'none.crt'}"
    (line,) = lines_of("-m", "joulecast_operator", "webhook", missing)
    assert (line["level"], "there is no such file" in line["message"]) == ("critical", True)
