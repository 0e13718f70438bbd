"""Where modules and their tests lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABORATORY = ROOT / "estimator" / "joulecast_calibration"
OPERATOR = ROOT / "operator" / "joulecast_operator"
TESTS = ROOT / "tests" / "unit"
MOST_MODULES = 15

TESTED_AS_A_WHOLE = {
    "api/calibrations.py": "unit/joulecast_operator/api/test_crds.py",
    "api/models.py": "unit/joulecast_operator/api/test_crds.py",
    "api/parts.py": "unit/joulecast_operator/api/test_crds.py",
    "api/plans/resource.py": "unit/joulecast_operator/api/test_crds.py",
    "api/plans/spec.py": "unit/joulecast_operator/api/test_crds.py",
    "api/plans/status.py": "unit/joulecast_operator/api/test_crds.py",
    "api/profiles.py": "unit/joulecast_operator/api/test_crds.py",
    "api/results.py": "unit/joulecast_operator/api/test_crds.py",
    "api/sites/costs.py": "unit/joulecast_operator/api/test_crds.py",
    "api/sites/site.py": "unit/joulecast_operator/api/test_crds.py",
    "api/workload.py": "unit/joulecast_operator/api/test_crds.py",
    "certificates/__main__.py": "unit/joulecast_operator/certificates/test_worker.py",
    "workers/plans/choices.py": "unit/joulecast_operator/workers/plans/test_answers.py",
    "workers/plans/cuts.py": "unit/joulecast_operator/workers/plans/test_answers.py",
    "workers/plans/jobs.py": "unit/joulecast_operator/workers/plans/test_answers.py",
    "workers/plans/rows.py": "unit/joulecast_operator/workers/plans/test_answers.py",
    "metrics/__main__.py": "unit/joulecast_operator/metrics/test_page.py",
}
"""Modules of the operator that declare fields or only pass on to others, and the test of what they make."""


def test_a_package_of_the_laboratory_holds_at_most_fifteen_modules() -> None:
    modules = Counter(path.parent.relative_to(LABORATORY) for path in LABORATORY.rglob("*.py"))
    assert modules
    assert {str(folder): count for folder, count in modules.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize("package", [LABORATORY, OPERATOR])
def test_tests_lie_in_the_folder_of_what_they_test(package: Path) -> None:
    tests = TESTS / package.name
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert folders
    assert [str(folder) for folder in folders if not (package / folder / "__init__.py").is_file()] == []


def test_each_module_of_the_operator_has_tests_of_its_own_name() -> None:
    modules = {path.relative_to(OPERATOR) for path in OPERATOR.rglob("*.py") if path.name != "__init__.py"}
    tests = {path.relative_to(TESTS / OPERATOR.name) for path in (TESTS / OPERATOR.name).rglob("test_*.py")}
    untested = {str(module) for module in modules if module.parent / f"test_{module.stem.strip('_')}.py" not in tests}
    assert modules
    assert untested == TESTED_AS_A_WHOLE.keys()
    assert all((ROOT / "tests" / test).is_file() for test in TESTED_AS_A_WHOLE.values())


def test_nothing_of_the_old_package_is_left() -> None:
    """An old checkout may keep compiled files there."""
    assert list((ROOT / "estimator" / "joulecast" / "calibration").rglob("*.py")) == []
