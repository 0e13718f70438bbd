"""Read measured rows from a folder as typed values (``rows.typed``): all that a killed process left, each row once.

A process that continues a folder and a fit read the same rows. Rows of a simulated card are read like any others, and
refused where rows are read to be fitted. A row that breaks its schema is ``Refused``: it is counted with its reason,
and no other row is affected.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeGuard, TypeVar

from joulecast.errors import MeasurementError
from joulecast_calibration.rows.measured import KINDS, LAYER_AND_NETWORK, SCHEMA_VERSION
from joulecast_calibration.rows.typed import (
    Flaw,
    InvalidRow,
    LayerRow,
    NetworkRow,
    SessionRow,
    TypedRow,
    row_or_flaw,
)

SIMULATED = "simulated-"
"""Prefix of the accelerator of a simulated card."""
FEWEST_ROWS = 10
"""Fewer cannot move the coefficients that every forecast needs: what is asked of a first look is 15 layers."""
_MOST_BYTES = 64 * 2**20  # of a file: four times what a measuring machine hands over in one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Where a row lies, and the session of its process.

    - ``path``, ``line``: file and line, counted from 1.
    - ``session``: None where the process has none or one that is refused.
    - ``session_flaw``: why the session is refused.
    """

    path: Path
    line: int
    session: SessionRow | None = None
    session_flaw: str = ""

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"

    @property
    def accelerator(self) -> str | None:
        """Return the accelerator that the row was measured on; None where no session gives it."""
        return self.session.accelerator if self.session else None

    @property
    def card(self) -> str | None:
        return self.session.card if self.session else None

    @property
    def suite_digest(self) -> str | None:
        """Return the digest of the suite's index that the row was planned with."""
        return self.session.suite_digest if self.session else None


