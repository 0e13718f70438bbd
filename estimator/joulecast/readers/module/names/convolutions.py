"""Convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry


def _convolution(reading: Reading) -> None:
    weight = reading.given("weight")
    bias = (reading.name("bias"),) if reading.name("bias") else ()
    reading.node(
        "ConvTranspose" if reading.value("transposed") else "Conv",
        (reading.name("input"), weight.name, *bias),
        strides=reading.value("stride"),
        pads=reading.value("padding"),
        dilations=reading.value("dilation"),
        group=reading.value("groups", 1),
        kernel_shape=weight.shape[2:],
    )


DEFORMED = """input weight offset mask bias stride_h stride_w pad_h pad_w dilation_h dilation_w groups offset_groups
    use_mask"""


def _deformed(reading: Reading) -> None:
    """Add a deformable convolution in ONNX's order of inputs: bias before mask."""
    reading.node(
        "DeformConv",
        tuple(reading.name(name) for name in ("input", "weight", "offset", "bias")),
        group=reading.value("groups", 1),
    )


TABLE: Mapping[str, NamingRule] = {
    "aten.convolution": entry(
        _convolution, "input weight bias stride padding dilation transposed output_padding groups"
    ),
    "torchvision.deform_conv2d.default": entry(_deformed, DEFORMED),
}
