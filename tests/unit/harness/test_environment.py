"""When `.venv` is filled, and when it is left alone."""

import sys
from pathlib import Path

import pytest

from tests.harness import environment
from tests.harness.steps import StepError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of its own with locks, no network: the installer is a recorder."""
    (tmp_path / "requirements").mkdir()
    for name in environment.SETS:
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"sample=={len(name)}\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "recorder").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/installed\n')
    (tmp_path / "recorder").chmod(0o755)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "LOCK", tmp_path / ".venv.lock")
    create = environment.venv.create  # without pip, which no recorder needs and which takes seconds
    monkeypatch.setattr(
        environment.venv, "create", lambda place, **options: create(place, **options | {"with_pip": False})
    )
    monkeypatch.setattr(environment, "_installer", lambda: [tmp_path / "recorder"])
    return tmp_path


def installed(tree: Path) -> list[str]:
    return (tree / "installed").read_text().splitlines() if (tree / "installed").exists() else []


def test_it_installs_in_two_steps_once(tree: Path) -> None:
    environment.fill("demo")
    assert installed(tree) == [
        f"--require-hashes -r {tree}/requirements/demo.txt",
        "--no-deps --no-build-isolation -e .",
    ]
    environment.fill("demo")
    assert len(installed(tree)) == 2


def test_everything_holds_the_demo(tree: Path) -> None:
    environment.fill("all")
    environment.fill("demo")
    assert len(installed(tree)) == 2


def test_the_demo_does_not_hold_everything(tree: Path) -> None:
    environment.fill("demo")
    environment.fill("all")
    assert len(installed(tree)) == 4


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements/demo.txt"])
def test_a_change_installs_again_into_the_same_environment(tree: Path, changed: str) -> None:
    environment.fill("demo")
    (tree / ".venv" / "marker").touch()
    (tree / changed).write_text("# changed\n")
    environment.fill("demo")
    assert len(installed(tree)) == 4
    assert (tree / ".venv" / "marker").exists()


def test_what_failed_is_tried_again(tree: Path) -> None:
    recorder = (tree / "recorder").read_text()
    (tree / "recorder").write_text("#!/bin/sh\necho no matching distribution\nexit 1\n")
    with pytest.raises(
        StepError, match=r"installing .*demo\.txt failed \(exit code 1\)[\s\S]*no matching distribution"
    ):
        environment.fill("demo")
    (tree / "recorder").write_text(recorder)
    environment.fill("demo")
    assert len(installed(tree)) == 2


def test_an_environment_that_no_longer_runs_is_made_anew(tree: Path) -> None:
    environment.fill("demo")
    (tree / ".venv" / "bin" / "python").unlink()
    (tree / ".venv" / "installed-demo.stamp").unlink()
    environment.fill("demo")
    assert environment._venv_version() == (str(sys.version_info[0]), str(sys.version_info[1]))


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_module_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None if name == module else object())
    with pytest.raises(
        StepError, match=rf"^missing: Python's `{module}` module \(Debian and Ubuntu: .*python3-venv\)$"
    ):
        environment.check_prerequisites()


def test_an_unsupported_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "SUPPORTED_MINORS", range(0))
    with pytest.raises(StepError, match=r"^missing: Python 3\.11 to 3\.14 \(this is 3\..*make PYTHON="):
        environment.check_prerequisites()
