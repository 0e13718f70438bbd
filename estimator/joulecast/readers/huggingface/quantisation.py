"""How the weights of a model's products are stored, by ``quantization_config`` of ``config.json``.

Each method says how many bits an element takes, scales included, and what multiplies it where the hardware can:
formats that quantise weights alone multiply in 16 bits. Which card executes what is decided later
(``serving.execution``). Meaning of the keys: transformers, utils/quantization_config.py; compressed-tensors; modelopt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard

from joulecast.blocks import Storage
from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.printable import bounded
from joulecast.readers.huggingface.module_patterns import Pattern, pattern

ARITHMETIC = MappingProxyType({"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"})
"""What products run in, by the dtype of unquantised weights."""

_SCALE_BITS = 16
_BLOCK_SCALE_BITS = 32  # of fp8 blocks: float32 in the files of DeepSeek V3, and always on the card (vLLM)
_NF4_BLOCK = 64  # elements that share an absmax (bitsandbytes, functional.quantize_4bit)
_ABSMAX_BLOCK = 256  # absmax values that share one of their own under double quantisation
_HEADS = ("lm_head", "score", "classifier", "embed_out")
_ROUTERS = ("gate", "router", "shared_expert_gate", "weights_proj")
"""Modules that engines keep as they are under every method (vLLM passes no quant_config to them)."""
_MOST_MODULES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Modules that are stored alike: those that a target matches; ``targets`` empty: all."""

    storage: Storage
    targets: tuple[Pattern, ...] = ()

    def holds(self, path: str) -> bool:
        return not self.targets or any(target.matches(path) for target in self.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a quantisation says: the first group that holds a module decides, unless the module is ``skipped``.

    - ``head``: the last product is quantised too.
    """

    groups: tuple[Group, ...]
    skipped: tuple[Pattern, ...] = ()
    head: bool = False

    def storage_of(self, path: str, plain: Storage) -> Storage:
        last, names = path.rpartition(".")[2], _names(path)
        kept = last in _ROUTERS or (last in _HEADS and not self.head)
        if kept or any(each.matches(name) for each in self.skipped for name in names):
            return plain
        return next((group.storage for group in self.groups if any(map(group.holds, names))), plain)


def _names(path: str) -> tuple[str, ...]:
    """Return the names that files have for the module at ``path``.

    Experts are numbered in files and share a path here: the first stands for all. The text model of a composite is
    ``language_model.model`` in files of before transformers 4.52, and ``model.language_model`` in later ones.
    """
    later, earlier = "model.language_model.", "language_model.model."
    found = [path]
    for one, other in ((later, earlier), (earlier, later)):
        if path.startswith(one):
            found.append(other + path.removeprefix(one))
    numbered = (each.replace(".experts.", ".experts.0.") for each in found if ".experts." in each)
    return (*found, *numbered)


def storage(config: Mapping[str, Any], dtype: str, paths: Iterable[str]) -> tuple[Storage, dict[str, Storage]]:
    """Return how weights of products are stored, and by module path what is stored in another way.

    ``dtype``: of what is not quantised; ``paths``: of all modules of products in published files.
    Raises UnsupportedOperatorError (UnsupportedQuantisation) for a quantisation that is not understood, and
    ModelFormatError for a key that holds what it cannot.
    """
    plain = Storage(dtype=dtype, bits=8 * ITEMSIZE_BYTES[dtype], arithmetic=ARITHMETIC[dtype])
    rules = quantisation(config, plain)
    if rules is None:
        return plain, {}
    usual = rules.groups[0].storage
    found = {path: rules.storage_of(path, plain) for path in paths}
    return usual, {path: own for path, own in found.items() if own != usual}


def quantisation(config: Mapping[str, Any], plain: Storage) -> Rules | None:
    """Return the rules of the configuration's quantisation, None where it has none."""
    asked = config.get("quantization_config") or config.get("compression_config")
    if not asked:
        return None
    if not isinstance(asked, Mapping):
        raise ModelFormatError("config.json: quantization_config is not an object: export the configuration again")
    method = asked.get("quant_method", _guessed(asked))
    reader = _METHODS.get(method) if isinstance(method, str) else None
    if reader is None:
        raise _unknown(f"by {bounded(str(method), 40)!r}")
    return reader(asked, plain)


def _guessed(asked: Mapping[str, Any]) -> object:
    """Return the method of configurations older than ``quant_method``."""
    if asked.get("load_in_4bit") or asked.get("load_in_8bit"):
        return "bitsandbytes"
    return "modelopt" if "quant_algo" in asked else None


def _gptq(asked: Mapping[str, Any], plain: Storage) -> Rules:
    bits = _bits(asked, "bits", (2, 3, 4, 8))
    own = _weight_only("gptq", bits, _SCALE_BITS + bits, _group_size(asked), plain)
    if asked.get("dynamic"):
        raise _unknown("by gptq with a 'dynamic' table of modules")
    return Rules(groups=(Group(storage=own),), head=asked.get("lm_head") is True)


def _awq(asked: Mapping[str, Any], plain: Storage) -> Rules:
    bits = _bits(asked, "bits" if "bits" in asked else "w_bit", (4, 8))
    zero = bits if asked.get("zero_point", True) else 0
    own = _weight_only("awq", bits, _SCALE_BITS + zero, _group_size(asked, "group_size", "q_group_size"), plain)
    return Rules(groups=(Group(storage=own),), skipped=_patterns(asked, "modules_to_not_convert"))


def _fp8(asked: Mapping[str, Any], plain: Storage) -> Rules:
    block = asked.get("weight_block_size")
    elements = _block_elements("weight_block_size", block) if block is not None else None
    own = Storage(
        dtype="float8", bits=8 + (_BLOCK_SCALE_BITS / elements if elements else 0), arithmetic="fp8", method="fp8"
    )
    skipped = (*_patterns(asked, "modules_to_not_convert"), *_patterns(asked, "ignored_layers"))
    return Rules(groups=(Group(storage=own),), skipped=skipped)


def _block_elements(key: str, block: object) -> int:
    if isinstance(block, list) and len(block) == 2 and all(_is_count(size) for size in block):
        return int(block[0]) * int(block[1])
    raise _wrong(key, block, "two sizes such as [128, 128]")


def _bitsandbytes(asked: Mapping[str, Any], plain: Storage) -> Rules:
    skipped = _patterns(asked, "llm_int8_skip_modules")
    if asked.get("load_in_8bit") or asked.get("_load_in_8bit"):
        own = Storage(dtype="int8", bits=8, arithmetic="int8", method="bitsandbytes-int8")
    elif asked.get("load_in_4bit") or asked.get("_load_in_4bit"):
        absmax = 8 + 32 / _ABSMAX_BLOCK if asked.get("bnb_4bit_use_double_quant") else 32
        kind = asked.get("bnb_4bit_quant_type", "fp4")
        own = _weight_only(f"bitsandbytes-{bounded(str(kind), 8)}", 4, absmax, _NF4_BLOCK, plain)
    else:
        raise _unknown("by bitsandbytes with neither load_in_4bit nor load_in_8bit")
    return Rules(groups=(Group(storage=own),), skipped=skipped)


def _mxfp4(asked: Mapping[str, Any], plain: Storage) -> Rules:
    """Return the rules of gpt-oss: experts alone are stored in mxfp4, whatever else is or is not listed."""
    own = _weight_only("mxfp4", 4, 8, 32, plain)
    return Rules(
        groups=(Group(storage=own, targets=(pattern("experts"),)),),
        skipped=_patterns(asked, "modules_to_not_convert"),
    )


def _modelopt(asked: Mapping[str, Any], plain: Storage) -> Rules:
    inner = asked.get("quantization", asked)
    if not isinstance(inner, Mapping):
        raise _wrong("quantization", inner, "an object")
    algorithm = inner.get("quant_algo")
    if asked.get("config_groups"):
        return _compressed(asked, plain)
    stored = {
        "FP8": Storage(dtype="float8", bits=8, arithmetic="fp8", method="modelopt-fp8"),
        "NVFP4": Storage(dtype="float4", bits=4.5, arithmetic="fp4", method="nvfp4"),
    }.get(algorithm if isinstance(algorithm, str) else "")
    if stored is None:
        raise _unknown(f"by modelopt's {bounded(str(algorithm), 40)!r}")
    return Rules(
        groups=(Group(storage=stored),),
        skipped=(*_patterns(inner, "exclude_modules"), *_patterns(inner, "ignore")),
    )


def _compressed(asked: Mapping[str, Any], plain: Storage) -> Rules:
    """Return the rules of compressed-tensors: a group of modules each with its weights' and activations' types."""
    stated = asked.get("config_groups")
    if not isinstance(stated, Mapping) or not stated or len(stated) > _MOST_MODULES:
        raise _wrong("config_groups", stated, "an object with at least one group")
    groups = tuple(_compressed_group(group, plain) for group in stated.values())
    return Rules(groups=groups, skipped=_patterns(asked, "ignore"), head=_names_head(stated))


def _names_head(groups: Mapping[str, Any]) -> bool:
    return any("lm_head" in str(target) for group in groups.values() for target in group.get("targets") or ())


def _compressed_group(group: object, plain: Storage) -> Group:
    if not isinstance(group, Mapping) or not isinstance(group.get("weights"), Mapping):
        raise _wrong("config_groups", group, "groups with weights")
    weights, activations = group["weights"], group.get("input_activations")
    targets = _patterns(group, "targets")
    everything = any(target.text in ("Linear", "FusedMoE") for target in targets)
    return Group(storage=_compressed_storage(weights, activations, plain), targets=() if everything else targets)


def _compressed_storage(weights: Mapping[str, Any], activations: object, plain: Storage) -> Storage:
    bits, kind = _bits(weights, "num_bits", (4, 8)), weights.get("type", "int")
    size = weights.get("group_size")
    grouped = int(size) if _is_count(size) else None
    if not isinstance(activations, Mapping):
        symmetric = weights.get("symmetric", True)
        return _weight_only(
            f"w{bits}a16-{bounded(str(kind), 8)}", bits, _shared_bits(kind, bits, grouped, symmetric), grouped, plain
        )
    taken = (str(activations.get("type", "int")), str(activations.get("num_bits")))
    found = _EXECUTED.get((str(kind), bits, *taken))
    if found is None:
        raise _unknown(
            f"with weights of {bits} bits ({bounded(str(kind), 8)}) and activations of {bounded(str(taken), 40)}"
        )
    dtype, arithmetic = found
    extra = _shared_bits(kind, bits, grouped, True) / grouped if grouped else 0.0
    if weights.get("strategy") == "block":
        extra = _BLOCK_SCALE_BITS / _block_elements("block_structure", weights.get("block_structure"))
    return Storage(dtype=dtype, bits=bits + extra, arithmetic=arithmetic, method=f"compressed-{arithmetic}")


_EXECUTED: Mapping[tuple[str, int, str, str], tuple[str, str]] = MappingProxyType(
    {
        ("float", 8, "float", "8"): ("float8", "fp8"),
        ("int", 8, "int", "8"): ("int8", "int8"),
        ("float", 4, "float", "4"): ("float4", "fp4"),
        ("int", 4, "float", "8"): ("int4", "fp8"),
    }
)
"""Dtype of the weights and arithmetic, by type and bits of weights and of activations."""


def _shared_bits(kind: object, bits: int, grouped: int | None, symmetric: object) -> float:
    """Return the bits that a group of weights shares: a scale, and a zero point where it is not symmetric."""
    if kind == "float" and bits == 4:
        return 8  # an E4M3 or E8M0 scale for 16 or 32 elements
    return (_SCALE_BITS + (0 if symmetric else bits)) if grouped else 0


_METHODS: Mapping[str, Callable[[Mapping[str, Any], Storage], Rules]] = MappingProxyType(
    {
        "gptq": _gptq,
        "awq": _awq,
        "fp8": _fp8,
        "bitsandbytes": _bitsandbytes,
        "mxfp4": _mxfp4,
        "modelopt": _modelopt,
        "modelopt_fp4": _modelopt,
        "compressed-tensors": _compressed,
    }
)
METHODS = tuple(_METHODS)


def _weight_only(method: str, bits: int, shared: float, group: int | None, plain: Storage) -> Storage:
    own = bits + (shared / group if group else 0.0)
    return Storage(
        dtype=f"int{bits}" if bits in (2, 4, 8) else "int4", bits=own, arithmetic=plain.arithmetic, method=method
    )


def _bits(asked: Mapping[str, Any], key: str, known: tuple[int, ...]) -> int:
    value = asked.get(key)
    if isinstance(value, bool) or value not in known:
        raise _wrong(key, value, f"one of {', '.join(map(str, known))}")
    return int(value)


def _group_size(asked: Mapping[str, Any], *keys: str) -> int | None:
    """Return the elements that share a scale; None for a whole row, which files state as −1."""
    key = next((each for each in keys or ("group_size",) if each in asked), "group_size")
    size = asked.get(key, 128)
    if size == -1:
        return None
    if not _is_count(size):
        raise _wrong(key, size, "a whole number from 1 up, or -1")
    return int(size)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**20


def _patterns(asked: Mapping[str, Any], key: str) -> tuple[Pattern, ...]:
    names = asked.get(key) or ()
    if not isinstance(names, list | tuple) or len(names) > _MOST_MODULES or not all(isinstance(n, str) for n in names):
        raise _wrong(key, names, "a list of module names")
    return tuple(pattern(name) for name in names)


def _wrong(key: str, value: object, wanted: str) -> ModelFormatError:
    return ModelFormatError(
        f"config.json: quantization_config.{key} is {bounded(str(value), 40)!r}, and {wanted} is needed: export the"
        " configuration again"
    )


def _unknown(how: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"config.json asks for quantisation {how}, which is not known: known are {', '.join(METHODS)}; take out"
        " quantization_config to price the unquantised model",
        reason="UnsupportedQuantisation",
    )
