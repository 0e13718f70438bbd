"""Define what a load needs of its device, and describe the device's errors in one sentence each.

Nothing here changes a setting of the device.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from joulecast.errors import JoulecastError, MeasurementError

_UNKNOWN_CACHE_BYTES = 32 << 20  # a processor that does not tell: a common last-level cache
_OUT_OF_MEMORY = (
    "out of memory", "not enough memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)  # fmt: skip
_REFUSALS = ("_NOT_SUPPORTED", "_INVALID_VALUE", "_BAD_PARAM")  # of a library: the context stays whole


class Cuda:
    """The CUDA device ``index``, as CUDA counts, which becomes this process's current device.

    Raises MeasurementError (NoDevice) where torch finds none.
    """

    def __init__(self, index: int = 0) -> None:
        if not torch.cuda.is_available():
            raise MeasurementError(
                "torch finds no CUDA device: run on a machine with a GPU and its driver, or measure on cpu",
                reason="NoDevice",
            )
        torch.cuda.set_device(index)
        self.torch = torch.device("cuda", index)

    def cache_bytes(self) -> int:
        """Return the bytes of the last cache before memory."""
        return int(torch.cuda.get_device_properties(self.torch).L2_cache_size)

    def free_bytes(self) -> int:
        """Return the free bytes of the device, with those that the allocator keeps without using them."""
        cached = torch.cuda.memory_reserved(self.torch) - torch.cuda.memory_allocated(self.torch)
        return int(torch.cuda.mem_get_info(self.torch)[0] + cached)

    def synchronize(self) -> None:
        torch.cuda.synchronize(self.torch)

    def release(self) -> None:
        """Free memory that no tensor holds any more."""
        gc.collect()
        torch.cuda.empty_cache()

    def reset_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.torch)

    def peak_bytes(self) -> int | None:
        """Return the most bytes that tensors occupied at once since ``reset_peak``; None where they are not counted."""
        return int(torch.cuda.max_memory_allocated(self.torch))

    def versions(self) -> Mapping[str, str | None]:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": None if cudnn is None else str(cudnn)}


class Processor:
    """This machine's processor.

    - ``cache_bytes``: 0 asks the system; a small one makes a rehearsal quick.
    """

    def __init__(self, cache_bytes: int = 0) -> None:
        self.torch = torch.device("cpu")
        self._cache_bytes = cache_bytes or _last_level_cache_bytes()

    def cache_bytes(self) -> int:
        return self._cache_bytes

    def free_bytes(self) -> int:
        """Return the bytes that the system could hand out, including its own caches."""
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
        raise MeasurementError("/proc/meminfo does not contain MemAvailable: measure a processor on Linux")

    def synchronize(self) -> None: ...

    def release(self) -> None:
        gc.collect()

    def reset_peak(self) -> None: ...

    def peak_bytes(self) -> int | None:
        return None

    def versions(self) -> Mapping[str, str | None]:
        return {"torch": torch.__version__, "cuda": None, "cudnn": None}


Device = Cuda | Processor
"""A device that loads run on; its ``torch`` says where tensors are made."""


def _last_level_cache_bytes() -> int:
    for name in ("SC_LEVEL3_CACHE_SIZE", "SC_LEVEL2_CACHE_SIZE"):
        size = os.sysconf(name) if name in os.sysconf_names else 0
        if size > 0:
            return size
    return _UNKNOWN_CACHE_BYTES


def described(error: BaseException, what: str) -> MeasurementError:
    """Describe ``error`` as a MeasurementError.

    The reason is ``OutOfMemory``, ``DeviceLost`` (the context cannot be repaired, so the process must end) or
    ``ExecutionFailed``.
    """
    text = _first_line(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in _OUT_OF_MEMORY):
        return out_of_memory(what, text)
    lost = type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
    if lost and not any(word in str(error) for word in _REFUSALS):
        return MeasurementError(f"{what} broke the device's context ({text}): start a new process", reason="DeviceLost")
    return not_executed(error, what)


def not_executed(error: BaseException, what: str) -> MeasurementError:
    return MeasurementError(
        f"{what} cannot be executed ({type(error).__name__}: {_first_line(error)})", reason="ExecutionFailed"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def out_of_memory(what: str, text: str) -> MeasurementError:
    return MeasurementError(
        f"{what} does not fit into the device's memory ({text}): measure a smaller batch", reason="OutOfMemory"
    )


@contextmanager
def described_errors(device: Device, what: str) -> Iterator[None]:
    """Convert errors inside the block to MeasurementError or another joulecast error, after freeing their memory."""
    try:
        yield
    except JoulecastError:
        raise
    except Exception as error:
        failure = described(error, what)
        if failure.reason == "DeviceLost" and works(device):
            failure = not_executed(error, what)
        traceback.clear_frames(error.__traceback__)  # their locals hold tensors
    else:
        return
    if failure.reason != "DeviceLost":
        device.release()
    raise failure


def works(device: Device) -> bool:
    """Return whether the context still computes.

    A launch with an impossible configuration is refused and changes nothing else, while after an illegal access every
    further call fails.
    """
    try:
        device.synchronize()
        return bool(torch.ones(1, device=device.torch).add_(1).item() == 2)
    except RuntimeError:
        return False
