"""Real model files out of two wheels that are downloaded by hash, unzipped and never installed or imported."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.harness.cache import cache_directory, locked

REQUIREMENTS = Path(__file__).parent.parent / "examples" / "models.txt"


def models() -> Path:
    """The folder of the unzipped wheels (``rapidocr_onnxruntime/models``, ``silero_vad/data``); downloads them once."""
    folder = cache_directory() / "models"
    done = folder / f"done-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    if not done.exists():
        with locked(folder / "lock", "downloading the model files"):
            if not done.exists():
                _download(folder)
                done.touch()
    return folder


def ocr(name: str) -> Path:
    """An ONNX file of the OCR wheel: ``det``, ``rec`` or ``cls``."""
    (path,) = (models() / "rapidocr_onnxruntime" / "models").glob(f"*_{name}_infer.onnx")
    return path


def silero(name: str) -> Path:
    """An ONNX file of the voice-activity wheel, by its stem."""
    return models() / "silero_vad" / "data" / f"{name}.onnx"


def _download(folder: Path) -> None:
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.11", "--require-hashes"]
    subprocess.run([*command, "-r", str(REQUIREMENTS), "-d", str(wheels)], check=True, timeout=600)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
