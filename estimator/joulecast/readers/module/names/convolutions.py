"""Convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import Entry, Reading, entry


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


TABLE: Mapping[str, Entry] = {
    "aten.convolution": entry(
        _convolution, "input weight bias stride padding dilation transposed output_padding groups"
    ),
}
