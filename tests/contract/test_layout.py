"""Where modules and their tests lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LABORATORY = ROOT / "estimator" / "joulecast_calibration"
TESTS = ROOT / "tests" / "unit" / "joulecast_calibration"
MOST_MODULES = 15


def test_a_package_of_the_laboratory_holds_at_most_fifteen_modules() -> None:
    modules = Counter(path.parent.relative_to(LABORATORY) for path in LABORATORY.rglob("*.py"))
    assert modules
    assert {str(folder): count for folder, count in modules.items() if count > MOST_MODULES} == {}


def test_tests_of_the_laboratory_lie_in_the_folder_of_what_they_test() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    assert folders
    assert [str(folder) for folder in folders if not (LABORATORY / folder / "__init__.py").is_file()] == []


def test_nothing_of_the_old_package_is_left() -> None:
    """An old checkout may keep compiled files there."""
    assert list((ROOT / "estimator" / "joulecast" / "calibration").rglob("*.py")) == []
