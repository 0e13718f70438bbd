"""The images of the scenario, as OCI layout folders: joulecast's own, built from the Dockerfile, and those it reads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from examples.demo import models
from tests import checkpoints, wheels
from tests.harness import binaries
from tests.harness.environment import ROOT
from tests.harness.node.containerd import PAUSE
from tests.harness.steps import run_step
from tests.images import build as image
from tests.images import write_layout

DOCKERFILE = ROOT / "tests" / "e2e" / "Dockerfile"  # of the calibration's
OPERATOR = "joulecast:e2e"
CALIBRATION = "joulecast-calibration:e2e"
_PRESENT = {"numpy"}  # in joulecast's own image
ENGINE = "docker.io/vllm/vllm-openai:v0.11.0"  # as examples/deployment-vllm.yaml names it
# needs no further program, and works where this itself is a container
BUILDER = {"BUILDAH_ISOLATION": "chroot", **os.environ, "BUILDER": "buildah"}


def build(directory: Path) -> None:
    """Build all layouts; their folders have the names that `layout` gives them."""
    pause = binaries.program("pause").read_bytes()
    _write(directory, PAUSE, {"pause": pause}, entrypoint="/pause")
    # what an inference engine needs here: that a container with its command runs
    _write(directory, ENGINE, {"usr/bin/vllm": pause}, entrypoint="vllm")
    _write(directory, models.CHAT, {f"models/{name}": content for name, content in checkpoints.model_folder().items()})
    for reference, path in (
        (models.OCR, wheels.ocr("det")),
        (models.VOICE, wheels.silero("silero_vad_openvino_16k")),
    ):
        write_server(directory, reference, {f"models/{path.name}": path.read_bytes()})
    _operator(directory)
    _calibration(directory)


def write_server(directory: Path, reference: str, files: dict[str, bytes]) -> None:
    """Write the layout of an image with `files`, whose process only waits."""
    _write(directory, reference, {"server": binaries.program("pause").read_bytes(), **files}, entrypoint="/server")


def layout(directory: Path, reference: str) -> Path:
    """The folder of an image."""
    return directory / reference.replace("/", "-").replace(":", "-")


def _operator(directory: Path) -> None:
    command = [ROOT / "scripts" / "image", "operator", "--tag", f"localhost/{OPERATOR}"]
    run_step("building joulecast's image", command, directory / "operator.log", environment=BUILDER)
    _save(directory, OPERATOR)


def _calibration(directory: Path) -> None:
    context = directory / "calibration"
    lock = context / "fit.txt"
    context.mkdir(parents=True)
    lock.write_text(locked(_fitting(), (ROOT / "requirements" / "calibration.txt").read_text()))
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    where = ["--target", context / "packages", "--python-version", _python()]
    log = directory / "calibration.log"
    run_step("downloading what fitting needs", [*pip, *where, "--require-hashes", "-r", lock], log)
    command = ["buildah", "build", "--tag", f"localhost/{CALIBRATION}", "--file", DOCKERFILE, context]
    run_step("building the image of the calibration", command, log, environment=BUILDER)
    _save(directory, CALIBRATION)


def _fitting() -> set[str]:
    """The distributions that fitting needs, beside those that joulecast's own image has."""
    needed, unread = set(_PRESENT), ["scikit-learn"]
    while unread:
        if (name := unread.pop()) not in needed:
            needed.add(name)
            wanted = (Requirement(each) for each in distribution(name).requires or [])
            unread += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return needed - _PRESENT


def locked(names: Collection[str], lock: str) -> str:
    """The entries of a requirements file that are for `names`, with their hashes."""
    entries: list[str] = re.findall(rf"^(?:{'|'.join(names)})==.*(?:\n[ \t]+.*)*\n", lock, re.MULTILINE)
    return "".join(entries)


def _python() -> str:
    """The version of the image's Python, as MAJOR.MINOR."""
    container = _buildah("from", f"localhost/{OPERATOR}")
    try:
        return _buildah("run", container, "--", "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    finally:
        _buildah("rm", container)


def _save(directory: Path, reference: str) -> None:
    target = f"oci:{layout(directory, reference)}:{reference.rpartition(':')[2]}"
    _buildah("push", "--quiet", "--format", "oci", "--compression-format", "zstd", f"localhost/{reference}", target)


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=BUILDER, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _write(directory: Path, reference: str, files: dict[str, bytes], entrypoint: str = "") -> None:
    folder = layout(directory, reference)
    shutil.rmtree(folder, ignore_errors=True)
    write_layout(image([files], entrypoint=[entrypoint] if entrypoint else []), folder, reference.rpartition(":")[2])
