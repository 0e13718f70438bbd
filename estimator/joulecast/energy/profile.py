"""What is known of one accelerator: its limits, the law's coefficients, their origin and their errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from joulecast import schema
from joulecast.energy.model import ARITHMETIC, FAMILIES, Origin
from joulecast.errors import DocumentError, NotCalibratedError
from joulecast.schema import Keys, Text, Within

SIMULATED_ALLOWED = "JOULECAST_ALLOW_SIMULATED_PROFILES"
"""Environment variable: 1 where tests make and price profiles of a simulated device."""

OF_ALL_CARDS = "what networks on "
"""Begins what a source of rows says of cards that did not run them."""
OF_THIS_CARD = "seconds of networks on this card"
"""What a source of rows says of the card itself where no joules of its networks are known."""
OPERATORS_OF_THIS_CARD = "seconds of operators on this card"
"""The same where no networks were timed either."""
SCHEMA_VERSION = 3
"""Raised when a field is added, renamed, removed or changes meaning: a profile has no field that is not known."""

# Bounds keep out invalid values: a wrong sign, a mistaken unit, a missing number. They do not say what is
# likely, so that no card to come is refused. ADR 0145 says why they are what they are.
POWER_LIMIT_WATTS = Within(1, 100_000, "W")
"""From a module of a few watts to four times the 23 kW of the largest accelerator sold (Cerebras CS-3)."""
BOOST_CLOCK_MHZ = Within(1, 10_000, "MHz")
"""No processor reaches 10 GHz."""
PRODUCT = Text(63, pattern="[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
"""What Kubernetes takes as the value of a label."""

_Sentence = Annotated[str, Text(1024, shortest=0)]
_Name = Annotated[str, Text(256)]
_FlopsPerSecond = Annotated[float, Within(1e8, 1e18, "FLOP/s")]
"""From a microcontroller to a hundred times the fastest card of the data sheets, 2.5e15."""
_BytesPerSecond = Annotated[float, Within(1e6, 1e17, "B/s")]
"""From a serial flash to five times the 21 PB/s of on-wafer SRAM (Cerebras WSE-3)."""
_Megahertz = Annotated[float, BOOST_CLOCK_MHZ]
_Multiprocessors = Annotated[float, Within(1, 1e6)]
"""To the 900,000 cores of a Cerebras WSE-3."""
_Watts = Annotated[float, Within(0, POWER_LIMIT_WATTS.high, "W")]
_Joules = Annotated[float, Within(0, 1e-6, "J")]
"""Of an operation, an instruction or a byte: 0.9 to 3.7 pJ, 70 pJ, and 0.16 to 0.33 nJ from DRAM, in 45 nm (Horowitz,
ISSCC 2014, figure 1.1.9). 1 µJ is three thousand times the dearest."""
_Share = Annotated[float, Within(1e-3, 2)]
"""Of a peak or a bandwidth as published. Above 1 where a card runs faster than the clock that its peak is quoted at."""
_Relative = Annotated[float, Within(1e-3, 1e3)]
"""To the pace of other kernels, at most a thousand times faster or slower."""
_Elements = Annotated[float, Within(0, 1e5)]
"""Of an edge or a depth of a product: beyond any tile."""
_Instructions = Annotated[float, Within(0, 1e6)]
"""Of one thread for one element: shipped ones are below 100."""
_Sharpness = Annotated[float, Within(0.1, 1e6)]
"""1: nothing overlaps; below, parts hinder one another; above 100 the longest part alone counts."""
_Seconds = Annotated[float, Within(0, 1, "s")]
"""Of one launch or one kernel's end, which take microseconds."""
_HeldShare = Annotated[float, Within(0.1, 1)]
"""Of the power limit: a control that holds less than a tenth of it would be none."""
_VoltageFloor = Annotated[float, Within(0, 1)]
_VoltageExponent = Annotated[float, Within(0, 100)]
"""7 fits an A100; with 100 a clock of 1.25 × boost still gives a number."""
_Level = Annotated[float, Within(0.5, 0.999)]
_LogHalfWidth = Annotated[float, Within(0, 10)]
"""10 is a factor of 22,000 either way."""
_Probability = Annotated[float, Within(0, 1)]
_Count = Annotated[int, Within(0, 10**9)]
_Figure = Annotated[float, Within(0, 1e9)]
"""An error as a share, a share, or a count of rows."""
_Size = Annotated[float, Within(0, 1e30)]
"""FLOPs or bytes of one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Coefficients of the law; ``energy.physical`` has the equations.

    - ``compute_efficiency``: share of the peak that the largest tiles reach, by arithmetic.
    - ``tile_edge``: edge in elements at which a square tile spends as long on fetching its operands as on multiplying
      them, halved, by arithmetic.
    - ``depth``: extra k of a product's prologue, in the fastest arithmetic.
    - ``transposed_depth``: more of it where the weights lie as (n, k), by arithmetic; 0 where it is not named.
    - ``family_compute``, ``family_memory``: what a family of kernels reaches relative to a matrix product's rate and to
      ``memory_efficiency``; 1 where it is not named.
    - ``instructions``: that one thread issues for one element of a row without MACs, by family.
    - ``sharpness``: exponent of the soft maximum.
    - ``flop_joules``, ``instruction_joules``, ``byte_joules``: dynamic energy at boost.
    - ``static_watts`` + ``clock_watts`` × x·V²(x): power of a busy chip before any dynamic energy.
    - ``gap_watts`` + ``clock_watts`` × x·V²(x): power with a context alive, clocks up and no kernel.
    - ``held_share``: what the card's control holds under its power limit.
    - ``voltage_floor``, ``voltage_exponent``: V²(x) = floor + (1 − floor)·x^exponent, x = clock over boost clock.
    """

    compute_efficiency: Annotated[Mapping[str, _Share], Keys(ARITHMETIC)]
    tile_edge: Annotated[Mapping[str, _Elements], Keys(ARITHMETIC)]
    depth: _Elements
    transposed_depth: Annotated[Mapping[str, _Elements], Keys(ARITHMETIC)]
    family_compute: Annotated[Mapping[str, _Relative], Keys(FAMILIES)]
    memory_efficiency: _Share
    family_memory: Annotated[Mapping[str, _Relative], Keys(FAMILIES)]
    instructions: Annotated[Mapping[str, _Instructions], Keys(FAMILIES)]
    sharpness: _Sharpness
    tail_seconds: _Seconds
    flop_joules: Annotated[Mapping[str, _Joules], Keys(ARITHMETIC)]
    instruction_joules: _Joules
    byte_joules: _Joules
    static_watts: _Watts
    clock_watts: _Watts
    gap_watts: _Watts
    held_share: _HeldShare
    voltage_floor: _VoltageFloor
    voltage_exponent: _VoltageExponent


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Seconds that the launching process spends on a kernel, a view, a module call and a forward pass.

    - ``measured_on``: the host that was measured.
    """

    kernel_seconds: _Seconds
    view_seconds: _Seconds
    forward_seconds: _Seconds
    measured_on: _Name
    module_call_seconds: _Seconds

    def paced(self, times: float) -> Host:
        """Return a host that takes ``times`` as long for everything."""
        return replace(
            self,
            kernel_seconds=times * self.kernel_seconds,
            view_seconds=times * self.view_seconds,
            forward_seconds=times * self.forward_seconds,
            module_call_seconds=times * self.module_call_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRows:
    """Rows that share an origin of joules: op types (``*``: any) in these arithmetics have ``origin``."""

    origin: Origin
    arithmetics: tuple[_Name, ...]
    op_types: tuple[_Name, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The prediction interval: true / forecast lies within exp(± ``log_half_width``).

    - ``log_half_width``: half-width as a natural logarithm.
    - ``groups``: calibration groups behind it.
    - ``guaranteed``: True from nine groups on.
    - ``coverage``: on held-out rows, where that was measured.
    - ``rule``: how the width was found, in one sentence.
    """

    level: _Level
    log_half_width: _LogHalfWidth
    groups: _Count
    guaranteed: bool
    rule: _Sentence
    coverage: _Probability | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFrom:
    """One source of rows that were fitted: kind, number, owner and licence."""

    name: _Sentence
    what: _Sentence
    rows: _Count
    origin: _Sentence
    licence: _Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorProfile:
    """Everything that prices a model on one accelerator.

    - ``product``: the node label's value, normalised.
    - ``peak_flops``: dense operations per second at the boost clock, by arithmetic.
    - ``lacks``: arithmetics the hardware does not have.
    - ``unverified``: data-sheet values that only one unread source states.
    - ``held_out``: figures on rows that the fit did not see.
    - ``training_range``: smallest and largest FLOPs and bytes of a row that was fitted.
    - ``driver``: None where the rows do not say.
    - ``simulated``: fitted on rows of a simulated device, for tests alone.
    """

    product: Annotated[str, PRODUCT]
    origin: Origin
    architecture: _Name
    peak_flops: Annotated[Mapping[str, _FlopsPerSecond], Keys(ARITHMETIC, least=1)]
    lacks: tuple[_Name, ...]
    bandwidth_bytes_per_second: _BytesPerSecond
    power_limit_watts: Annotated[float, POWER_LIMIT_WATTS]
    boost_clock_mhz: _Megahertz | None
    multiprocessors: _Multiprocessors
    law: Law
    hosts: Annotated[Mapping[str, Host], Keys(least=1)]
    interval: Interval
    energy_rows: tuple[EnergyRows, ...] = ()
    fitted_from: tuple[FittedFrom, ...] = ()
    unverified: tuple[_Name, ...] = ()
    held_out: Mapping[str, _Figure] = field(default_factory=dict)
    training_range: Annotated[Mapping[str, tuple[_Size, _Size]], Keys(("flops", "bytes"))] = field(default_factory=dict)
    driver: _Name | None = None
    suite: _Name | None = None
    simulated: bool = False
    schema_version: int = SCHEMA_VERSION

    @property
    def runtimes(self) -> tuple[str, ...]:
        return tuple(self.hosts)

    @property
    def precisions(self) -> tuple[str, ...]:
        """``default`` if it can be priced, and every arithmetic with a peak."""
        missing = {"fp32", "tf32"} - set(self.peak_flops) - set(self.lacks)
        return (*(() if missing else ("default",)), *self.peak_flops)

    def to_json(self) -> str:
        """Return the profile as JSON text; equal profiles give equal text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, *, called: str = "this") -> AcceleratorProfile:
        """Return the profile that ``to_json`` wrote. ``called``: the name in messages, such as its file.

        Raises NotCalibratedError (InvalidProfile), naming the field, for any other text, and for one that no
        accelerator can have: a coefficient out of bounds, an unknown field or origin, a peak without its joules.
        """
        try:
            return _profile(schema.parse(text))
        except DocumentError as error:
            raise NotCalibratedError(
                f"{called} is not an accelerator profile of schema version {SCHEMA_VERSION}: {error};"
                " correct it, or make one with `joulecast fit`",
                reason="InvalidProfile",
            ) from error


def _profile(document: Any) -> AcceleratorProfile:
    if isinstance(document, dict) and document.get("schema_version") != SCHEMA_VERSION:
        raise DocumentError(f"schema_version is {str(document.get('schema_version', 'missing'))[:16]}")
    profile = schema.read(AcceleratorProfile, document)
    if contradictions := schema.listed(_contradictions(profile)):
        raise DocumentError(contradictions)
    return profile


def _contradictions(profile: AcceleratorProfile) -> Iterator[str]:
    """Yield what is wrong between fields that are each within their bounds."""
    law = profile.law
    if profile.product.lower().startswith("simulated-"):
        yield f"{profile.product} does not exist, and nothing was measured on it"
    for name in ("compute_efficiency", "flop_joules"):
        if lacking := sorted(set(profile.peak_flops) - set(getattr(law, name))):
            yield f"law.{name} lacks {', '.join(lacking)}, of which peak_flops states a rate: give both or neither"
    if not law.static_watts + law.clock_watts:
        yield "law.static_watts and law.clock_watts are both 0, and a busy chip draws power: give one of them"
    if len(profile.training_range) == 1:
        yield "training_range has one of flops and bytes: give both or neither"
    for name, (low, high) in profile.training_range.items():
        if low > high:
            yield f"training_range.{name} ends at {high:g}, below its beginning {low:g}: swap them"


def refuse_simulated(profile: AcceleratorProfile) -> AcceleratorProfile:
    """Return ``profile`` if it was measured on hardware.

    Raises NotCalibratedError (SimulatedProfile) for a profile fitted on rows of a simulated device, because they say
    nothing about any hardware.
    """
    if profile.simulated and os.environ.get(SIMULATED_ALLOWED) != "1":
        raise NotCalibratedError(
            f"the profile of {profile.product} was fitted on rows of a simulated device, so nothing may be priced with"
            " it: give one that was measured",
            reason="SimulatedProfile",
        )
    return profile
