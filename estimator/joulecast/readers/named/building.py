"""Build the module and the inputs of a named source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from joulecast.errors import WorkloadError
from joulecast.readers.named.built import Built
from joulecast.readers.named.initialisation import Uninitialised
from joulecast.readers.named.libraries import entry_named, module_of
from joulecast.readers.named.tensors import reshaped, specs, tensors

if TYPE_CHECKING:
    from torch import nn

    from joulecast.graph import Shape
    from joulecast.readers.named.entry import Entry

DTYPES = ("float32", "bfloat16", "float16")


def build(
    source: str,
    *,
    batch_size: int = 1,
    sequence_length: int | None = None,
    seconds: float | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    initialise: bool = False,
    input_shapes: Mapping[str, Shape] | None = None,
) -> Built:
    """Build the network that ``source`` names (``timm:vit_base_patch16_224``), and its inputs. Nothing is ever fetched.

    ``sequence_length``: tokens of a text model; ``seconds``: of an audio model; each model's own unless said.
    ``input_shapes``: full shape of an input by name, batch included, in place of its own. With ``initialise`` the
    module's own initialisation runs and inputs are drawn; without, parameters are untouched memory and inputs zero:
    enough to trace, and quick.
    Raises ModelReferenceError for a name that is unknown or that the installed library lacks, WorkloadError for a
    length or shape that the network cannot have, JoulecastError if its library is not installed.
    """
    if dtype not in DTYPES:
        raise WorkloadError(f"networks cannot be built in dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    entry = entry_named(source)
    with _default_dtype(dtype), nullcontext() if initialise else Uninitialised():
        module = module_of(entry)
    inputs = specs(
        entry,
        batch_size=batch_size,
        sequence_length=sequence_length,
        seconds=seconds,
        dtype=dtype,
        vocabulary=_vocabulary(module),
    )
    inputs = reshaped(source, inputs, input_shapes or {}, batch_size)
    fed = tensors(inputs, device=device, drawn=initialise)
    return Built(
        module=_placed(module, entry, dtype=dtype, device=device, initialise=initialise),
        args=tuple(fed.values()) if entry.positional else (),
        kwargs={} if entry.positional else fed,
        name=source,
        task=entry.task,
        inputs=inputs,
    )


@contextmanager
def _default_dtype(dtype: str) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _vocabulary(module: nn.Module) -> int:
    """Return how many token ids the embedding of ``module`` has; 1 without an embedding."""
    configuration = getattr(module, "config", None)
    if configuration is None:
        return 1
    return int(getattr(configuration.get_text_config(), "vocab_size", None) or 1)


def _placed(module: nn.Module, entry: Entry, *, dtype: str, device: str, initialise: bool) -> nn.Module:
    """Convert and move a module: vision networks are cast whole, as their users do.

    Transformers keep their own dtypes.
    """
    if entry.library != "transformers":
        module = module.to(getattr(torch, dtype))
    if torch.device(device).type == "cpu":
        return module
    return module.to(device) if initialise else module._apply(lambda tensor: _moved(tensor, device))  # type: ignore[no-untyped-call]


def _moved(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Return the tensor on the device; parameters without values are created there instead of copied."""
    if isinstance(tensor, torch.nn.Parameter):
        return torch.empty_like(tensor, device=device)
    return tensor.to(device)
