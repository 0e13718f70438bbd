"""Two real models in ordinary container images: they come inside wheels, so no model hub is asked."""

from __future__ import annotations

from pathlib import Path

from tests import images, wheels

OCR = "models/ocr-detector:v4"
VOICE = "models/silero-vad:v6"


def layouts(folder: Path) -> dict[str, Path]:
    """Image-layout folders by repository and tag: each image has a base layer and one with the model."""
    return {
        OCR: _layout(folder / "ocr-detector", "ch_PP-OCRv4_det_infer.onnx", wheels.ocr("det")),
        VOICE: _layout(folder / "silero-vad", "silero_vad.onnx", wheels.silero("silero_vad_openvino_16k")),
    }


def _layout(folder: Path, name: str, model: Path) -> Path:
    base = {"etc/os-release": b'NAME="an ordinary base layer"\n'}
    image = images.build([base, {f"models/{name}": model.read_bytes()}], compression="gzip")
    return images.write_layout(image, folder)
