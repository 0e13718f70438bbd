"""The lock files say what pyproject.toml asks for, each the same as the next larger one."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
ASKED = {
    "operator": [*PROJECT["project"]["dependencies"], *EXTRAS["operator"]],
    "demo": [*PROJECT["project"]["dependencies"], *EXTRAS["operator"], *GROUPS["demo"]],
    "calibration": [
        *PROJECT["project"]["dependencies"],
        *chain(*(EXTRAS[name] for name in ("torch", "calibrate", "fit"))),
    ],
    "all": [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values(), *GROUPS.values())],
}
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?P<marker>[^\\]*)\\?$")


def pins(name: str) -> dict[tuple[str, str], int]:
    """(package, version) -> how many hashes it has."""
    found: dict[tuple[str, str], int] = {}
    current = None
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if match := PIN.match(line):
            current = (canonicalize_name(match["name"]), match["version"])
            found[current] = 0
        elif "--hash=sha256:" in line:
            assert current is not None
            found[current] += 1
        else:
            assert line.lstrip().startswith("#"), f"{name}.txt has a line that is no pin, hash or comment: {line}"
    return found


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for_is_pinned_within_its_bounds(name: str) -> None:
    pinned = pins(name)
    for text in ASKED[name]:
        requirement = Requirement(text)
        versions = [version for package, version in pinned if package == canonicalize_name(requirement.name)]
        assert versions, f"requirements/{name}.txt lacks {requirement.name}: run `make lock`"
        assert all(Version(version) in requirement.specifier for version in versions), (text, versions)


@pytest.mark.parametrize("name", [*ASKED, "image", "go", "zones"])
def test_every_pin_has_hashes(name: str) -> None:
    assert [pin for pin, hashes in pins(name).items() if not hashes] == []
    assert pins(name)


@pytest.mark.parametrize(
    ("smaller", "larger"), [("operator", "demo"), ("demo", "all"), ("calibration", "all"), ("zones", "all")]
)
def test_the_smaller_lock_is_part_of_the_larger(smaller: str, larger: str) -> None:
    assert pins(smaller).keys() - pins(larger).keys() == set()


@pytest.mark.parametrize("name", ["operator", "demo"])
def test_operator_and_demo_need_no_torch_and_no_scientific_stack(name: str) -> None:
    heavy = {"torch", "torchvision", "transformers", "timm", "scipy", "scikit-learn", "matplotlib", "onnxruntime"}
    assert heavy & {package for package, _ in pins(name)} == set()


def test_what_builds_the_images_has_the_versions_of_the_other_locks() -> None:
    build, others = dict(pins("image")), dict(pins("all"))
    shared = {package for package, _ in build} & {package for package, _ in others}
    assert {"hatchling", "cyclonedx-bom"} <= {package for package, _ in build}
    assert {pin for pin in build if pin[0] in shared} <= others.keys()


def test_calibrating_and_reading_modules_ask_for_the_same_torch() -> None:
    torch = {text for extra in ("torch", "calibrate") for text in EXTRAS[extra] if Requirement(text).name == "torch"}
    assert len(torch) == 1


def test_locks_cover_the_supported_pythons() -> None:
    classifiers = [text.rpartition(" ")[2] for text in PROJECT["project"]["classifiers"] if ":: 3." in text]
    assert classifiers == ["3.11", "3.12", "3.13", "3.14"]
    assert all("python_full_version < '3.15'" in each for each in PROJECT["tool"]["uv"]["environments"])
