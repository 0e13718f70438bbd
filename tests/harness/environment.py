"""Fills `.venv` from a lock file, once: `python3 -m tests.harness.environment demo|all`.

Standard library only. `.venv` is filled additively: `demo` has no torch, `all` adds to it; both pin the same versions.
"""

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.harness.cache import locked
from tests.harness.steps import StepError, run_step

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / ".venv.lock"
SETS = ("demo", "all")  # each holds the one before it
SUPPORTED_MINORS = range(11, 15)  # of Python 3; as the locks' `environments` in pyproject.toml


def check_prerequisites() -> None:
    """Raises `StepError` that names every missing prerequisite, before anything starts."""
    missing = []
    if sys.version_info.major != 3 or sys.version_info.minor not in SUPPORTED_MINORS:
        found = platform.python_version()
        missing.append(f"Python 3.11 to 3.14 (this is {found}; choose another with `make PYTHON=python3.12 …`)")
    missing += [
        f"Python's `{module}` module (Debian and Ubuntu: the package python3-venv)"
        for module in ("venv", "ensurepip")
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise StepError("missing: " + "; ".join(missing))


def fill(name: str) -> None:
    """Install the set `name` ("demo" or "all") and the project itself into `.venv`, unless that was done before."""
    check_prerequisites()
    with locked(LOCK, "installing into .venv"):
        if any(_is_current(each) for each in SETS[SETS.index(name) :]):
            return
        _make_venv()
        _install(name)
        _stamp(name).write_text(_fingerprint(name))


def _install(name: str) -> None:
    """Two steps: pip refuses `-e .` in a hashed file, and the project's own build must not look at an index."""
    log, lock = VENV / f"install-{name}.log", ROOT / "requirements" / f"{name}.txt"
    packages = sum(line[:1].isalnum() for line in lock.read_text().splitlines())
    title = f"installing up to {packages} packages of requirements/{name}.txt"
    run_step(title, [*_installer(), "--require-hashes", "-r", lock], log, directory=ROOT)
    project = [*_installer(), "--no-deps", "--no-build-isolation", "-e", "."]
    run_step("installing joulecast itself", project, log.with_suffix(".project.log"), directory=ROOT)


def _installer() -> list[str | Path]:
    python, uv = VENV / "bin" / "python", shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", python]
    return [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]


def _make_venv() -> None:
    """A virtual environment of this Python; one of another version, or one that no longer runs, is made anew."""
    if _venv_version() == platform.python_version_tuple()[:2]:
        return
    print(f"making .venv with Python {platform.python_version()}", flush=True)
    venv.create(VENV, with_pip=True, clear=VENV.exists(), symlinks=True)


def _venv_version() -> tuple[str, ...]:
    """Python's major and minor version in `.venv`; empty if there is none that runs from this place."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1], sys.prefix)"
    try:
        command = [str(VENV / "bin" / "python"), "-c", code]
        major, minor, prefix = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).split(maxsplit=2)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return ()
    return (major, minor) if Path(prefix.strip()) == VENV else ()


def _stamp(name: str) -> Path:
    return VENV / f"installed-{name}.stamp"


def _is_current(name: str) -> bool:
    try:
        return _stamp(name).read_text() == _fingerprint(name)
    except OSError:
        return False


def _fingerprint(name: str) -> str:
    """What an installed set depends on: the lock, the project's metadata, Python, and where the project lies."""
    digest = hashlib.sha256()
    for path in (ROOT / "requirements" / f"{name}.txt", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    digest.update(f"{'.'.join(platform.python_version_tuple()[:2])} {platform.machine()} {ROOT}".encode())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SETS, help="which lock file to install")
    try:
        fill(parser.parse_args().name)
    except (StepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
