"""Bytes fetched from a real registry to profile a model, beside copying the image with ``skopeo copy`` first."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests import images
from tests.harness.registry import Registry

WIDTH, DEPTH = 1024, 26
"""26 square float32 matrices of 4 MiB: a 104 MiB model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    compression: str | None
    files: dict[str, bytes]
    path: str


def weights() -> list[numpy.ndarray]:
    random = numpy.random.default_rng(0)
    return [random.standard_normal((WIDTH, WIDTH), dtype=numpy.float32) for _ in range(DEPTH)]


def model(external: bool) -> tuple[bytes, bytes]:
    """A chain of matrix products: the model's bytes, and those of its weight file (empty if the weights are inline)."""
    tensors = [numpy_helper.from_array(array, f"w{i}") for i, array in enumerate(weights())]
    blob = bytearray()
    for tensor in tensors if external else ():
        entries = {"location": "model.onnx.data", "offset": str(len(blob)), "length": str(len(tensor.raw_data))}
        blob += tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
    nodes = [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"], f"layer{i}") for i in range(DEPTH)]
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in ("x0", f"x{DEPTH}")]
    graph = helper.make_graph(nodes, "chain", rows[:1], rows[1:], tensors)
    return onnx.ModelProto(
        ir_version=10, graph=graph, opset_import=[helper.make_opsetid("", 21)]
    ).SerializeToString(), bytes(blob)


def cases() -> list[Case]:
    inline, _ = model(external=False)
    graph, blob = model(external=True)
    path = "models/model.onnx"
    within = {path: inline}
    beside = {path: graph, f"{path}.data": blob}
    return [
        Case(name="weights inline, plain tar", compression=None, files=within, path=f"/{path}"),
        Case(name="weights beside, plain tar", compression=None, files=beside, path=f"/{path}"),
        Case(name="weights beside, graph first, gzip", compression="gzip", files=beside, path=f"/{path}"),
        Case(name="weights beside, graph first, zstd", compression="zstd", files=beside, path=f"/{path}"),
        Case(name="weights inline, gzip", compression="gzip", files=within, path=f"/{path}"),
    ]


def copied(reference: str) -> tuple[int, float]:
    """Bytes and seconds of ``skopeo copy`` into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        source, target = f"docker://{reference}", f"dir:{folder}"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", source, target]
        subprocess.run(command, check=True, timeout=300)
        return sum(file.stat().st_size for file in Path(folder).iterdir()), time.perf_counter() - start


def section() -> str:
    """The Markdown table: bytes and seconds, and what share of skopeo's they are."""
    from joulecast.sources import RegistryAccess, fetch

    if shutil.which("skopeo") is None:
        return "skopeo is not installed, so there is nothing to compare with."
    lines = [
        "| image | image MB | skopeo copy | joulecast | share of bytes | skopeo’s time ÷ ours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder, Registry.start(Path(folder)) as registry:
        access = RegistryAccess(insecure_registries=(registry.host,))
        for number, case in enumerate(cases()):
            image = images.build([case.files], compression=case.compression)
            registry.push(images.write_layout(image, Path(folder) / f"image-{number}"), f"bench/{number}", "v1")
            reference = f"{registry.host}/bench/{number}:v1"
            whole, copy_seconds = copied(reference)
            start = time.perf_counter()
            fetched = fetch(reference, path=case.path, access=access)
            seconds = time.perf_counter() - start
            lines.append(
                f"| {case.name} | {fetched.image_bytes / 1e6:.1f} | {whole / 1e6:.1f} MB, {copy_seconds:.2f} s "
                f"| {fetched.bytes_fetched / 1e6:.3f} MB, {seconds:.2f} s | {fetched.bytes_fetched / whole:.2%} "
                f"| {copy_seconds / seconds:.1f} |"
            )
    return "\n".join(lines)
