"""Hand-made layer rows and profiles for the energy tests."""

from __future__ import annotations

from dataclasses import replace

from joulecast.layers import Contraction, Coverage, LayerProfile, ModelProfile, Totals, Workload


def product(
    m: int = 1024, n: int = 1024, k: int = 1024, *, batch: int = 1, op_type: str = "MatMul", dtype: str = "float32"
) -> LayerProfile:
    """A matrix product that reads and writes its operands once."""
    numel = batch * (m * k + k * n + m * n)
    itemsize = 4 if dtype == "float32" else 2
    return LayerProfile(
        name=f"{op_type}_{m}_{n}_{k}",
        op_type=op_type,
        kind="counted",
        dtype=dtype,
        macs=batch * m * n * k,
        float_numel=numel,
        bytes_moved=numel * itemsize,
        output_numel=batch * m * n,
        kernels={"torch-eager": 1, "torch-cudagraph": 1, "onnxruntime-cuda": 1},
        contractions=(Contraction(batch=batch, m=m, n=n, k=k),),
    )


def elementwise(numel: int = 1 << 20, *, op_type: str = "Relu") -> LayerProfile:
    """One pass over memory."""
    return LayerProfile(
        name=op_type.lower(),
        op_type=op_type,
        kind="zero",
        float_numel=2 * numel,
        bytes_moved=8 * numel,
        output_numel=numel,
        kernels={"torch-eager": 1, "torch-cudagraph": 1, "onnxruntime-cuda": 1},
    )


def view() -> LayerProfile:
    return LayerProfile(name="reshape", op_type="Reshape", kind="free", views=1)


def model(*layers: LayerProfile, batch_size: int = 1) -> ModelProfile:
    """A model of these rows, every op with a rule."""
    return ModelProfile(
        source="model.onnx",
        digest="sha256:00",
        format="onnx",
        workload=Workload(batch_size=batch_size),
        layers=layers,
        totals=Totals(
            macs=sum(layer.macs for layer in layers),
            params=0,
            activations=0,
            input_numel=0,
            bytes_moved=sum(layer.bytes_moved for layer in layers),
            mac_rows=sum(layer.macs > 0 for layer in layers),
            kernels={},
        ),
        coverage=Coverage(flops=1.0, ops=1.0),
    )


def repeated(layer: LayerProfile, times: int) -> tuple[LayerProfile, ...]:
    return tuple(replace(layer, name=f"{layer.name}_{number}") for number in range(times))
