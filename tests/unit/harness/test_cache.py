"""Where the cache lies, and who may write it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.cache import cache_directory, locked
from tests.harness.environment import ROOT


def test_the_cache_lies_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULECAST_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "own"
    monkeypatch.delenv("JOULECAST_CACHE")
    assert cache_directory() == tmp_path / "xdg" / "joulecast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "joulecast"


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.harness.cache import locked\n"
        "with locked(Path(sys.argv[1]), 'building'): print('entered', flush=True)"
    )
    with locked(tmp_path / "lock", "building"):
        command = [sys.executable, "-c", code, str(tmp_path / "lock")]
        other = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == f"waiting for another run to finish building ({tmp_path / 'lock'})\n"
    assert other.communicate(timeout=300)[0] == "entered\n"
