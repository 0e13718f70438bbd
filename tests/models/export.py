"""Export the golden graphs: real architectures as ONNX files without weights.

Each model is built under ``FakeTensorMode``, exported with ``optimize=False``, and every initializer becomes an
``ExternalTensor``: its shape and
dtype stay, its payload never existed. Only this script needs torch. ``python -m tests.models.export --networks``
writes the package data of the
energy models, ``python -m tests.models.export`` the graphs beside this file; names after that choose some of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir
import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import masking_utils

from tests.models import architectures, networks

if TYPE_CHECKING:
    from tests.models.definitions import Export

HERE = Path(__file__).parent
NETWORKS = HERE.parents[1] / "estimator" / "joulecast" / "energy" / "networks"
SCOPES = "pkg.torch.onnx.name_scopes"
PAYLOAD = "not-stored.bin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--networks", action="store_true")
    arguments = parser.parse_args()
    folder, exports = (NETWORKS, networks.EXPORTS) if arguments.networks else (HERE, architectures.EXPORTS)
    for export in exports:
        if not arguments.names or export.name in arguments.names:
            write(export, folder)


def write(export: Export, folder: Path) -> None:
    """Export to ``folder/NAME.onnx.gz`` and record it in ``folder/index.json``; an exporter's error is recorded in
    its place."""
    started = time.monotonic()
    entry: dict[str, Any] = {**export.description, "exporter": versions()}
    if export.task:
        entry["task"] = export.task
    try:
        model = exported(export)
        data = gzip.compress(onnx_ir.to_proto(model).SerializeToString(deterministic=True), 9, mtime=0)
        (folder / f"{export.name}.onnx.gz").write_bytes(data)
        entry |= {"file": f"{export.name}.onnx.gz", "opset": export.opset, "inputs": inputs(model)}
        sys.stdout.write(f"{export.name}: {len(data):,} bytes, {time.monotonic() - started:.0f} s\n")
    except Exception as error:
        entry["error"] = described(error)
        sys.stdout.write(f"{export.name}: {entry['error']}\n")
    record(folder / "index.json", export.name, entry)


def described(error: BaseException) -> str:
    """The first line of what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def record(path: Path, name: str, entry: dict[str, Any]) -> None:
    index = json.loads(path.read_text()) if path.exists() else {}
    index[name] = entry
    path.write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n")


def exported(export: Export) -> onnx_ir.Model:
    """The graph without payloads, without stack traces."""
    masking_utils._ignore_bidirectional_mask_sdpa = unmasked
    torch.nn.init._no_grad_trunc_normal_ = lambda tensor, *_, **__: tensor  # draws until values fit, which needs values
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        torch.set_default_dtype(getattr(torch, export.dtype))
        module, arguments, dynamic = export.build()
        torch.set_default_dtype(torch.float32)
        program = torch.onnx.export(
            module.eval(),
            (),
            kwargs=arguments,
            dynamo=True,
            optimize=False,
            dynamic_shapes=dynamic,
            opset_version=export.opset,
            verbose=False,
        )
    model = program.model
    strip(model)
    return model


def unmasked(padding_mask: torch.Tensor | None, kv_length: int, local_attention_size: int | None = None) -> bool:
    """As transformers decides when the model runs; while it is exported, it makes a mask of ones in any case."""
    return padding_mask is None and (local_attention_size is None or kv_length < local_attention_size)


def strip(model: onnx_ir.Model) -> None:
    model.doc_string = None
    model.metadata_props.clear()
    for name, value in model.graph.initializers.items():
        value.const_value = external(name, value.const_value)
        value.metadata_props.clear()
    for graph in (model.graph, *model.functions.values()):
        for node in onnx_ir.traversal.RecursiveGraphIterator(graph):
            strip_node(node)


def strip_node(node: onnx_ir.Node) -> None:
    scopes = node.metadata_props.get(SCOPES)
    node.metadata_props.clear()
    node.doc_string = None
    if scopes:
        node.metadata_props[SCOPES] = scopes
    for output in node.outputs:  # the reader infers them again
        output.metadata_props.clear()
        if not output.is_graph_output():
            output.shape = output.type = None


def external(name: str, tensor: onnx_ir.TensorProtocol) -> onnx_ir.ExternalTensor:
    return onnx_ir.ExternalTensor(PAYLOAD, 0, int(tensor.nbytes), tensor.dtype, shape=tensor.shape, name=name)


def inputs(model: onnx_ir.Model) -> dict[str, list[int | str]]:
    return {value.name: [d if isinstance(d, int) else str(d) for d in value.shape] for value in model.graph.inputs}


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": transformers.__version__}


if __name__ == "__main__":
    main()
