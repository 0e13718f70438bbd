"""The algorithm that a library runs a row by, as far as its shapes decide it.

A forecast needs it because kernels of one operator reach different shares of the same limits: a 1 × 1 convolution is a
product, a depthwise one moves bytes, and a 3 × 3 one in float32 outside tensor cores multiplies less than it counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from joulecast.energy.features import NARROW
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import Contraction, LayerProfile

KERNEL = 3
"""Edge of the kernels that Winograd's transforms are made for."""

LEAST_CHANNELS = 32
"""Inputs and outputs below which the transforms cost more than the products that they save: an element of the input is
transformed once and multiplied with every output channel (Lavin and Gray 2016, section 4.1: the cost of the transforms
falls as 1/K and 1/C), and cuDNN's kernels work on blocks of 32 outputs."""

FEWEST_TILES = 64
"""Tiles of an image and all images together below which the batched products fill no block (Lavin and Gray 2016: 32
tiles a block of F(2 × 2, 3 × 3), of which two run on a multiprocessor)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolved:
    """The sizes of a two-dimensional convolution.

    - ``height``, ``width``: of the output.
    - ``strides``: as far as the sizes tell, both at least 1.
    """

    batch: int
    channels: int
    outputs: int
    groups: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Winograd:
    """A 3 × 3 convolution by Winograd's minimal filtering F(m × m, 3 × 3).

    - ``tile``: m.
    - ``product``: what is executed: (m + 2)² products, one for each element of a transformed tile.
    - ``extra_elements``: that pass through memory beside input, weights and output: the transformed input and products,
      each written and read, where the transforms are kernels of their own; 0 where one kernel does it all.
    """

    tile: int
    product: Contraction
    extra_elements: int

    @property
    def saved(self) -> float:
        """How many times fewer multiplications a whole tile takes: 2.25 or 4."""
        return (self.tile * KERNEL / (self.tile + KERNEL - 1)) ** 2


def convolved(layer: LayerProfile) -> Convolved | None:
    """Return the sizes of a two-dimensional ``Conv``; None for any other row, and where its shapes are not known."""
    if layer.op_type not in ("Conv", "FusedConv") or len(layer.input_shapes) < 2 or not layer.output_shapes:
        return None
    read, weight, written = layer.input_shapes[0], layer.input_shapes[1], layer.output_shapes[0]
    if not len(read) == len(weight) == len(written) == 4 or not all((*read, *weight, *written)):
        return None
    return Convolved(
        batch=read[0],
        channels=read[1],
        outputs=weight[0],
        groups=read[1] // weight[1],
        kernel=(weight[2], weight[3]),
        strides=(_stride(read[2], weight[2], written[2]), _stride(read[3], weight[3], written[3])),
        height=written[2],
        width=written[3],
    )


def _stride(read: int, kernel: int, written: int) -> int:
    """Return the stride by which ``read`` positions give ``written``, padded by half the kernel at most."""
    return max(1, round((read + kernel % 2 - 1) / written)) if written > 1 else max(1, min(read, kernel))


def winograd(layer: LayerProfile) -> tuple[Winograd, ...]:
    """Return the forms of Winograd's algorithm that a library may choose for a row; empty where it has none.

    It is for 3 × 3 kernels at stride 1, without groups, of enough channels and tiles. cuDNN runs F(2 × 2) as one
    kernel, and F(4 × 4) with transforms through memory (CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD and …_NONFUSED). Whether it
    is faster than the direct product is for the law to say; with tensor cores it is not, because the transforms run
    outside them.
    """
    sizes = convolved(layer)
    if sizes is None or sizes.kernel != (KERNEL, KERNEL) or sizes.strides != (1, 1) or sizes.groups != 1:
        return ()
    if min(sizes.channels, sizes.outputs) < LEAST_CHANNELS:
        return ()
    forms = (_winograd(sizes, tile=2, fused=True), _winograd(sizes, tile=4, fused=False))
    return tuple(form for form in forms if form.product.m >= FEWEST_TILES)


def forms_of(layer: LayerProfile) -> tuple[LayerProfile, ...]:
    """Return the row as each algorithm executes it, the direct product first; a library takes the fastest.

    Counted MACs stay what they are; products and bytes are those executed. Only a convolution in float32 has several:
    a caller whose float32 products run on tensor cores takes the first.
    """
    if layer.dtype != "float32":
        return (layer,)
    itemsize = int(ITEMSIZE_BYTES[layer.dtype])
    others = (
        replace(
            layer,
            contractions=(form.product,),
            bytes_moved=layer.bytes_moved + form.extra_elements * itemsize,
            float_numel=layer.float_numel + form.extra_elements,
        )
        for form in winograd(layer)
    )
    return (layer, *others)


def _winograd(sizes: Convolved, *, tile: int, fused: bool) -> Winograd:
    tiles = sizes.batch * math.ceil(sizes.height / tile) * math.ceil(sizes.width / tile)
    elements = (tile + KERNEL - 1) ** 2
    through_memory = 2 * elements * tiles * (sizes.channels + sizes.outputs)
    return Winograd(
        tile=tile,
        product=Contraction(batch=elements, m=tiles, n=sizes.outputs, k=sizes.channels),
        extra_elements=0 if fused else through_memory,
    )


KINDS = (
    "pointwise", "square", "strided", "large", "stem", "grouped", "narrow groups", "depthwise", "product",
    "wide product", "narrow product", "batched product", "attention", "recurrent", "softmax", "layer norm",
    "batch norm", "group norm", "copy", "cast", "weights' cast", "pool", "reduction", "resize", "interpolation",
    "broadcast", "pairs", "activation", "gather", "other",
)  # fmt: skip
"""Kinds of kernels finer than the law's families: what its coefficients have to tell apart on whole networks."""

