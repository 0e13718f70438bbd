"""Normalisations and softmax."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry


def _layer_norm(reading: Reading) -> None:
    """Add one node.

    The statistics that the kernel also writes are a few numbers a row, which inference does not read.
    """
    reading.node(
        "LayerNormalization",
        _present(reading, "input weight bias"),
        reading.outputs[:1],
        axis=-len(reading.value("normalized_shape")),
        epsilon=reading.value("eps"),
    )


def _rms_norm(reading: Reading) -> None:
    axes = reading.value("normalized_shape")
    inputs = _present(reading, "input weight")
    reading.node("RMSNormalization", inputs, reading.outputs[:1], axis=-len(axes), epsilon=reading.value("eps"))


def _batch_norm(reading: Reading) -> None:
    """Add a node in ONNX's order: scale, shift, mean, variance; a missing scale is ones, a missing shift zeros."""
    given = reading.given("input")
    channels = given.shape[1:2]
    scale, shift = (
        reading.name(name) or reading.tensor(name, channels, given.dtype, role="constant")
        for name in ("weight", "bias")
    )
    inputs = (given.name, scale, shift, reading.name("running_mean"), reading.name("running_var"))
    reading.node("BatchNormalization", inputs, reading.outputs[:1], epsilon=reading.value("eps", 1e-5))


def _group_norm(reading: Reading) -> None:
    reading.node(
        "GroupNormalization",
        _present(reading, "input weight bias"),
        reading.outputs[:1],
        num_groups=reading.value("group"),
        epsilon=reading.value("eps"),
    )


def _instance_norm(reading: Reading) -> None:
    inputs = _present(reading, "input weight bias")
    reading.node("InstanceNormalization", inputs, epsilon=reading.value("eps", 1e-5))


def _softmax(op_type: str) -> NamingRule:
    def rule(reading: Reading) -> None:
        reading.node(op_type, (reading.name("input"),), axis=reading.value("dim", -1))

    return entry(rule, "input dim")


def _weight_norm(reading: Reading) -> None:
    reading.node("LpNormalization", _present(reading, "v g"), reading.outputs[:1])


def _present(reading: Reading, names: str) -> tuple[str, ...]:
    found = tuple(reading.name(name) for name in names.split())
    while found and not found[-1]:
        found = found[:-1]
    return found


TABLE: Mapping[str, NamingRule] = {
    "aten.native_layer_norm": entry(_layer_norm, "input normalized_shape weight bias eps"),
    "torch.nn.functional.rms_norm": entry(_rms_norm, "input normalized_shape weight eps"),
    "aten._fused_rms_norm": entry(_rms_norm, "input normalized_shape weight eps"),
    "torch.nn.functional.batch_norm": entry(
        _batch_norm, "input running_mean running_var weight bias training momentum eps"
    ),
    "aten.native_batch_norm": entry(_batch_norm, "input weight bias running_mean running_var training momentum eps"),
    "aten._native_batch_norm_legit_no_training": entry(
        _batch_norm, "input weight bias running_mean running_var momentum eps"
    ),
    "aten._native_batch_norm_legit": entry(
        _batch_norm, "input weight bias running_mean running_var training momentum eps"
    ),
    "aten.native_group_norm": entry(_group_norm, "input weight bias N C HxW group eps"),
    "torch.nn.functional.instance_norm": entry(
        _instance_norm, "input running_mean running_var weight bias use_input_stats momentum eps"
    ),
    "torch.softmax": _softmax("Softmax"),
    "torch.log_softmax": _softmax("LogSoftmax"),
    "aten._softmax": _softmax("Softmax"),
    "aten._safe_softmax": _softmax("Softmax"),
    "aten._log_softmax": _softmax("LogSoftmax"),
    "aten._weight_norm_interface": entry(_weight_norm, "v g"),
    "aten._weight_norm": entry(_weight_norm, "v g"),
}
