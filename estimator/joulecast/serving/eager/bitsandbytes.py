"""Linear layers that bitsandbytes runs in place of torch's: what each launches, by its source.

The law of networks has no arithmetic of 8 bits: products of int8 count as such of 16 bits, which take twice as long at
most; bytes are those stored. Elements that a kernel unpacks count as elementwise work.

Version 0.49 (nn/modules.py, autograd/_functions.py, functional.py, backends/cuda/ops.py, backends/default/ops.py), at
inference. Besides kernels a layer costs the host: every operator that the library registers in Python, an
``autograd.Function`` and a ``__torch_function__`` is a call as a module's is, and every ``torch.empty`` costs what a
view does. 0.50 fuses the products of four bits further; its int8 path is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from joulecast.blocks import Attention, FeedForward, LanguageModel, Storage, inside
from joulecast.errors import NotCalibratedError, UnsupportedOperatorError
from joulecast.layers import Contraction, LayerProfile
from joulecast.serving.eager.kernels import Launched

METHOD = "bitsandbytes"
_THRESHOLD = 6.0
"""``llm_int8_threshold`` where a configuration does not say it (transformers, BitsAndBytesConfig)."""
_ABSMAX_BLOCK = 64
_HALF, _BYTE, _WHOLE, _SINGLE = "float16", "byte", "int32", "float32"
_FIND = 5
"""Kernels of ``nonzero``: a count, its copy to the host, the start and the selection of flags, and the indices
(aten/src/ATen/native/cuda/Nonzero.cu)."""
_OUTLIERS = 0.001
"""Of the inputs of a product: features beyond the threshold (Dettmers et al. 2022, LLM.int8(): 0.1 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a configuration says beyond how many bits are stored.

    - ``threshold``: magnitude of inputs from which on LLM.int8() multiplies them in 16 bits; 0: never.
    - ``nested``: the scales are quantised too; ``computes_in``: the dtype of products with four-bit weights.
    """

    threshold: float = _THRESHOLD
    nested: bool = False
    computes_in: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Options | None:
        """Return the options of the object of a ``config.json``; None where its weights are not quantised.

        Raises UnsupportedOperatorError for a method other than bitsandbytes.
        """
        asked = config.get("quantization_config") or config.get("compression_config")
        if not isinstance(asked, Mapping) or not asked:
            return None
        if asked.get("quant_method", METHOD) != METHOD:
            raise UnsupportedOperatorError(
                f"weights quantised by {str(asked['quant_method'])[:40]!r} are forecast under vllm alone: only those of"
                f" {METHOD} are known as torch runs them",
                reason="UnsupportedQuantisation",
            )
        stated = asked.get("llm_int8_threshold", _THRESHOLD)
        return cls(
            threshold=float(stated) if isinstance(stated, int | float) else _THRESHOLD,
            nested=bool(asked.get("bnb_4bit_use_double_quant")),
            computes_in=str(asked.get("bnb_4bit_compute_dtype") or "").removeprefix("torch."),
        )


def quantised(
    layers: Iterable[LayerProfile], model: LanguageModel, options: Options, path_of: Callable[[str], str]
) -> tuple[LayerProfile, ...]:
    """Return ``layers`` of a traced pass with those products replaced whose weights ``model`` stores quantised.

    ``path_of``: the path of a module in published files, of the scope of its row.
    """
    writers = frozenset(residual_writers(model))
    return tuple(
        new
        for row in layers
        for path in [path_of(row.scope)]
        for new in _replaced(row, _storage(model, path, row), options, outliers=path not in writers)
    )


def residual_writers(model: LanguageModel) -> Iterator[str]:
    """Yield the paths of products that read no hidden state, but what attention or an activation made.

    Outliers are features of hidden states (Dettmers et al. 2022), which a normalisation keeps; the inputs of these
    products have others.
    """
    for number, layer in enumerate(model.decoder.each_layer()):
        path = layer.path.format(number)
        for mixer in layer.mixers:
            if isinstance(mixer, Attention):
                yield f"{inside(path, mixer.path)}.{mixer.projections[-1]}"
        block = layer.feed_forward
        if isinstance(block, FeedForward):
            yield f"{inside(path, block.path)}.{block.projections[-1]}"


def _storage(model: LanguageModel, path: str, row: LayerProfile) -> Storage | None:
    """Return how the weights of a product are stored; None where they are not quantised."""
    if row.op_type not in ("Gemm", "MatMul") or not row.weight_numel or len(row.contractions) != 1:
        return None
    stored = model.storage_of(path)
    return stored if stored.method else None


def _replaced(row: LayerProfile, stored: Storage | None, options: Options, *, outliers: bool) -> Iterable[LayerProfile]:
    if stored is None:
        return (row,)
    launched = Launched(scope=row.scope, domain=METHOD)
    product = _Product.of(row)
    if stored.method == "bitsandbytes-int8":
        _int8(launched, product, options.threshold, outliers=outliers)
    elif stored.method and stored.method.startswith(METHOD):
        _four_bits(launched, product, stored, options)
    else:
        raise NotCalibratedError(f"weights stored by {stored.method} are not known as torch runs them")
    return launched.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Product:
    """(m, k) × (k, n), and whether it adds a bias."""

    m: int
    n: int
    k: int
    bias: bool
    dtype: str

    @classmethod
    def of(cls, row: LayerProfile) -> _Product:
        own = row.contractions[0]
        return cls(m=own.batch * own.m, n=own.n, k=own.k, bias=row.weight_numel > own.n * own.k, dtype=row.dtype)

    @property
    def contraction(self) -> tuple[Contraction, ...]:
        return (Contraction(batch=1, m=self.m, n=self.n, k=self.k),)


def _int8(launched: Launched, each: _Product, threshold: float, *, outliers: bool) -> None:
    """Add LLM.int8(): inputs by row to int8, the product to int32, and back; outliers apart where there may be some."""
    apply, read, written = "MatMul8bitLt", each.m * each.k, each.m * each.n
    launched.views(apply, 2)
    if each.dtype != _HALF:
        launched.kernel(apply, "Cast", dtype=_HALF, reads=[(read, each.dtype)], writes=[(read, _HALF)])
    found = threshold > 0 and outliers
    quantise = f"{apply}.int8_vectorwise_quant"
    launched.views(quantise, 2)
    if threshold > 0:
        _sought(launched, quantise, each, found=found)
    launched.kernel(
        quantise,
        "QuantizeRows",
        dtype=_HALF,
        reads=[(read, _HALF)],
        writes=[(read, _BYTE), (each.m, _SINGLE)],
    )
    if found and each.m > 1:
        launched.kernel(quantise, "IndexPut", dtype="int8", writes=[(_OUTLIERS * read, _BYTE)])
    mixed = f"{apply}.int8_mixed_scaled_mm" if threshold > 0 else apply
    columns = max(1.0, _OUTLIERS * each.k)
    if found:
        _unpacked(launched, mixed, each, columns)
    elif threshold > 0:
        launched.views(mixed)
    product, back = (f"{mixed}.int8_scaled_mm.{name}" for name in ("int8_linear_matmul", "int8_mm_dequant"))
    launched.views(product)
    launched.kernel(
        product,
        "Int8Gemm",
        dtype=_HALF,
        reads=[(read, _BYTE)],
        weights=[(each.n * each.k, _BYTE)],
        writes=[(written, _WHOLE)],
        contractions=each.contraction,
    )
    launched.views(back)
    launched.kernel(
        back,
        "DequantizeRows",
        dtype=_HALF,
        reads=[(written, _WHOLE), (each.m, _SINGLE)],
        weights=[(each.n, _SINGLE), (each.n * each.bias, _HALF)],
        writes=[(written, _HALF)],
    )
    if found:
        launched.kernel(
            mixed,
            "OutlierGemm",
            dtype=_HALF,
            reads=[(each.m * columns, _HALF), (each.n * columns, _HALF), (written, _HALF)],
            writes=[(written, _HALF)],
        )
    if each.dtype != _HALF:
        launched.kernel(back, "Cast", dtype=_HALF, reads=[(written, _HALF)], writes=[(written, each.dtype)])


def _sought(launched: Launched, call: str, each: _Product, *, found: bool) -> None:
    """Add the search for outliers: magnitudes, a comparison, whether there is any, and its copy to the host."""
    read = each.m * each.k
    launched.kernel(call, "Abs", dtype=_HALF, reads=[(read, _HALF)], writes=[(read, _HALF)])
    launched.kernel(call, "GreaterOrEqual", dtype=_HALF, reads=[(read, _HALF)], writes=[(read, _BYTE)])
    launched.kernel(call, "Any", dtype="bool", reads=[(read, _BYTE)], writes=[(2, _BYTE)], launches=2)
    if found:
        launched.kernel(call, "AnyByColumn", dtype="bool", reads=[(read, _BYTE)], writes=[(each.k, _BYTE)])
        launched.kernel(call, "NonZero", dtype="bool", reads=[(each.k, _BYTE)], writes=[(1, "int64")], launches=_FIND)
    launched.views(call)


def _unpacked(launched: Launched, call: str, each: _Product, columns: float) -> None:
    """Add the columns of outliers: of the inputs, and of the weights, which are converted to 16 bits."""
    own, weights = each.m * columns, each.n * columns
    launched.kernel(call, "Index", dtype=_HALF, reads=[(own, _HALF)], writes=[(own, _HALF)])
    launched.kernel(call, "Index", dtype="int8", weights=[(weights, _BYTE)], writes=[(weights, _BYTE)])
    convert = f"{call}.int8_vectorwise_dequant"
    launched.views(convert)
    both = [(weights, _SINGLE)]
    launched.kernel(convert, "Mul", dtype=_SINGLE, launches=2, reads=both, writes=both)
    launched.kernel(call, "Cast", dtype=_SINGLE, reads=[(weights, _SINGLE)], writes=[(weights, _HALF)])
    launched.views(call)


def _four_bits(launched: Launched, each: _Product, stored: Storage, options: Options) -> None:
    """Add products with packed weights: of one row in one kernel, of more after the weights are unpacked."""
    cast = options.computes_in not in ("", each.dtype) and each.dtype == _HALF
    computes = options.computes_in if cast else each.dtype
    packed = [(each.n * each.k * stored.bits / 8, _BYTE)]
    read, written = (each.m * each.k, computes), (each.m * each.n, computes)
    launched.views("__torch_function__")
    if cast:
        launched.kernel("", "Cast", dtype=each.dtype, reads=[(read[0], each.dtype)], writes=[read])
    if options.nested:
        _scales(launched, each)
    if each.m == 1 and each.k % _ABSMAX_BLOCK == 0:
        launched.views("gemv_4bit", 2)
        launched.kernel(
            "gemv_4bit",
            "Gemv4Bit",
            dtype=computes,
            reads=[read],
            weights=packed,
            writes=[written],
            contractions=each.contraction,
        )
        launched.unpacked("gemv_4bit", each.n * each.k, computes)
        if each.bias:
            launched.kernel("", "Add", dtype=computes, reads=[written], weights=[(each.n, computes)], writes=[written])
    else:
        _unpacked_first(launched, each, packed, read, written)
    if cast:
        launched.kernel("", "Cast", dtype=computes, reads=[written], writes=[(written[0], each.dtype)])


def _scales(launched: Launched, each: _Product) -> None:
    """Add the scales of blocks, which are stored in 8 bits themselves: unpacked, and their mean added."""
    scales = each.n * each.k / _ABSMAX_BLOCK
    launched.views("dequantize_blockwise")
    launched.kernel(
        "dequantize_blockwise", "Dequantize", dtype=_SINGLE, weights=[(scales, _BYTE)], writes=[(scales, _SINGLE)]
    )
    launched.kernel("", "Add", dtype=_SINGLE, reads=[(scales, _SINGLE)], writes=[(scales, _SINGLE)])


def _unpacked_first(
    launched: Launched,
    each: _Product,
    packed: list[tuple[float, str]],
    read: tuple[float, str],
    written: tuple[float, str],
) -> None:
    computes, weights = read[1], (each.n * each.k, read[1])
    apply, unpack = "MatMul4Bit", "MatMul4Bit.dequantize_4bit"
    launched.views(unpack)
    launched.kernel(unpack, "Dequantize", dtype=computes, weights=packed, writes=[weights])
    launched.views(apply, 2)
    launched.kernel(
        apply,
        "Gemm",
        dtype=computes,
        reads=[read],
        weights=[weights, (each.n * each.bias, computes)],
        writes=[written],
        contractions=each.contraction,
    )
