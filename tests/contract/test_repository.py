"""What the repository as a whole promises."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each is written in two halves, so that this file keeps its own rule.
FORBIDDEN = {
    "a package index's host": "|".join(
        [r"pypi\." + "org/simple", r"files\.python" + "hosted", r"proxy\.go" + r"lang\.org", "--index" + "-url"]
    ),
    "a path outside the project": "|".join([r"\.\./" + "shared", r"(?<![\w.])/wo" + r"rk/\w", r"/Us" + r"ers/\w"]),
}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def tracked_files() -> list[Path]:
    return [path for name in git("ls-files", "-z").split("\0") if name and (path := ROOT / name).is_file()]


def violations(text: str) -> list[str]:
    found = {what: re.search(pattern, text, re.IGNORECASE) for what, pattern in FORBIDDEN.items()}
    return [f"{what}: {match[0]!r}" for what, match in found.items() if match]


def test_nothing_shadows_the_module_operator_of_python() -> None:
    """A .py file in operator/, or a package tests/operator, breaks `python -m …` from the root."""
    assert list((ROOT / "operator").glob("*.py")) == []
    assert not (ROOT / "tests" / "operator").exists()
    assert list(ROOT.glob("tests/*/operator")) == []


def test_a_package_of_the_library_holds_at_most_fifteen_modules() -> None:
    """ADR 0147. The laboratory beside it has a house of its own."""
    library = ROOT / "estimator" / "joulecast"
    modules = [path for path in library.rglob("*.py") if "calibration" not in path.relative_to(library).parts]
    sizes = Counter(path.parent.relative_to(library) for path in modules)
    assert {str(package): size for package, size in sizes.items() if size > 15} == {}


def test_a_package_of_the_operator_has_at_most_fifteen_modules() -> None:
    packages = {path.parent for path in (ROOT / "operator").rglob("*.py")}
    assert len(packages) > 1
    assert {str(each): number for each in packages if (number := len(list(each.glob("*.py")))) > 15} == {}


def test_the_tests_of_the_operator_lie_where_its_packages_do() -> None:
    source, tests = ROOT / "operator" / "joulecast_operator", ROOT / "tests" / "unit" / "joulecast_operator"
    packages = {each.name for each in source.iterdir() if (each / "__init__.py").exists()}
    assert {each.name for each in tests.iterdir() if (each / "__init__.py").exists()} == packages | {"samples"}


def test_tracked_files_speak_of_the_project_alone() -> None:
    bad = {}
    for path in tracked_files():
        text = f"{path.relative_to(ROOT)}\n{path.read_bytes().decode(errors='ignore')}"
        if found := violations(text):
            bad[str(path.relative_to(ROOT))] = found
    assert bad == {}


def test_commit_messages_speak_of_the_project_alone() -> None:
    messages = git("log", "--format=%H %B%x00").split("\0")
    assert {message.strip()[:12]: found for message in messages if (found := violations(message))} == {}


@pytest.mark.parametrize("text", ["see ../" + "shared/x", "at /wo" + "rk/main", "https://pypi." + "org/simple/"])
def test_the_rule_finds_what_it_is_for(text: str) -> None:
    assert violations(text) != []


@pytest.mark.parametrize("text", ["a framework/module", "WORKDIR /work", "https://pypi.org/project/joulecast"])
def test_the_rule_lets_ordinary_words_be(text: str) -> None:
    assert violations(text) == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in tracked_files() if path.suffix == ".py" and "tests" in path.parts}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_continuous_integration_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().splitlines()[-2:] == ["make lint", "exec make test"]


@pytest.mark.parametrize("target", ["demo", "venv", "tools", "test", "test-fast", "e2e", "lint", "bench", "clean"])
def test_make_knows_the_target(target: str) -> None:
    plan = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout.strip()


def test_make_names_a_python_that_is_missing() -> None:
    plan = subprocess.run(["make", "venv", "PYTHON=no-python"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode != 0
    assert 'missing: Python 3.11 to 3.14 as "no-python"; name one with: make PYTHON=' in plan.stderr


def test_import_directions_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    # In a process of its own: it disables the loggers of the one that it runs in.
    found = subprocess.run(
        [*command, "--config", str(ROOT / ".importlinter"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
