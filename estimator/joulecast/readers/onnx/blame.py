"""Decide whether a node that cannot be read is damaged in the file or is a defect of joulecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import IR_VERSION, checker

from joulecast.errors import InternalInconsistencyError, JoulecastError, ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import NodeProto

UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What plain Python raises where something is not as it was taken to be."""

OF_DATA = (ArithmeticError, LookupError, ValueError)
"""Those of them that a node with inputs of other shapes than its operator has may cause."""

CHECKED = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Domains whose operators the standard describes, so that its checker knows a damaged node."""

REPORT = "this is a defect of joulecast, not of the model: please report it with the graph (no weights are needed)"


def of_node(error: Exception, node: NodeProto, name: str, opsets: Mapping[str, int]) -> JoulecastError:
    """Return the error to raise for an exception that reading a node caused.

    A node that the standard's checker refuses, or of a domain without a standard, is damaged; a valid node was read
    wrongly, which is a defect of joulecast.
    """
    fault = damage(node, opsets)
    if isinstance(error, RecursionError):
        fault = fault or "its graphs lie too deep inside one another"
    if node.domain not in CHECKED and isinstance(error, OF_DATA):
        fault = fault or one_line(error)
    if fault is not None:
        return ModelFormatError(
            f"the {node.op_type} node {name!r} cannot be understood ({fault}); the file is damaged, export it again"
        )
    return internal(error, f"reading the {node.op_type} node {name!r}")


def of_model(error: Exception, name: str) -> JoulecastError:
    """Return the error to raise for an exception outside of any node."""
    if isinstance(error, RecursionError):
        return ModelFormatError(f"the graphs of {name} are nested too deeply; the file is damaged, export it again")
    return internal(error, f"reading {name}")


def internal(error: Exception, doing: str) -> InternalInconsistencyError:
    return InternalInconsistencyError(f"{doing} failed ({type(error).__name__}: {one_line(error)}); {REPORT}")


def damage(node: NodeProto, opsets: Mapping[str, int]) -> str | None:
    """Return what ONNX's checker says against the node, ``None`` if nothing."""
    context = checker.C.CheckerContext()
    context.ir_version = IR_VERSION
    context.opset_imports = dict(opsets)
    try:
        checker.check_node(node, context)
    except Exception as error:  # the checker's own, and protobuf's for bytes that are not a message
        return one_line(error)
    return None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
