"""The command line of the operator's processes."""

from __future__ import annotations

import logging

import pytest

from joulecast_operator import __main__ as command
from joulecast_operator import logs
from joulecast_operator.settings import Settings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that the process ``webhook`` was started with."""
    found: list[Settings] = []
    monkeypatch.setattr(logs, "configure", lambda level: None)
    monkeypatch.setattr(command, "COMMANDS", {"controller": print, "webhook": found.append})
    return found


@pytest.mark.parametrize("arguments", [[], ["webhok"], ["--help"]])
def test_an_unknown_process_ends_with_the_usage(arguments: list[str], started: list[Settings]) -> None:
    with pytest.raises(SystemExit, match=r"usage: python -m joulecast_operator \{controller,webhook\}"):
        command.main(arguments)
    assert started == []


def test_a_process_is_started_with_its_flags_and_variables(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOULECAST_FETCHERS", "3")
    command.main(["webhook", "--metrics-port", "9"])
    (found,) = started
    assert (found.metrics_port, found.fetchers) == (9, 3)


def test_what_ends_a_process_is_a_line_of_the_log(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def ends(_: Settings) -> None:
        raise SystemExit("no credentials")

    monkeypatch.setattr(command, "COMMANDS", {"webhook": ends})
    with caplog.at_level(logging.CRITICAL), pytest.raises(SystemExit) as caught:
        command.main(["webhook"])
    assert caught.value.code == 1
    assert [line.getMessage() for line in caplog.records] == ["no credentials"]


def test_an_exit_code_is_handed_on(started: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_: Settings) -> None:
        raise SystemExit(7)

    monkeypatch.setattr(command, "COMMANDS", {"webhook": ends})
    with pytest.raises(SystemExit) as caught:
        command.main(["webhook"])
    assert caught.value.code == 7
