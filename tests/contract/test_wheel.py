"""What a user installs."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "joulecast": ROOT / "estimator",
    "joulecast_calibration": ROOT / "estimator",
    "joulecast_operator": ROOT / "operator",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.Path(path)


def test_it_holds_every_package_with_its_data_and_types(wheel: zipfile.Path) -> None:
    held = set(wheel.root.namelist())
    wanted = subprocess.run(
        ["git", "ls-files", *map(str, set(PACKAGES.values()))], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert {name.partition("/")[2] for name in wanted if (ROOT / name).exists()} - held == set()
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_it_holds_nothing_else(wheel: zipfile.Path) -> None:
    tops = {name.partition("/")[0] for name in wheel.root.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_it_says_what_it_is(wheel: zipfile.Path) -> None:
    (information,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    metadata = Parser().parsestr((information / "METADATA").read_text())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == {
        "torch", "onnxruntime", "calibrate", "fit", "operator", "kubectl", "s3", "report", "bench",
    }  # fmt: skip
    programs = (information / "entry_points.txt").read_text()
    assert "joulecast = joulecast.cli:main" in programs
    assert "kubectl-joulecast = joulecast_operator.kubectl:main" in programs
    assert "Apache License" in (information / "licenses" / "LICENSE").read_text()
