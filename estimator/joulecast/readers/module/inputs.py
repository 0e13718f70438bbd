"""Example inputs as a call's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulecast.errors import WorkloadError


def arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional arguments of a tuple or list, named ones of a mapping, and anything else as one argument."""
    if isinstance(example_inputs, Mapping):
        strange = next((name for name in example_inputs if not isinstance(name, str)), None)
        if strange is not None:
            raise WorkloadError(f"the example inputs have the key {strange!r}: give argument names as text")
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}