_BY_NAME = {
    "Attention": "attention", "Softmax": "softmax", "LogSoftmax": "softmax", "LayerNormalization": "layer norm",
    "RMSNormalization": "layer norm", "BatchNormalization": "batch norm", "GroupNormalization": "group norm",
    "InstanceNormalization": "group norm", "Identity": "copy", "Concat": "copy", "Pad": "copy", "Split": "copy",
    "Slice": "copy", "Tile": "copy", "Expand": "copy", "MaxPool": "pool", "AveragePool": "pool",
    "GlobalAveragePool": "reduction", "ReduceMean": "reduction", "ReduceSum": "reduction", "ReduceL2": "reduction",
    "ReduceMax": "reduction", "Resize": "resize", "Upsample": "resize", "Gather": "gather",
    "GatherElements": "gather", "Add": "pairs",
    "Sub": "pairs", "Mul": "pairs", "Div": "pairs", "Relu": "activation", "Gelu": "activation", "Swish": "activation",
    "HardSwish": "activation", "Sigmoid": "activation", "HardSigmoid": "activation", "Tanh": "activation",
    "Clip": "activation", "LeakyRelu": "activation", "Erf": "activation", "Exp": "activation", "Mish": "activation",
    "LSTM": "recurrent", "GRU": "recurrent", "RNN": "recurrent",
}  # fmt: skip

WIDE = 512
"""Outputs and depth from which a product's operands are read often enough that memory does not slow it: twice the ratio
of rate to bandwidth, in elements of two bytes, of cards from an RTX 3090 (152) to a 5090 (234)."""


def kind_of(layer: LayerProfile) -> str:
    """Return the one of ``KINDS`` that runs the row."""
    sizes = convolved(layer)
    if sizes is not None:
        return _convolution(sizes)
    if layer.op_type == "Cast":
        return "weights' cast" if layer.weight_numel else "cast"
    named = _BY_NAME.get(layer.op_type)
    if named == "resize":
        return "interpolation" if layer.taps > 1 else named
    if named == "pairs":
        return "broadcast" if _of_two_sizes(layer.input_shapes) else named
    if named is None and layer.contractions:
        return _product(layer)
    return named or "other"


def _convolution(sizes: Convolved) -> str:
    if sizes.groups > 1:
        if sizes.channels == sizes.groups:
            return "depthwise"
        return "narrow groups" if sizes.outputs < NARROW * sizes.groups else "grouped"
    if sizes.channels <= 4:
        return "stem"  # images: tensor cores pad their channels
    if sizes.kernel == (1, 1):
        return "pointwise"
    if max(sizes.kernel) > KERNEL:
        return "large"
    return "square" if sizes.strides == (1, 1) else "strided"


def _product(layer: LayerProfile) -> str:
    if any(min(c.n, c.k) < NARROW for c in layer.contractions):
        return "narrow product"
    if any(c.batch > 1 for c in layer.contractions):
        return "batched product"
    return "wide product" if all(min(c.n, c.k) >= WIDE for c in layer.contractions) else "product"


def _of_two_sizes(shapes: Sequence[Sequence[int]]) -> bool:
    return len({math.prod(shape) for shape in shapes} - {1}) > 1


def layout_bytes(layer: LayerProfile, *, channels_last: bool) -> float:
    """Return the bytes of the transposes around a convolution on tensor cores.

    Their kernels read channels last; images that lie otherwise are transposed before, and the result after (NVIDIA,
    Convolutional Layers User's Guide, section 3.1). A depthwise convolution runs outside them.
    """
    if channels_last or layer.dtype not in ("float16", "bfloat16"):
        return 0.0
    sizes = convolved(layer)
    if sizes is None or sizes.groups == sizes.channels > 1:
        return 0.0
    return 2.0 * ITEMSIZE_BYTES[layer.dtype] * (layer.input_numel + layer.output_numel)
