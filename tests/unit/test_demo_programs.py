"""The demo says how far the build of its programs is, and raises what went wrong there."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo import programs
from tests.harness.steps import Report, Standing, StepError

HALF = Standing(
    title="building etcd and helm (minutes, the first time only)",
    log=Path("/cache/build.log"),
    elapsed_seconds=62,
    done=1200,
    total=2400,
    parts="packages",
)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Replace the build by one that is half done until the event is set."""
    may_end = threading.Event()

    def ensure(names: Sequence[str], report: Report) -> None:
        report(HALF)
        may_end.wait()

    monkeypatch.setattr(programs.binaries, "ensure", ensure)
    yield may_end
    may_end.set()


class Screen(io.StringIO):
    """A terminal that lets the build end once it shows something."""

    def __init__(self, awaited: str, event: threading.Event) -> None:
        super().__init__()
        self._awaited, self._event = awaited, event

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._awaited in self.getvalue():
            self._event.set()
        return written


def test_a_terminal_shows_a_bar_with_the_packages(build: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("1,200 of 2,400 packages, 1:02", build)
    console = Console(file=screen, force_terminal=True, highlight=False, width=100)
    monkeypatch.setattr(programs, "console", console)
    programs.Programs(["etcd"]).wait()
    assert "building etcd and helm (minutes, the first time only); log /cache/build.log" in screen.getvalue()
    assert "━━━━━" in screen.getvalue()


def test_elsewhere_it_is_a_line(build: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("building etcd and helm (minutes, the first time only): 1,200 of 2,400 packages, 1:02, log", build)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(programs, "console", Console(file=screen, force_terminal=False))
    programs.Programs(["etcd"]).wait()
    assert screen.getvalue().count("\n") == 1


def test_an_unknown_total_moves_to_and_fro() -> None:
    standing = Standing(title="downloading the sources of etcd", log=Path("log"), elapsed_seconds=3)
    assert programs.shown(standing)["total"] is None
    assert programs.shown(standing)["counted"] == "0:03"


def test_what_the_build_raised_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(names: Sequence[str], report: Report) -> None:
        raise StepError("no space left on device")

    monkeypatch.setattr(programs.binaries, "ensure", ensure)
    with pytest.raises(StepError, match="no space left on device"):
        programs.Programs(["etcd"]).wait()
