"""Execute a network with onnxruntime: export it once, and bind its inputs and outputs to the device's memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.streams import ProcessorLoad

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


def session_load(
    module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], device: torch.device
) -> ProcessorLoad:
    """Build the load of the exported network; each run returns when the device is done (``InferenceSession.run``).

    Raises MeasurementError (RuntimeUnavailable) where onnxruntime or its provider for the device is missing, or the
    network cannot be exported.
    """
    provider, available = PROVIDERS[device.type], available_providers()
    if provider not in available:
        raise MeasurementError(
            f"onnxruntime does not offer {provider} here (available:"
            f" {', '.join(available) or 'nothing, it is not installed'}): install"
            " onnxruntime-gpu, or leave the runtime onnxruntime-cuda out",
            reason="RuntimeUnavailable",
        )
    import onnxruntime

    inputs = [leaf for leaf in tree_leaves((tuple(args), dict(kwargs))) if isinstance(leaf, torch.Tensor)]
    with exported(module, args, kwargs) as path:
        options = [(provider, {"device_id": device.index or 0} if device.type == "cuda" else {})]
        session = onnxruntime.InferenceSession(str(path), providers=options)
    binding = _bound(session, inputs, device)
    torch.cuda.synchronize() if device.type == "cuda" else None
    return ProcessorLoad(lambda: (session.run_with_iobinding(binding), inputs)[0])


def available_providers() -> Sequence[str]:
    """Return the devices that onnxruntime offers here, by its names; none where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    found: Sequence[str] = onnxruntime.get_available_providers()
    return found


@contextmanager
def exported(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Path]:
    """Export an ONNX file with its weights beside it, which is deleted after the block."""
    with tempfile.TemporaryDirectory(prefix="joulecast-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                module, tuple(args), str(path), kwargs=dict(kwargs), dynamo=True, external_data=True, verbose=False
            )
        except Exception as error:
            sentence = (str(error).splitlines() or [""])[0][:200]
            raise MeasurementError(
                f"the network cannot be exported to ONNX ({type(error).__name__}: {sentence}): measure it in torch",
                reason="RuntimeUnavailable",
            ) from None
        yield path


def _bound(session: InferenceSession, inputs: Sequence[torch.Tensor], device: torch.device) -> Any:
    """Bind inputs at their addresses, and outputs to memory that onnxruntime allocates on the device."""
    binding = session.io_binding()
    index = device.index or 0
    for described, tensor in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_input(
            described.name, device.type, index, _ELEMENTS[tensor.dtype], tuple(tensor.shape), tensor.data_ptr()
        )
    for described in session.get_outputs():
        binding.bind_output(described.name, device.type, index)
    return binding


_ELEMENTS: Mapping[torch.dtype, Any] = {
    torch.float32: 1, torch.int64: 7, torch.bool: 9, torch.float16: 10, torch.bfloat16: 16,
}  # fmt: skip
"""``TensorProto.DataType``, which ``bind_input`` takes beside NumPy's types, for it knows more."""
