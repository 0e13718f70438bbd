"""Read a whole NVIDIA card as a sensor through NVML. No setting of the card is ever changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from joulecast.accelerators.product_names import whole_label
from joulecast.errors import MeasurementError
from joulecast_calibration.meter.nvml_errors import UNSUPPORTED, refusal, translated
from joulecast_calibration.meter.processes import DeviceProcesses
from joulecast_calibration.meter.sensor import Card, DeviceState

REASONS = (
    ("GpuIdle", "gpu_idle"),
    ("ApplicationsClocksSetting", "applications_clocks_setting"),
    ("SwPowerCap", "sw_power_cap"),
    ("HwSlowdown", "hw_slowdown"),
    ("SyncBoost", "sync_boost"),
    ("SwThermalSlowdown", "sw_thermal_slowdown"),
    ("HwThermalSlowdown", "hw_thermal_slowdown"),
    ("HwPowerBrakeSlowdown", "hw_power_brake_slowdown"),
    ("DisplayClockSetting", "display_clock_setting"),
    ("BoardLimit", "board_limit"),
    ("Reliability", "reliability"),
)
"""nvml.h's nvmlClocksEventReason… and its older spelling nvmlClocksThrottleReason…, and the name used here for each."""

_MEMBERS = (
    ("NVML_VALUE_TYPE_UNSIGNED_INT", "uiVal"),
    ("NVML_VALUE_TYPE_UNSIGNED_LONG", "ulVal"),
    ("NVML_VALUE_TYPE_UNSIGNED_LONG_LONG", "ullVal"),
    ("NVML_VALUE_TYPE_SIGNED_LONG_LONG", "sllVal"),
    ("NVML_VALUE_TYPE_SIGNED_INT", "siVal"),
    ("NVML_VALUE_TYPE_DOUBLE", "dVal"),
)
"""nvml.h: which member of nvmlValue_t holds a value, by its nvmlValueType_t."""

_SLOW = ("NVML_DEVICE_ARCH_KEPLER", "NVML_DEVICE_ARCH_MAXWELL")
_SLOW_NOTE = "power readings of this generation follow a step as a capacitor charges, over some 0.35 s (Yang et al.)"
_UNLISTED_NOTE = "the driver does not list processes: a foreign process on the device would go unseen"
_GRACE_SECONDS = 5.0  # for a process that has just ended to leave the driver's list
_LOOK_SECONDS = 0.25
_FOREIGN_BYTES = 200 * 2**20  # less than one CUDA context takes (some 250 to 500 MiB since Volta)


