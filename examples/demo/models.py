"""Real models in ordinary container images: they come inside wheels, so no model hub is asked.

The language model has the published configuration of SmolLM2-135M, and zeros for weights, which are never read.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests import checkpoints, images, wheels

OCR = "models/ocr-detector:v4"
VOICE = "models/silero-vad:v6"
CHAT = "models/chat:135m"

CHAT_CONFIGURATION = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-05,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 49152,
}


def layouts(folder: Path) -> dict[str, Path]:
    """Image-layout folders by repository and tag: each image has a base layer and one with the model."""
    return {
        OCR: _layout(folder / "ocr-detector", "ch_PP-OCRv4_det_infer.onnx", wheels.ocr("det")),
        VOICE: _layout(folder / "silero-vad", "silero_vad.onnx", wheels.silero("silero_vad_openvino_16k")),
    }


def chat(folder: Path) -> dict[str, Path]:
    """The language model's image layout: 270 MB, so it is written while the control plane starts anyway."""
    tensors = checkpoints.tensors(CHAT_CONFIGURATION)
    del tensors["lm_head.weight"]  # tied to the embedding
    files = {
        "models/config.json": json.dumps(CHAT_CONFIGURATION, indent=2).encode(),
        "models/model.safetensors": checkpoints.safetensors_file(tensors),
    }
    return {CHAT: images.write_layout(images.build([files]), folder / "chat")}


def _layout(folder: Path, name: str, model: Path) -> Path:
    base = {"etc/os-release": b'NAME="an ordinary base layer"\n'}
    image = images.build([base, {f"models/{name}": model.read_bytes()}], compression="gzip")
    return images.write_layout(image, folder)
