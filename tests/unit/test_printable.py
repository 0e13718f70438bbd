from __future__ import annotations

import pytest

from joulecast.printable import bounded, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Conv_1/weights", "Conv_1/weights"),
        ("größer 模型 – 10 %", "größer 模型 – 10 %"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\r\tand a tab", "two\\nlines\\r\\tand a tab"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202egnp.exe\u2028", "\\u202egnp.exe\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert bounded("x" * 10, 10) == "x" * 10
    assert bounded("x" * 11, 10) == "x" * 9 + "…"
    assert bounded("\n" * 10, 10) == "\\n" * 4 + "\\…"
    for text in ("x" * 11, "\n" * 10, "\x1b" * 9):
        assert bounded(bounded(text, 10), 10) == bounded(text, 10)
