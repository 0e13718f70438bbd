"""Measured rows as frozen values: the columns of ``rows.measured`` with their types and bounds.

``row_of`` reads a line as its journal has it. Of layers, networks and windows only valid rows have every column, and
only they become a ``LayerRow``, ``NetworkRow`` or ``WindowRow``; any other is an ``InvalidRow``, which is never fitted
by mistake. Columns that a later version adds are left out. ``None`` is what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from joulecast import schema
from joulecast.errors import MeasurementError
from joulecast.schema import Text, Within
from joulecast_calibration.rows.measured import SCHEMA_VERSION, WINDOWED, required_of

Name = Annotated[str, Text(1024)]
Note = Annotated[str, Text(1 << 16, shortest=0)]
Count = Annotated[int, Within(0)]
Number = Annotated[int, Within(1)]
"""Counts from one."""
Joules = Annotated[float, Within(above=0, unit="J")]
Seconds = Annotated[float, Within(above=0, unit="s")]
Watts = Annotated[float, Within(above=0, unit="W")]
Megahertz = Annotated[float, Within(above=0, unit="MHz")]
Spread = Annotated[float, Within(0)]
"""A standard error or deviation; in the unit of what it belongs to."""
Duration = Annotated[float, Within(0, unit="s")]
"""A duration that may be 0."""
Share = Annotated[float, Within(0, 1)]
Method = Literal["counter", "power"]
Phase = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Columns of every row."""

    kind: str
    schema: Number
    run_id: Name
    process: Count
    sequence: Count
    at_seconds: Duration
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The host of a session."""

    processor: str | None = None
    cores: Number | None = None
    system: str | None = None
    boot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow(_Row):
    """The first row of a process: what is the same for all rows that follow."""

    started_at: Name
    accelerator: Name
    card: Name
    driver: str | None
    power_limit_watts: Watts | None
    memory_bytes: Number | None
    notes: tuple[Note, ...]
    versions: Mapping[str, str | None]
    host: Machine
    seed: int
    slices: tuple[Name, ...]
    budget_seconds: Seconds
    suite_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GapPoint:
    """Mean power while the device was busy for a share of the time."""

    share: Share
    watts: Watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How the power without a kernel was found; ``gap_error`` in place of the rest."""

    watts: Watts | None = None
    busy_watts: Watts | None = None
    residual_watts: Spread | None = None
    points: tuple[GapPoint, ...] = ()
    gap_error: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConstants:
    """What the host needs to launch a forward pass; ``host_error`` in place of the rest."""

    kernel_seconds: Duration | None = None
    view_seconds: Duration | None = None
    module_call_seconds: Duration | None = None
    forward_seconds: Duration | None = None
    relative_residual: Spread | None = None
    host_error: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The highest rate that the device reaches in one kind of work."""

    what: Literal["copy", "gemm"]
    dtype: Name
    data: Name
    watts: Watts
    joules: Joules
    seconds: Seconds
    bytes_per_second: Annotated[float, Within(above=0)] | None = None
    flops_per_second: Annotated[float, Within(above=0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantsRow(_Row):
    """Counter, host and device constants of a run."""

    key: Name
    method: Method
    period_seconds: Seconds
    jitter_seconds: Spread
    resolution_joules: Joules | None
    rise_seconds: Duration
    fall_seconds: Duration
    lag_seconds: Duration
    power_period_seconds: Duration | None
    power_lag_seconds: Duration | None
    read_seconds: Duration
    idle_watts: Watts | None
    busy_watts: Watts | None
    notes: tuple[Note, ...]
    gap_watts: Watts | None = None
    gap: Gap | None = None
    host_constants: HostConstants | None = None
    ceilings: tuple[Ceiling, ...] | None = None
    ceilings_error: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRow(_Row):
    """The graph of later rows, as traced where they were measured; ``contents``: as ``rows.graphs`` packs them."""

    digest: Name
    name: Name
    families: tuple[Name, ...]
    unsupported: Count
    contents: Annotated[str, Text(1 << 22, shortest=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConfiguredRow(_Row):
    """Columns of what was, or was to be, measured."""

    key: Name
    name: Name
    slice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedRow(_ConfiguredRow):
    """Columns as planned, with the index's counts or those of the measuring machine."""

    identity: Name
    task: str
    repeat: Count
    anchor: str | None
    window: str | None
    runtime: Name
    precision: Name
    batch_size: Number | None
    sequence_length: Number | None
    audio_seconds: Seconds | None
    l2_state: str | None
    op_type: str | None
    predicted_seconds: Duration | None
    predicted_joules: Spread | None
    rows: Count
    macs: Count
    params: Count
    activations: Count
    input_numel: Count
    bytes_moved: Count
    kernels: Count
    views: Count
    module_calls: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidRow(_PlannedRow):
    """A layer, network or window that must not be fitted, with the reason or the foreign process on the device."""

    valid: bool = False
    invalid_reason: Note = ""
    message: Note = ""
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExecutedRow(_PlannedRow):
    """A valid measurement. ``joules``, ``seconds``: of one execution; ``watts``: mean power over the window."""

    valid: Literal[True]
    finite: bool
    digest: str | None
    digest_expected: str | None
    method: Method
    executions: Number
    seconds: Seconds
    seconds_standard_error: Spread | None
    watts: Watts
    watts_standard_error: Spread | None
    joules: Joules
    joules_standard_error: Spread | None
    window_seconds: Seconds
    warmup_seconds: Duration
    dropped_seconds: Duration
    dropped_watts: Watts | None
    dropped_execution_seconds: Seconds | None
    edges: Count
    drift: float | None
    steady: bool | None
    phase_gap: Share | None
    single: bool
    power_joules: Joules | None
    idle_watts: Watts | None
    gap_watts: Watts | None
    power_limit_watts: Watts | None
    sm_clock_mhz: Megahertz | None
    memory_clock_mhz: Megahertz | None
    temperature_celsius: float | None
    throttle_reasons: tuple[Name, ...]
    redone: Count
    missed: Count
    unsupported: Count | None = None
    peak_memory_bytes: Count | None = None
    invalid_reason: Note | None = None
    message: Note | None = None
    untraced_reason: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow(_ExecutedRow):
    """A layer alone; ``executed``: what was run in its place, None on a simulated device."""

    multiplicity: Number
    function: str | None = None
    executed: str | None = None
    buffer_sets: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow(_ExecutedRow):
    """A forward pass of a network, or with a ``phase`` a pass of a decoder that generates."""

    batch_size: Number
    hidden_std: Spread | None = None
    fused_attention: bool | None = None
    phase: Phase | None = None
    context_tokens: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCarbon:
    """The same load by CodeCarbon, beside the window."""

    name: Name
    check: Literal["codecarbon"]
    codecarbon: str
    executions: Number
    seconds: Seconds
    joules: Joules
    joules_standard_error: Spread | None
    codecarbon_joules: Spread
    codecarbon_seconds: Seconds
    counter_joules: Spread | None
    codecarbon_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow(_ExecutedRow):
    """A layer or network measured otherwise, for a cross-check; ``window``: long or codecarbon."""

    window: Name
    multiplicity: Number | None = None
    function: str | None = None
    executed: str | None = None
    buffer_sets: Number | None = None
    hidden_std: Spread | None = None
    fused_attention: bool | None = None
    codecarbon: CodeCarbon | None = None
    codecarbon_missing: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow(_ConfiguredRow):
    """What could not be measured, and why; of a crash hardly more than its key is known."""

    reason: Name
    message: Note
    identity: Name | None = None
    task: str | None = None
    repeat: Count | None = None
    anchor: str | None = None
    window: str | None = None
    runtime: Name | None = None
    precision: Name | None = None
    batch_size: Number | None = None
    sequence_length: Number | None = None
    audio_seconds: Seconds | None = None
    l2_state: str | None = None
    op_type: str | None = None
    predicted_seconds: Duration | None = None
    predicted_joules: Spread | None = None
    rows: Count | None = None
    macs: Count | None = None
    params: Count | None = None
    activations: Count | None = None
    input_numel: Count | None = None
    bytes_moved: Count | None = None
    kernels: Count | None = None
    views: Count | None = None
    module_calls: Count | None = None
    phase: Phase | None = None
    context_tokens: Number | None = None
    digest: str | None = None
    multiplicity: Number | None = None
    measured_kind: str | None = None
    crashes: Count | None = None
    given_up: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRow(_Row):
    """The last row of a process that was not killed."""

    reason: Name


