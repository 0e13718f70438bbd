"""Describe NVML's error codes in one sentence each, with a remedy."""

from __future__ import annotations

from typing import Any

from joulecast.errors import MeasurementError

UNSUPPORTED = (
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_DEPRECATED",
    "NVML_ERROR_UNKNOWN",  # what a sandbox answers that passes on only some calls
)
"""Error codes of what the card or the driver does not support."""

_TRANSIENT = (
    "NVML_ERROR_TIMEOUT",
    "NVML_ERROR_IN_USE",
    "NVML_ERROR_NO_DATA",
    "NVML_ERROR_NOT_READY",
    "NVML_ERROR_UNKNOWN",
)
"""Error codes after which a later read may succeed."""

_KNOWN = {
    "NVML_ERROR_LIBRARY_NOT_FOUND": (
        "NoDevice",
        "the NVIDIA driver (libnvidia-ml.so.1) is missing here: measure where one is, or let the container have it",
    ),
    "NVML_ERROR_DRIVER_NOT_LOADED": (
        "NoDevice",
        "the NVIDIA driver is not loaded: load it, or let the container have the device",
    ),
    "NVML_ERROR_NO_PERMISSION": (
        "NoPermission",
        "{name} may not be read by this user: run as one who may open /dev/nvidia*, or ask for it",
    ),
    "NVML_ERROR_GPU_IS_LOST": (
        "NoDevice",
        "{name} has fallen off the bus: look into the kernel's log (Xid), and reboot the machine",
    ),
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": (
        "NoDevice",
        "NVML's library and the loaded driver differ in version: reload the driver or reboot the machine",
    ),
    "NVML_ERROR_RESET_REQUIRED": ("NoDevice", "{name} needs a reset before it can be read: reset it, or take another"),
}


def translated(nvml: Any, error: Any, name: str) -> MeasurementError:
    """Describe an NVML error; ``name``: what was read, as it is to appear in the sentence."""
    for constant, (reason, sentence) in _KNOWN.items():
        if error.value == getattr(nvml, constant):
            return MeasurementError(sentence.format(name=name), reason=reason)
    return MeasurementError(
        f"{name} could not be read ({error}): try again, and look into the kernel's log if it lasts",
        transient=error.value in [getattr(nvml, constant, None) for constant in _TRANSIENT],
    )


def refusal(name: str, problem: str, way_out: str, reason: str = "SharedDevice") -> MeasurementError:
    """Refuse to measure a device that exists but must not be measured in its present state."""
    return MeasurementError(
        f"{name} {problem}, so its energy is not one load's alone: {way_out}",
        reason=reason,
        transient=reason == "ForeignProcessOnDevice",
    )
