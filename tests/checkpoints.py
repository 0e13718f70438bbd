"""Language models as files, made by hand: a folder as Hugging Face's libraries write it, and GGUF files.

Contents of tensors are never read, so a file may be given as its header and a size.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

CONFIG: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": 256,
}
_ITEM_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "F8_E4M3": 1}

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> (dtype, shape)."""


def tensors(config: Mapping[str, Any] = CONFIG, dtype: str = "BF16") -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of a Llama of that configuration, in the order of its modules."""
    width, inner, words = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (words, width)}
    for layer in range(config["num_hidden_layers"]):
        within = {
            "self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width),
            "self_attn.o_proj": (width, width), "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner), "input_layernorm": (width,), "post_attention_layernorm": (width,),
        }  # fmt: skip
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in within.items()}
    shapes |= {"model.norm.weight": (width,), "lm_head.weight": (words, width)}
    return {name: (dtype, shape) for name, shape in shapes.items()}


def safetensors_header(content: Tensors) -> tuple[bytes, int]:
    """(length and JSON, bytes of the whole file) of a safetensors file."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in content.items():
        start, end = end, end + math.prod(shape) * _ITEM_BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header, 8 + len(header) + end


def safetensors_file(content: Tensors) -> bytes:
    header, size = safetensors_header(content)
    return header + bytes(size - len(header))


def shards(content: Tensors, count: int) -> dict[str, Tensors]:
    """The tensors in ``count`` files of about the same number each."""
    names = list(content)
    step = -(-len(names) // count)
    return {
        f"model-{number + 1:05d}-of-{count:05d}.safetensors": {
            name: content[name] for name in names[number * step : (number + 1) * step]
        }
        for number in range(count)
    }


def index_of(files: Mapping[str, Tensors]) -> bytes:
    total = sum(math.prod(shape) * _ITEM_BYTES[dtype] for file in files.values() for dtype, shape in file.values())
    names = {name: file for file, content in files.items() for name in content}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": names}, indent=2).encode()


def model_folder(config: Mapping[str, Any] = CONFIG, *, count: int = 3) -> dict[str, bytes]:
    """The files of a model by name; weights in ``count`` files, or in one without an index."""
    files = {
        "config.json": json.dumps(config, indent=2).encode(),
        "generation_config.json": b'{"eos_token_id": 2}',
        "README.md": b"# A model\n",
        "tokenizer.json": b'{"model": {}}' * 1000,
    }
    if count == 1:
        return files | {"model.safetensors": safetensors_file(tensors(config))}
    parts = shards(tensors(config), count)
    weights = {name: safetensors_file(content) for name, content in parts.items()}
    return files | weights | {"model.safetensors.index.json": index_of(parts)}


_KINDS = {bool: 7, int: 10, float: 12, str: 8}


def gguf(
    metadata: Mapping[str, Any], content: Mapping[str, tuple[int, Sequence[int]]], *, version: int = 3, rest: int = 4096
) -> bytes:
    """A GGUF file: ``content`` is tensor -> (ggml type, shape with the fastest dimension first)."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(content), len(metadata))]
    parts += [part for key, value in metadata.items() for part in (_string(key), _value(value))]
    for name, (kind, shape) in content.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        parts.append(_string(name) + sizes + struct.pack("<IQ", kind, 0))
    return b"".join(parts) + bytes(rest)


def _string(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _value(value: Any) -> bytes:
    if not isinstance(value, list):
        return struct.pack("<I", _KINDS[type(value)]) + _bare(value)
    kind = _KINDS[type(value[0])]
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(_bare, value))


def _bare(value: Any) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack("<?" if isinstance(value, bool) else "<Q" if isinstance(value, int) else "<d", value)