MeasuredRow = LayerRow | NetworkRow | WindowRow
TypedRow = SessionRow | ConstantsRow | GraphRow | MeasuredRow | InvalidRow | FailureRow | EndRow

ROWS: Mapping[str, type[TypedRow]] = {
    "session": SessionRow,
    "constants": ConstantsRow,
    "graph": GraphRow,
    "layer": LayerRow,
    "network": NetworkRow,
    "window": WindowRow,
    "failure": FailureRow,
    "end": EndRow,
}
"""What a row of each kind becomes. A new kind is a dataclass above, its columns in ``rows.measured``, and a line here;
a test holds the names of both together."""
_ALWAYS = {kind: frozenset(name for name in required_of(kind) if "." not in name) for kind in ROWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why columns are not a row of their kind: ``column``, the first at fault, and ``says``, every fault and its
    remedy."""

    column: str
    says: str


def row_of(columns: Mapping[str, Any], place: str = "a row") -> TypedRow:
    """Return the row with these ``columns``; ``place``: its file and line, for messages.

    Raises MeasurementError (InvalidRow), naming the column, for one that lacks what its kind always has or has an
    impossible number; for a kind or a version of the columns that is not known.
    """
    found = row_or_flaw(columns)
    if isinstance(found, Flaw):
        raise MeasurementError(f"{place}: {found.says}; correct or remove the row", reason="InvalidRow")
    return found


def row_or_flaw(columns: Mapping[str, Any]) -> TypedRow | Flaw:
    """Return the row as ``row_of`` does, or what is wrong with it in place of an error."""
    document = columns if isinstance(columns, dict) else dict(columns)
    kind = str(document.get("kind"))
    if kind not in ROWS:
        return Flaw(column="kind", says=f"kind is {kind[:40]!r}: give one of {', '.join(ROWS)}")
    version = document.get("schema")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        says = f"schema {version} is newer than {SCHEMA_VERSION}: upgrade joulecast to read it"
        return Flaw(column="schema", says=says)
    valid = kind not in WINDOWED or document.get("valid") is True
    found = schema.read_or_faults(ROWS[kind] if valid else InvalidRow, document, open_=True)
    if isinstance(found, schema.Faults):
        return Flaw(column=found.field, says=str(found))
    if valid and not found.simulated and (lacking := sorted(_ALWAYS[kind] - document.keys())):
        says = f"{', '.join(lacking)} is missing, which each valid measured {kind} row needs"
        return Flaw(column=lacking[0], says=says)
    return found