class NvmlSensor:
    """A sensor on the card ``index`` of NVML. Make it before this process has a context on the device.

    ``power_watts`` is the driver's instant figure where it has one (NVML_FI_DEV_POWER_INSTANT), as the notes of
    ``card`` say, else its power usage. Raises MeasurementError where there is no such card (``NoDevice``), it may not
    be read (``NoPermission``), is a slice or shared (``SharedDevice``), or is in use (``ForeignProcessOnDevice``).
    """

    card: Card

    def __init__(self, index: int = 0, *, nvml: Any = None) -> None:
        self._nvml = started(nvml)
        try:
            self._open(index)
        except BaseException:
            self.close()
            raise

    def energy_joules(self) -> float | None:
        if not self._counts:
            return None
        return float(self._read(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)) / 1000.0

    def power_watts(self) -> float:
        if self._instant:
            watts = self._instant_watts()
            if watts is None:  # nvmlDeviceGetPowerUsage may average over a second: never both in one window
                raise MeasurementError(f"{self._name} did not report its power: try again", transient=True)
            return watts
        return float(self._read(self._nvml.nvmlDeviceGetPowerUsage, self._handle)) / 1000.0

    def state(self) -> DeviceState:
        nvml, handle = self._nvml, self._handle
        return DeviceState(
            sm_clock_mhz=_float(self._optional(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=_float(self._optional(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM)),
            temperature_celsius=_float(
                self._optional(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            throttle_reasons=self._throttle_reasons(),
        )

    def foreign_processes(self) -> tuple[int, ...]:
        listed = self._listed()
        return self._device_processes.foreign_processes(listed) if listed is not None else ()

    def close(self) -> None:
        """Release NVML; a second call does nothing."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            with suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def _open(self, index: int) -> None:
        nvml = self._nvml
        self._handle = self._device(index)
        self._name = f"device {index} ({_text(self._read(nvml.nvmlDeviceGetName, self._handle))})"
        self._refuse_shared()
        self._device_processes = DeviceProcesses()
        self._refuse_occupied()
        self._counts = self._optional(nvml.nvmlDeviceGetTotalEnergyConsumption, self._handle) is not None
        self._instant = self._instant_watts() is not None
        if not self._instant:
            self._refuse_unpowered()
        self.card = self._identify()

    def _device(self, index: int) -> Any:
        count = self._read(self._nvml.nvmlDeviceGetCount)
        if not 0 <= index < count:
            raise MeasurementError(
                f"NVIDIA device {index} does not exist: the driver lists {count}, numbered from 0;"
                " choose one, or in a container let it have the device",
                reason="NoDevice",
            )
        return self._read(self._nvml.nvmlDeviceGetHandleByIndex, index)

    def _refuse_shared(self) -> None:
        nvml = self._nvml
        mode = self._optional(nvml.nvmlDeviceGetMigMode, self._handle)
        if mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE:
            raise refusal(
                self._name, "is divided by MIG, whose slices do not count energy", "measure on a card in whole"
            )
        virtual = self._optional(nvml.nvmlDeviceGetVirtualizationMode, self._handle)
        whole = (None, nvml.NVML_GPU_VIRTUALIZATION_MODE_NONE, nvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH)
        if virtual not in whole:
            raise refusal(self._name, "is a virtual GPU or lends some", "measure on a card passed through in whole")
        if self._optional(nvml.nvmlDeviceGetMPSComputeRunningProcesses, self._handle):
            raise refusal(self._name, "is shared by MPS", "stop the MPS server, or measure on another card")

    def _refuse_occupied(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        while (problem := self._occupation()) is not None:
            if time.monotonic() >= deadline:
                raise refusal(self._name, problem, "end it, or take a card of your own", "ForeignProcessOnDevice")
            time.sleep(_LOOK_SECONDS)

    def _occupation(self) -> str | None:
        listed = self._listed()
        foreign = self._device_processes.foreign_before_context(listed or ())
        if foreign:
            processes = ", ".join(str(process) for process in foreign)
            return (
                f"is in use by process {processes} (in a container this may be your own,"
                " if it used the device before its sensor was made)"
            )
        used = self._used_bytes()
        if not listed and used is not None and used > _FOREIGN_BYTES:
            return f"has {used // 2**20} MiB in use, though no process is listed: one that this container cannot see"
        return None

    def _used_bytes(self) -> int | None:
        """Return the used bytes without the driver's own, which only the second version of the call counts apart."""
        memory = self._optional(self._nvml.nvmlDeviceGetMemoryInfo, self._handle, self._nvml.nvmlMemory_v2)
        return None if memory is None else int(memory.used)

    def _listed(self) -> list[int] | None:
        """Return the process ids on the device; None where the driver does not list them."""
        compute, graphics = (
            self._processes(f"nvmlDeviceGet{kind}RunningProcesses") for kind in ("Compute", "Graphics")
        )
        if compute is None:
            return None
        computing = [int(process.pid) for process in compute]
        return computing + [int(process.pid) for process in graphics or () if int(process.pid) not in computing]

    def _processes(self, call: str) -> Any:
        """Call the newest version of ``call`` that the driver supports (third: 510, second: 450)."""
        found = self._optional(getattr(self._nvml, call), self._handle)
        return self._optional(getattr(self._nvml, f"{call}_v2"), self._handle) if found is None else found

    def _refuse_unpowered(self) -> None:
        if self._optional(self._nvml.nvmlDeviceGetPowerUsage, self._handle) is None and not self._counts:
            raise MeasurementError(
                f"{self._name} reports neither energy nor power: measure on a card of a newer generation",
                reason="NoCounter",
            )

    def _identify(self) -> Card:
        nvml, handle = self._nvml, self._handle
        limit = self._optional(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        return Card(
            accelerator=whole_label(_text(self._read(nvml.nvmlDeviceGetName, handle))),
            card=card_name(_text(self._read(nvml.nvmlDeviceGetUUID, handle))),
            driver=_text(self._read(nvml.nvmlSystemGetDriverVersion)),
            power_limit_watts=None if limit is None else float(limit) / 1000.0,
            memory_bytes=int(self._read(nvml.nvmlDeviceGetMemoryInfo, handle).total),
            simulated=False,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        nvml = self._nvml
        architecture = self._optional(nvml.nvmlDeviceGetArchitecture, self._handle)
        slow = architecture in [getattr(nvml, name) for name in _SLOW]
        source = "NVML_FI_DEV_POWER_INSTANT" if self._instant else "nvmlDeviceGetPowerUsage"
        unlisted = self._listed() is None
        return (f"power reading: {source}", *([_SLOW_NOTE] if slow else []), *([_UNLISTED_NOTE] if unlisted else []))

    def _instant_watts(self) -> float | None:
        nvml = self._nvml
        values = self._optional(
            nvml.nvmlDeviceGetFieldValues,
            self._handle,
            [nvml.NVML_FI_DEV_POWER_INSTANT],
            also="NVML_ERROR_INVALID_ARGUMENT",
        )  # which is what a driver says that does not know the field
        if not values or values[0].nvmlReturn != nvml.NVML_SUCCESS:
            return None
        member = next((name for kind, name in _MEMBERS if getattr(nvml, kind) == values[0].valueType), None)
        return None if member is None else float(getattr(values[0].value, member)) / 1000.0

    def _throttle_reasons(self) -> tuple[str, ...]:
        bits = self._optional(self._nvml.nvmlDeviceGetCurrentClocksEventReasons, self._handle)
        if bits is None:  # drivers before 535 know the call by its older name only
            bits = self._optional(self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._handle)
        return tuple(ours for theirs, ours in REASONS if (bits or 0) & _bit(self._nvml, theirs))

    def _read(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            raise translated(self._nvml, error, getattr(self, "_name", "the NVIDIA driver")) from error

    def _optional(self, call: Callable[..., Any], *arguments: Any, also: str = "") -> Any:
        """Return None where the card or the driver does not support the call, or answers ``also``."""
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in [getattr(self._nvml, name) for name in (*UNSUPPORTED, also) if name]:
                return None
            raise translated(self._nvml, error, getattr(self, "_name", "the NVIDIA driver")) from error


def started(nvml: Any = None) -> Any:
    """Import pynvml, of the package nvidia-ml-py, and initialise it. Raises MeasurementError (``NoDevice``)."""
    if nvml is None:
        try:
            nvml = import_module("pynvml")
        except ImportError:
            raise MeasurementError(
                "no NVIDIA device can be read, since pynvml is not installed: pip install nvidia-ml-py",
                reason="NoDevice",
            ) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise translated(nvml, error, "the NVIDIA driver") from error
    return nvml


def nvml_index(cuda_index: int = 0, *, environ: Mapping[str, str] = os.environ, nvml: Any = None) -> int:
    """Return NVML's number of the CUDA device ``cuda_index``, by CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER.

    Raises MeasurementError for a MIG slice, a device that is not there, and an order that only CUDA knows: without
    CUDA_DEVICE_ORDER=PCI_BUS_ID it puts the fastest first, which numbers different cards in another way than NVML.
    """
    visible = [entry.strip() for entry in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    if not visible:
        return _ordered(cuda_index, environ, nvml)
    if cuda_index >= len(visible):
        raise MeasurementError(
            f"CUDA_VISIBLE_DEVICES={','.join(visible)} shows {len(visible)} devices, which do not include number"
            f" {cuda_index}: choose a smaller one",
            reason="NoDevice",
        )
    entry = visible[cuda_index]
    if entry.startswith("MIG"):
        raise refusal(entry, "is a MIG slice, whose energy is not counted", "measure on a card in whole")
    return _ordered(int(entry), environ, nvml) if entry.isdigit() else _index_of_uuid(entry, nvml)


def _ordered(index: int, environ: Mapping[str, str], nvml: Any) -> int:
    if environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return index
    nvml = started(nvml)
    try:
        count = nvml.nvmlDeviceGetCount()
        names = {_text(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(each))) for each in range(count)}
    finally:
        nvml.nvmlShutdown()
    if len(names) > 1:
        raise MeasurementError(
            f"this machine has {' and '.join(sorted(names))}, which CUDA numbers by speed and NVML by slot:"
            " set CUDA_DEVICE_ORDER=PCI_BUS_ID",
            reason="NoDevice",
        )
    return index


def _index_of_uuid(uuid: str, nvml: Any) -> int:
    nvml = started(nvml)
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            if _text(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))).startswith(uuid):
                return index
    finally:
        nvml.nvmlShutdown()
    raise MeasurementError(
        "CUDA_VISIBLE_DEVICES names a device that NVML does not list: take it from `nvidia-smi -L`", reason="NoDevice"
    )


def _bit(nvml: Any, name: str) -> int:
    either = getattr(nvml, f"nvmlClocksEventReason{name}", 0) or getattr(nvml, f"nvmlClocksThrottleReason{name}", 0)
    return int(either)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


_SALT = b"joulecast: which card measured this"  # public and fixed, so that one card has one name everywhere
_ROUNDS = 600_000  # PBKDF2-HMAC-SHA256 (OWASP Password Storage Cheat Sheet)
_DIGITS = 16  # 64 bits: two of 10,000 cards share a name with a probability of 3e-12


@cache
def card_name(uuid: str) -> str:
    """Return ``card-`` and a slow hash of a device's UUID, from which the UUID cannot be recovered."""
    digest = hashlib.pbkdf2_hmac("sha256", uuid.encode(), _SALT, _ROUNDS)
    return f"card-{digest.hex()[:_DIGITS]}"
