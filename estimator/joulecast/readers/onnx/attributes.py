"""Attributes as plain Python values, and the module path that exporters leave in a node."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from onnx import AttributeProto, NodeProto, TensorProto, defs

from joulecast.errors import ModelFormatError
from joulecast.readers.onnx.values import from_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from onnx.defs import OpSchema

_PLAIN: dict[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.INT: lambda a: int(a.i),
    AttributeProto.FLOAT: lambda a: float(a.f),
    AttributeProto.STRING: lambda a: a.s.decode("utf-8", "replace"),
    AttributeProto.INTS: lambda a: tuple(a.ints),
    AttributeProto.FLOATS: lambda a: tuple(a.floats),
    AttributeProto.STRINGS: lambda a: tuple(s.decode("utf-8", "replace") for s in a.strings),
}

_SCOPES = ("pkg.torch.onnx.name_scopes", "namespace")


def plain(node: NodeProto) -> dict[str, Any]:
    """Return attributes by name as numbers, strings and tuples.

    A small tensor becomes nested tuples; graphs and large tensors are left out.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type in _PLAIN:
            found[attribute.name] = _PLAIN[attribute.type](attribute)
        elif attribute.type == AttributeProto.TENSOR:
            _add_tensor(found, attribute.name, attribute.t)
    return found


def _add_tensor(found: dict[str, Any], name: str, tensor: TensorProto) -> None:
    value = from_tensor(name, tensor)
    if value.data is not None:
        found[name] = nested(value.data)


def nested(array: np.ndarray[Any, Any]) -> Any:
    """Return an array as nested tuples of Python scalars; rank 0 gives the scalar."""
    return _tuples(array.tolist())


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def module_path(node: NodeProto) -> str:
    """Return the module path that torch's exporters write.

    It stands in a node's metadata, or as ``/encoder/layer.0/attention/MatMul`` in its name.
    """
    for entry in node.metadata_props:
        if entry.key in _SCOPES:
            names = re.findall(r"'([^']*)'", entry.value) or [
                part.split(":")[0].strip() for part in entry.value.split("/")
            ]
            return names[-2] if len(names) > 1 else ""
    if node.name.startswith("/"):
        return ".".join(node.name.strip("/").split("/")[:-1])
    return ""


def bind(node: NodeProto, actual: Mapping[str, AttributeProto]) -> NodeProto:
    """Return a node of a function's body with the caller's attributes for its formal ones, nested graphs included."""
    bound = NodeProto()
    bound.CopyFrom(node)
    _bind_in_place(bound, actual)
    return bound


def _bind_in_place(node: NodeProto, actual: Mapping[str, AttributeProto]) -> None:
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in actual:
                kept.append(_renamed(actual[attribute.ref_attr_name], attribute.name))
            continue
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            for inner in graph.node:
                _bind_in_place(inner, actual)
        kept.append(_renamed(attribute, attribute.name))
    del node.attribute[:]
    node.attribute.extend(kept)


def _renamed(attribute: AttributeProto, name: str) -> AttributeProto:
    copy = AttributeProto()
    copy.CopyFrom(attribute)
    copy.name = name
    return copy


def require_kinds(node: NodeProto, schema: OpSchema) -> None:
    """Raise ``ModelFormatError`` for an attribute that is not the number, text or list that its operator takes."""
    kinds = _kinds(schema.name, schema.since_version, schema.domain)
    for attribute in node.attribute:
        expected = kinds.get(attribute.name, attribute.type)
        if attribute.type != expected:
            raise ModelFormatError(
                f"the attribute {attribute.name!r} of the {node.op_type} node {node.name or node.output[0]!r} is of"
                f" kind {_kind(attribute.type)}, not {_kind(expected)}; the file is damaged, export it again"
            )


@lru_cache(maxsize=1024)
def _kinds(op_type: str, version: int, domain: str) -> dict[str, int]:
    found: Mapping[str, Any] = defs.get_schema(op_type, version, domain).attributes
    return {name: int(attribute.type.value) for name, attribute in found.items()}


def _kind(number: int) -> str:
    try:
        return str(AttributeProto.AttributeType.Name(number))
    except ValueError:
        return str(number)


def subgraph(node: NodeProto, name: str) -> Any:
    """Return the graph attribute of that name. Raises ``ModelFormatError`` if the node has none."""
    for attribute in node.attribute:
        if attribute.name == name and attribute.HasField("g"):
            return attribute.g
    raise ModelFormatError(
        f"the {node.op_type} node {node.name!r} has no graph {name!r}; the file is damaged, export it again"
    )
