"""A named network, ready to be run or traced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulecast.readers.named.entry import Task

if TYPE_CHECKING:
    from torch import nn

    from joulecast.graph import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One tensor that is fed.

    - ``dtype``: a name of ``joulecast.graph``.
    - ``below``: ids are whole numbers from 0 up to it, not included; None for real numbers.
    """

    shape: Shape
    dtype: str
    below: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A built network, in evaluation mode and without gradients: ``module(*args, **kwargs)`` is one forward pass.

    - ``name``: the source as given.
    - ``inputs``: what is fed, by name, in the order of ``args`` and ``kwargs``.
    """

    module: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str
    task: Task
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
