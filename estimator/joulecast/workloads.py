"""The workload that a user asks for, and the one place that fills in what the user leaves open.

The batch size of a model is, in this order: the one given; the one that the given input shapes hold; the one that the
model fixes; the default of the command. A module that is traced already holds its batch in its example inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulecast.errors import WorkloadError
from joulecast.layers import Workload

if TYPE_CHECKING:
    from joulecast.graph import Shape

BATCH = "batch"
"""Stands for the batch size in a shape."""

PROFILE_BATCH_SIZE = 1
"""The default of a profile: counts per input are what model cards and papers publish."""

FORECAST_BATCH_SIZE = 32
"""The default of a forecast: a usual serving batch, and one of the three that published layer-wise energy studies
measure (1, 32, 128)."""

DEFAULT_ACCELERATOR = "NVIDIA-H200"
DEFAULT_PRECISION = "default"
DEFAULT_RUNTIME = "torch-eager"
DEFAULT_ENGINE = "vllm"
"""The runtime of language models where none is named: what most of them are served by."""
DEFAULT_INPUT_TOKENS = 512
"""Of a language model's pass where none are asked for."""

ShapeRequest = Sequence[int | str]
"""An input's full shape, outermost dimension first; the word ``batch`` stands for the batch size."""

BatchReading = Callable[[int], int]
"""Takes the default batch size and returns the one to use, which the shapes or the model may decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRequest:
    """A workload as the user gives it, whose batch size may still be open.

    - ``batch_size``: None where the shapes, the model or the default decide it.
    - ``default_batch_size``: used where neither the user nor the model says a batch size.
    - ``input_shapes``: full shape by input name.
    - ``input_values``: content of inputs that steer shapes or branches, by input name.
    """

    batch_size: int | None = None
    default_batch_size: int = PROFILE_BATCH_SIZE
    input_shapes: Mapping[str, ShapeRequest] = field(default_factory=dict)
    input_values: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise WorkloadError for a batch size below 1 and for a negative dimension."""
        if self.batch_size is not None:
            check_batch_size(self.batch_size)
        self.shapes_at(1)

    def shapes_at(self, batch_size: int) -> dict[str, Shape]:
        """Return every given shape with ``batch_size`` in the place of the word ``batch``."""
        return {
            name: _checked_shape(name, [batch_size if size == BATCH else size for size in shape])
            for name, shape in self.input_shapes.items()
        }

    @property
    def deciding_shapes(self) -> dict[str, Shape]:
        """The shapes that say the batch size: all of them where it is given, else those without the word ``batch``."""
        if self.batch_size is not None:
            return self.shapes_at(self.batch_size)
        return {name: shape for name, shape in self.shapes_at(1).items() if BATCH not in self.input_shapes[name]}

    def resolve(self, read_batch_size: BatchReading) -> Workload:
        """Return the workload with every number known. Raises WorkloadError where batch sizes disagree."""
        size = read_batch_size(self.default_batch_size)
        check_batch_size(size)
        return Workload(batch_size=size, input_shapes=self.shapes_at(size), input_values=dict(self.input_values))

    def leading_batch_size(self, default: int) -> int:
        """Return the batch size of inputs whose leading dimension is always the batch.

        Raises WorkloadError where the shapes contradict each other or the batch size.
        """
        found = {shape[0]: name for name, shape in self.deciding_shapes.items() if shape}
        if self.batch_size is not None and (not found or self.batch_size in found):
            return self.batch_size
        if len(found) > 1 or self.batch_size is not None:
            sizes = ", ".join(f"{size} by --input {name}" for size, name in found.items())
            said = f" and {self.batch_size} by --batch-size" if self.batch_size is not None else ""
            raise WorkloadError(f"the batch size is {sizes}{said}; give one number")
        return next(iter(found), default)


def traced_workload(shapes: Mapping[str, Shape], batch_size: int | None) -> Workload:
    """Return the workload of example inputs: ``batch_size``, or the leading dimension of the first input that has one.

    Raises WorkloadError for a batch size below 1.
    """
    if batch_size is not None:
        check_batch_size(batch_size)
    leading = next((shape[0] for shape in shapes.values() if shape and shape[0] > 0), 1)
    return Workload(batch_size=leading if batch_size is None else batch_size, input_shapes=dict(shapes))


def check_batch_size(size: int) -> None:
    """Raise WorkloadError for a batch size that is not a whole number from 1 up."""
    if not _is_whole(size) or size < 1:
        raise WorkloadError(f"batch size {size} is not a whole number from 1 up: give how many inputs go in at once")


def _checked_shape(name: str, shape: Sequence[Any]) -> Shape:
    if not all(_is_whole(dimension) and dimension >= 0 for dimension in shape):
        raise WorkloadError(
            f"shape {list(shape)} of input {name!r} has a dimension that is not a whole number from 0 up:"
            " give every size as it is fed"
        )
    return tuple(int(dimension) for dimension in shape)


def _is_whole(number: object) -> bool:
    """Decide whether ``number`` is an integer, of Python or of NumPy."""
    return hasattr(number, "__index__")