R_co = TypeVar("R_co", bound=TypedRow, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(_Line, Generic[R_co]):
    """A row with its session and its place."""

    row: R_co

    @property
    def kind(self) -> str:
        return self.row.kind

    @property
    def schema(self) -> int:
        return self.row.schema

    @property
    def simulated(self) -> object:
        return self.row.simulated


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(_Line):
    """A line that names its ``kind`` of row but breaks its schema.

    - ``simulated``: as the line has it, of any type.
    """

    kind: str
    schema: int
    simulated: object
    flaw: Flaw


Line = Placed[TypedRow] | Refused
ExecutedRow = LayerRow | NetworkRow
Executed = Placed[ExecutedRow]
"""Kinds of rows that can be fitted and scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows in the order of files and lines.

    - ``damaged``: places of whole lines that cannot be read as rows.
    """

    placed: tuple[Placed[TypedRow], ...] = ()
    refused: tuple[Refused, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[TypedRow, ...]:
        return tuple(each.row for each in self.placed)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return the rows and the refused lines."""
        return (*self.placed, *self.refused)


def read_rows(folder: Path) -> Rows:
    """Read every whole line of the folder's ``*.jsonl``, as ``read_journals`` does; a missing folder has no lines."""
    return read_journals(sorted(folder.glob("*.jsonl")))


def read_journals(paths: Iterable[Path]) -> Rows:
    """Read every whole line of the files; what follows a file's last line break was cut.

    Raises MeasurementError for a file that is too large.
    """
    placed: list[Placed[TypedRow]] = []
    refused: list[Refused] = []
    damaged: list[str] = []
    seen: set[tuple[bytes, bytes]] = set()
    for path in paths:
        beside = _Sessions(path)
        for line, text in _lines(path):
            columns = _columns(text)
            if columns is None:
                damaged.append(f"{path}, line {line}")
                continue
            session, found = beside.read(columns, line, text)
            if (text, session) in seen:  # a file copied twice
                continue
            seen.add((text, session))
            (refused if isinstance(found, Refused) else placed).append(found)  # type: ignore[arg-type]
    return Rows(placed=tuple(placed), refused=tuple(refused), damaged=tuple(damaged))


@dataclass(frozen=True, slots=True)
class _Beside:
    """The session of a process: its line, and the row or why it is refused."""

    text: bytes = b""
    row: SessionRow | None = None
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Joins the rows of a file with the sessions before them."""

    path: Path
    known: dict[str, _Beside] = field(default_factory=dict)

    def read(self, columns: dict[str, Any], line: int, text: bytes) -> tuple[bytes, Line]:
        """Return the session's line, and the row beside it."""
        process = f"{columns.get('run_id')} {columns.get('process')}"
        found = row_or_flaw(columns)
        if columns["kind"] == "session":
            self.known[process] = self._session(found, line, text)
        own = self.known.get(process, _Beside())
        if isinstance(found, Flaw):
            return own.text, Refused(
                path=self.path, line=line, session=own.row, session_flaw=own.flaw,
                kind=_known(columns["kind"]), schema=columns["schema"], simulated=columns.get("simulated"), flaw=found,
            )  # fmt: skip
        return own.text, Placed(path=self.path, line=line, session=own.row, session_flaw=own.flaw, row=found)

    def _session(self, found: TypedRow | Flaw, line: int, text: bytes) -> _Beside:
        if isinstance(found, SessionRow):
            return _Beside(text, found)
        says = found.says if isinstance(found, Flaw) else ""
        return _Beside(text, None, f"their session, {self.path.name} line {line}, is refused: {says}")


def _known(kind: str) -> str:
    return kind if kind in KINDS else "unknown"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each whole line that is not blank."""
    if path.stat().st_size > _MOST_BYTES:
        raise MeasurementError(f"{path} has {path.stat().st_size} bytes, over {_MOST_BYTES}: split it by lines")
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        if line.strip():
            yield number, line


def _columns(line: bytes) -> dict[str, Any] | None:
    """Return the columns of a line, or None if it is not a row."""
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("kind"), str) and isinstance(found.get("schema"), int)
    return found if whole else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def refusal_of(line: Line) -> str:
    """Return why a line cannot be fitted or scored, for a layer or network, or an empty string if it can."""
    if isinstance(line, Refused):
        return f"{line.kind} rows, the first at {line.path.name}, line {line.line}: {line.flaw.says}"
    if isinstance(line.row, InvalidRow):
        return f"invalid: {line.row.invalid_reason or 'no reason given'}"
    return line.session_flaw


def is_executed(line: Placed[TypedRow]) -> TypeGuard[Executed]:
    """Return whether a row is a layer or forward pass that can be fitted and scored."""
    return isinstance(line.row, LayerRow | NetworkRow) and not is_served(line) and not refusal_of(line)


def is_served(line: Placed[TypedRow]) -> TypeGuard[Executed]:
    """Return whether a row is a pass of a decoder that generates, which is scored apart from forward passes."""
    return isinstance(line.row, NetworkRow) and bool(line.row.phase) and not refusal_of(line)


def left_out(lines: Iterable[Line], damaged: tuple[str, ...] = ()) -> Counter[str]:
    """Count, by reason, the layers and networks that cannot be fitted, and the lines that are refused.

    Lines of a kind with the same column at fault count together, under the reason of the first.
    """
    said: dict[tuple[str, str], str] = {}
    counts: Counter[str] = Counter()
    for line in lines:
        reason = refusal_of(line)
        if isinstance(line, Refused):
            counts[said.setdefault((line.kind, line.flaw.column), reason)] += 1
        elif reason and line.kind in LAYER_AND_NETWORK:
            counts[reason] += 1
    if damaged:
        counts[f"lines that cannot be read as rows, the first at {Path(damaged[0]).name}"] = len(damaged)
    return counts


def refuse_unfit(lines: Iterable[Line], *, simulated: bool = False) -> None:
    """Raise MeasurementError, with the place, for a line that must not be fitted.

    Its row was simulated, does not say that it was not, belongs to no session, or has a newer schema. ``simulated``:
    accept rows of a simulated card, as long as all are marked as simulated.
    """
    for line in lines:
        of_a_simulation = is_simulated(line.accelerator) or bool(line.session_flaw)
        if not (simulated and line.simulated is True and of_a_simulation):
            _refuse_simulated(line)
        if line.schema > SCHEMA_VERSION:
            raise MeasurementError(
                f"{line.place}: schema {line.schema} is newer than {SCHEMA_VERSION}: upgrade joulecast to fit it"
            )


def is_simulated(name: str | None) -> bool:
    """Return whether the name is that of a simulated accelerator or card."""
    return str(name).lower().startswith(SIMULATED)


def _refuse_simulated(line: Line) -> None:
    accelerator = line.accelerator
    if line.simulated is not False or is_simulated(accelerator) or is_simulated(line.card):
        whose = accelerator or "its accelerator"
        _refuse(line, f"was not measured: {whose} is simulated, or the row does not say that it is not")
    if accelerator is None and not line.session_flaw:
        _refuse(line, "belongs to no session, so its accelerator is unknown")


def _refuse(line: Line, why: str) -> NoReturn:
    raise MeasurementError(f"{line.place}: this row {why}; take the file out of the folder to fit the others")
