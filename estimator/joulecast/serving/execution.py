"""What an engine executes of stored weights on a given card: in their own arithmetic, or unpacked to 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from joulecast.blocks import Attention, LanguageModel, LatentAttention, Storage
from joulecast.errors import NotCalibratedError

UNSUPPORTED = "UnsupportedOnAccelerator"

_SIXTEEN = MappingProxyType({"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Architectures by what they do with an arithmetic.

    - ``native``: multiply in it; ``unpacked``: read the stored weights and multiply in 16 bits. Others refuse it.
    """

    native: frozenset[str]
    unpacked: frozenset[str] = frozenset()


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


SUPPORT: Mapping[str, Support] = MappingProxyType(
    {
        "fp8": Support(native=_named("Ada Hopper Blackwell CDNA3"), unpacked=_named("Turing Ampere")),
        "fp4": Support(native=_named("Blackwell"), unpacked=_named("Ampere Ada Hopper")),
        "int8": Support(native=_named("Turing Ampere Ada Hopper")),
        "bf16": Support(native=_named("Ampere Ada Hopper Blackwell CDNA2 CDNA3")),
        "fp16": Support(native=_named("Pascal Volta Turing Ampere Ada Hopper Blackwell CDNA2 CDNA3")),
        "fp32": Support(native=_named("Maxwell Pascal Volta Turing Ampere Ada Hopper Blackwell CDNA2 CDNA3")),
    }
)
"""vLLM's choice of kernels: docs/features/quantization (supported hardware; FP8 and FP4 by Marlin kernels where the
card lacks them); its CUTLASS kernels of int8 refuse compute capability 10 and above; bfloat16 needs 8.0."""

_WEIGHT_ONLY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "awq": _named("Turing Ampere Ada Hopper Blackwell"),
        "mxfp4": _named("Ampere Ada Hopper Blackwell"),
    }
)
"""Architectures on which formats that store weights alone have kernels, where not on all."""


_BLOCK_SCALED: Mapping[str, str] = MappingProxyType({"mxfp4": "Blackwell GB100 Ultra"})
"""Formats that store weights alone, and parts of architectures on which engines multiply them by kernels for blocks of
four-bit elements: vLLM takes FlashInfer's for mxfp4 on compute capability 10 (its mxfp4.py). Workstations' Blackwell
has other kernels."""

_OLDEST = _named("Maxwell Pascal Volta")
_WITHOUT_CACHE_OF_FP8: Mapping[type, frozenset[str]] = MappingProxyType(
    {Attention: _OLDEST, LatentAttention: _OLDEST | _named("Turing Ampere")}
)
"""Architectures on which vLLM has no kernels that read a cache of 8-bit floats. On Turing and Ampere FlashInfer's
unpack it, whether e4m3 or e5m2 (vllm/v1/attention/backends/flashinfer.py: compute capability 7.5 and above). A latent
is left to Triton's there, which has no such type below 8.9 (vllm-project/vllm, issue 52202)."""


def executed_on(model: LanguageModel, *, architecture: str, product: str) -> LanguageModel:
    """Return ``model`` with the arithmetic in which ``product``, of ``architecture``, multiplies its weights.

    Raises NotCalibratedError (UnsupportedOnAccelerator) for a combination that no engine runs.
    """
    family = architecture.split()[0] if architecture else ""
    _require_cache(model, family, product)

    def own(storage: Storage) -> Storage:
        return _block_scaled(_executed(storage, model.dtype, family, product), architecture)

    storage = own(model.storage)
    otherwise = {path: own(each) for path, each in model.stored_otherwise.items()}
    if storage == model.storage and otherwise == model.stored_otherwise:
        return model  # the same object, by which outlines are kept
    return replace(model, storage=storage, stored_otherwise=otherwise)


def _require_cache(model: LanguageModel, family: str, product: str) -> None:
    """Raise NotCalibratedError where engines cannot read the model's cache of 8-bit floats on this architecture."""
    if model.cache_dtype != "float8":
        return
    kinds = {type(mixer) for layer, _ in model.decoder.layers for mixer in layer.mixers}
    for kind, refused in _WITHOUT_CACHE_OF_FP8.items():
        if kind in kinds and family in refused:
            kept = "latents" if kind is LatentAttention else "keys and values"
            raise NotCalibratedError(
                f"engines have no kernels on {product} ({family}) that read {kept} cached in fp8: keep the cache in"
                " bf16 or fp16, or choose another accelerator",
                reason=UNSUPPORTED,
            )


def _executed(storage: Storage, dtype: str, family: str, product: str) -> Storage:
    support = SUPPORT[storage.arithmetic]
    kernels = _WEIGHT_ONLY.get(storage.method or "", support.native | support.unpacked)
    if family in support.native & kernels or (not storage.method and family not in _FAMILIES):
        return storage
    if family in support.unpacked and family in SUPPORT[_SIXTEEN[dtype]].native:
        return replace(storage, arithmetic=_SIXTEEN[dtype])
    raise _refusal(storage, family, product, known=(support.native | support.unpacked) & kernels)


def _block_scaled(storage: Storage, architecture: str) -> Storage:
    """Return the storage with the arithmetic of four bits where kernels for blocks multiply it."""
    parts, known = architecture.split(), _BLOCK_SCALED.get(storage.method or "", "").split()
    if known and parts[:1] == known[:1] and set(parts[1:]) & set(known[1:]):
        return replace(storage, arithmetic="fp4")
    return storage


_FAMILIES = frozenset().union(*(support.native for support in SUPPORT.values()))


def _refusal(storage: Storage, family: str, product: str, *, known: frozenset[str]) -> NotCalibratedError:
    stored = f"weights stored by {storage.method}" if storage.method else f"products in {storage.arithmetic}"
    halved = not storage.method and storage.arithmetic == "bf16"
    return NotCalibratedError(
        f"engines do not run {stored} on {product} ({family or 'unknown architecture'}), but on"
        f" {', '.join(sorted(known))}: {'ask for precision fp16' if halved else 'choose another accelerator'}",
        reason=UNSUPPORTED,
    )
