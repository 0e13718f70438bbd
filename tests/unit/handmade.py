"""A small profile and its forecast, made by hand: figures that add up, one row of each kind."""

from __future__ import annotations

from dataclasses import replace

from joulecast.energy.model import EnergyEstimate, LayerEnergy
from joulecast.layers import Contraction, Coverage, LayerProfile, ModelProfile, Totals, Workload
from joulecast.units import Joules, Seconds, Watts

KERNELS = {"torch-eager": 1}

CONV = LayerProfile(
    name="/stem/Conv", op_type="Conv", kind="counted", scope="stem", macs=1_179_648, params=1_152, activations=32_768,
    input_numel=16_384, output_numel=32_768, weight_numel=1_152, float_numel=50_304, bytes_moved=201_216,
    kernels=KERNELS, contractions=(Contraction(batch=4, m=1024, n=8, k=36),),
    input_shapes=((1, 16, 32, 32), (32, 4, 3, 3)), output_shapes=((1, 32, 32, 32),),
)  # fmt: skip
RELU = LayerProfile(
    name="/stem/Relu", op_type="Relu", kind="zero", input_numel=32_768, output_numel=32_768, float_numel=65_536,
    bytes_moved=262_144, kernels=KERNELS, input_shapes=((1, 32, 32, 32),), output_shapes=((1, 32, 32, 32),),
)  # fmt: skip
VIEW = LayerProfile(name="/head/Flatten", op_type="Flatten", kind="free", views=1)
UNKNOWN = LayerProfile(name="/head/Exotic", op_type="Exotic", kind="unsupported", domain="example.org", repeats=3)

PROFILE = ModelProfile(
    source="model.onnx", digest="sha256:" + "0f" * 32, format="onnx",
    workload=Workload(batch_size=1, input_shapes={"x": (1, 16, 32, 32)}, input_values={"sr": 16_000, "sizes": [1, 2]}),
    layers=(CONV, RELU, VIEW, UNKNOWN),
    totals=Totals(macs=1_179_648, params=1_152, activations=32_768, input_numel=49_152, bytes_moved=463_360, mac_rows=1,
                  kernels={"torch-eager": 2}),
    coverage=Coverage(flops=1.0, ops=2 / 3, unsupported=("Exotic",)),
    input_shapes={"x": (1, 16, 32, 32), "sr": ()}, bytes_fetched=4_980_736,
)  # fmt: skip


def energy(name: str, op_type: str, static: float, compute: float, memory: float) -> LayerEnergy:
    return LayerEnergy(
        name=name, op_type=op_type, scope="", seconds=Seconds(2e-5), static_joules=Joules(static),
        compute_joules=Joules(compute), memory_joules=Joules(memory), origin="public",
    )  # fmt: skip


ESTIMATE = EnergyEstimate(
    accelerator="NVIDIA-H200", runtime="torch-eager", precision="default", batch_size=32, joules_per_batch=Joules(0.42),
    joules_per_batch_lower=Joules(0.39), joules_per_batch_upper=Joules(0.46), latency_seconds=Seconds(0.0012),
    average_power_watts=Watts(350.0), gap_joules=Joules(0.02), coverage=Coverage(flops=1.0, ops=1.0), origin="public",
    reasons=("no layer rows of this accelerator",),
    layers=(energy("/stem/Conv", "Conv", 0.05, 0.2, 0.05), energy("/stem/Relu", "Relu", 0.04, 0.01, 0.05)),
)  # fmt: skip
COSTLIER = replace(
    ESTIMATE, accelerator="NVIDIA-L40S", batch_size=1, joules_per_batch=Joules(0.05),
    joules_per_batch_lower=Joules(0.03), joules_per_batch_upper=Joules(0.07), origin="transferred", layers=(),
)  # fmt: skip
