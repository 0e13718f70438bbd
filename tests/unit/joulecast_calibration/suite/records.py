"""Records as a worker gives them, of architectures that exist nowhere."""

from __future__ import annotations

from typing import Any

from joulecast.readers.module.calls import Call, TensorRef, TensorSpec
from joulecast_calibration.suite.configuration import described


def spec(*shape: int, role: str = "activation", name: str = "") -> TensorSpec:
    strides = tuple(int(stride) for stride in [_product(shape[place + 1 :]) for place in range(len(shape))])
    return TensorSpec(shape=shape, dtype="float32", strides=strides, role=role, name=name)  # type: ignore[arg-type]


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def linear(rows: int, inputs: int, outputs: int) -> Call:
    """A linear layer without a bias."""
    return Call(
        function="torch.nn.functional.linear",
        args=(TensorRef(0), TensorRef(1)),
        tensors=(spec(rows, inputs, name="x"), spec(outputs, inputs, role="parameter", name="w")),
        outputs=(spec(rows, outputs, name="y"),),
    )


def relu(*shape: int) -> Call:
    return Call(
        function="aten.relu.default",
        args=(TensorRef(0),),
        tensors=(spec(*shape, name="x"),),
        outputs=(spec(*shape, name="y"),),
    )


def record(
    name: str, calls: list[Call], *, task: str = "vision", family: str = "", zero_shot: bool = False
) -> dict[str, Any]:
    """An architecture that runs ``calls`` in its only batch."""
    layers = {call.digest: described(call) for call in calls}
    counts = {digest: [call.digest for call in calls].count(digest) for digest in layers}
    batch = {
        "batch_size": 32, "digest": f"sha256:{name}", "rows": len(calls), "macs": 1, "params": 2, "activations": 3,
        "input_numel": 4, "bytes_moved": 5, "kernels": len(calls), "views": 0, "module_calls": 1, "peak_bytes": 10,
        "fits": True, "predicted_seconds": 0.01, "predicted_joules": 1.0, "calls": counts, "unsupported": {},
    }  # fmt: skip
    return {
        "name": name,
        "task": task,
        "family": family or name,
        "zero_shot": zero_shot,
        "digest": f"sha256:{name}",
        "params": 2,
        "workloads": [{"sequence_length": None, "seconds": None, "batches": [batch]}],
        "layers": layers,
    }
