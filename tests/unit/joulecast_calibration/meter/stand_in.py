"""A stand-in for the module pynvml: the real one's constants, structures and exceptions, and cards that are data."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml


def not_supported(*_: Any) -> Any:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@dataclass
class FakeCard:
    """What NVML would say. ``millijoules`` None: no counter. ``broken``: call -> the NVML error code it gives."""

    name: str = "NVIDIA H100 80GB HBM3"
    uuid: str = "GPU-1a2b3c4d-0000-1111-2222-333344445555"
    millijoules: int | None = 5_000_000
    milliwatts: int = 312_500
    instant_milliwatts: int | None = 400_250
    architecture: int = pynvml.NVML_DEVICE_ARCH_HOPPER
    mig: bool = False
    virtualization: int = pynvml.NVML_GPU_VIRTUALIZATION_MODE_NONE
    reasons: int = 0
    compute: list[int] = field(default_factory=list)
    graphics: list[int] = field(default_factory=list)
    mps: list[int] = field(default_factory=list)
    used_bytes: int = 4 * 2**20
    broken: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """Stands for the module. Constants and exceptions are the real module's; a call that no card answers fails."""

    def __init__(self, *cards: FakeCard, broken: dict[str, int] | None = None) -> None:
        self.cards = list(cards)
        self.broken = broken or {}
        self.open = 0
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("nvmlDevice", "nvmlSystem", "nvmlInit", "nvmlShutdown")):
            return lambda *arguments: self._call(name, *arguments)
        return getattr(pynvml, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        card = arguments[0] if arguments and isinstance(arguments[0], FakeCard) else None
        code = self.broken.get(name) or (card.broken.get(name) if card else None)
        if code is not None:
            raise pynvml.NVMLError(code)
        return getattr(self, f"_{name}")(*arguments)

    def _nvmlInit(self) -> None:  # noqa: N802 - NVML's names, here and below
        self.open += 1

    def _nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def _nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65.06"

    def _nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def _nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:  # noqa: N802
        return self.cards[index]

    def _nvmlDeviceGetName(self, card: FakeCard) -> str:  # noqa: N802
        return card.name

    def _nvmlDeviceGetUUID(self, card: FakeCard) -> str:  # noqa: N802
        return card.uuid

    def _nvmlDeviceGetArchitecture(self, card: FakeCard) -> int:  # noqa: N802
        return card.architecture

    def _nvmlDeviceGetTotalEnergyConsumption(self, card: FakeCard) -> int:  # noqa: N802
        return card.millijoules if card.millijoules is not None else not_supported()

    def _nvmlDeviceGetPowerUsage(self, card: FakeCard) -> int:  # noqa: N802
        return card.milliwatts

    def _nvmlDeviceGetFieldValues(self, card: FakeCard, fields: list[int]) -> list[Any]:  # noqa: N802
        assert fields == [pynvml.NVML_FI_DEV_POWER_INSTANT]
        known = card.instant_milliwatts is not None
        code = pynvml.NVML_SUCCESS if known else pynvml.NVML_ERROR_NOT_SUPPORTED
        value = pynvml.c_nvmlFieldValue_t(nvmlReturn=code, valueType=pynvml.NVML_VALUE_TYPE_UNSIGNED_INT)
        value.value.ullVal = 2**64 - 1  # what else lies in the union
        value.value.uiVal = card.instant_milliwatts or 0
        return [value]

    def _nvmlDeviceGetEnforcedPowerLimit(self, card: FakeCard) -> int:  # noqa: N802
        return 700_000

    def _nvmlDeviceGetMemoryInfo(self, card: FakeCard, version: int | None = None) -> Any:  # noqa: N802
        return SimpleNamespace(total=80 * 2**30, used=card.used_bytes)

    def _nvmlDeviceGetMigMode(self, card: FakeCard) -> list[int]:  # noqa: N802
        return [int(card.mig), int(card.mig)]

    def _nvmlDeviceGetVirtualizationMode(self, card: FakeCard) -> int:  # noqa: N802
        return card.virtualization

    def _nvmlDeviceGetMPSComputeRunningProcesses(self, card: FakeCard) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in card.mps]

    def _nvmlDeviceGetComputeRunningProcesses(self, card: FakeCard) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in card.compute]

    _nvmlDeviceGetComputeRunningProcesses_v2 = _nvmlDeviceGetComputeRunningProcesses  # noqa: N815

    def _nvmlDeviceGetGraphicsRunningProcesses(self, card: FakeCard) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in card.graphics]

    _nvmlDeviceGetGraphicsRunningProcesses_v2 = _nvmlDeviceGetGraphicsRunningProcesses  # noqa: N815

    def _nvmlDeviceGetClockInfo(self, card: FakeCard, kind: int) -> int:  # noqa: N802
        return {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619}[kind]

    def _nvmlDeviceGetTemperature(self, card: FakeCard, kind: int) -> int:  # noqa: N802
        assert kind == pynvml.NVML_TEMPERATURE_GPU
        return 54

    def _nvmlDeviceGetCurrentClocksEventReasons(self, card: FakeCard) -> int:  # noqa: N802
        return card.reasons

    def _nvmlDeviceGetCurrentClocksThrottleReasons(self, card: FakeCard) -> int:  # noqa: N802
        return card.reasons


class RunningNvml(FakeNvml):
    """One card that draws ``watts`` whatever it does; its counter moves every 100 ms of the machine's clock."""

    def __init__(self, watts: float) -> None:
        super().__init__(FakeCard(instant_milliwatts=round(1000 * watts)))
        self.watts = watts

    def _nvmlDeviceGetTotalEnergyConsumption(self, card: FakeCard) -> int:  # noqa: N802
        return round(1000 * self.watts * (time.monotonic() // 0.1 * 0.1))
