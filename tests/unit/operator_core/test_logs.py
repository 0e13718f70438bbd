from __future__ import annotations

import json
import logging

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
