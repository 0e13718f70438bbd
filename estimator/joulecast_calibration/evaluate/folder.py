"""Find folders of journals, and tell which of their rows can be scored and why the others cannot."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.evaluation import SIMULATED, Unscored
from joulecast_calibration.fit.journal import MeasuredRows, journal_of, simulated_allowed
from joulecast_calibration.rows.journals import (
    FEWEST_ROWS,
    Line,
    Placed,
    is_executed,
    is_served,
    is_simulated,
    left_out,
    read_rows,
)
from joulecast_calibration.rows.measured import LAYER_AND_NETWORK, SCHEMA_VERSION
from joulecast_calibration.rows.networks import FILE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJournal:
    """Rows of one accelerator, and the name under which their scores are reported."""

    name: str
    journal: MeasuredRows


def find_journals(folder: Path) -> tuple[Path, ...]:
    """Return ``folder`` and every subfolder that holds journals, by name."""
    return tuple(path for path in (folder, *sorted(folder.iterdir())) if path.is_dir() and any(path.glob("*.jsonl")))


def read_journals(folder: Path) -> Iterator[NamedJournal | Unscored]:
    """Yield a journal for each accelerator of ``folder``, and the reasons for all rows that are not scored."""
    name = folder.resolve().name
    try:
        found = read_rows(folder)
    except (MeasurementError, OSError) as error:
        yield Unscored(set=name, split="all", reason=str(error), n=_lines(folder))
        return
    yield from _counted(name, left_out((), found.damaged))
    by_accelerator: dict[str, list[Line]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for line in found.lines:
        if reason := _refusal(line):
            refused[reason] += line.kind in LAYER_AND_NETWORK
        else:
            by_accelerator[line.accelerator or ""].append(line)
    yield from _counted(name, refused)
    alone = len(by_accelerator) == 1 and not (folder / FILE_NAME).is_file()
    for accelerator, lines in sorted(by_accelerator.items()):
        yield from _of_accelerator(_named(name, accelerator, alone=alone), accelerator, lines)


def _named(name: str, accelerator: str, *, alone: bool) -> str:
    plain = name if alone else f"{name}/{accelerator}"
    return f"{plain} {SIMULATED}" if is_simulated(accelerator) else plain


def _of_accelerator(name: str, accelerator: str, lines: Sequence[Line]) -> Iterator[NamedJournal | Unscored]:
    refused = left_out(lines)
    yield from _counted(name, refused)
    placed = [line for line in lines if isinstance(line, Placed)]
    kept, served = list(filter(is_executed, placed)), tuple(filter(is_served, placed))
    if len(kept) < FEWEST_ROWS:
        why = f"{len(kept)} valid layers and networks, and a fit needs {FEWEST_ROWS}: measure more"
        yield Unscored(set=name, split="all", reason=why, n=len(kept))
        if served:
            why = f"prefill and decode passes, which are forecast by a fit on {FEWEST_ROWS} layers and forward passes"
            yield Unscored(set=name, split="all", reason=why, n=len(served))
        return
    rows = [line.row for line in placed]
    journal = journal_of(
        rows, kept, accelerator, served=served, refused=refused,
        simulated=is_simulated(accelerator),
    )  # fmt: skip
    yield NamedJournal(name=name, journal=journal)


def _refusal(line: Line) -> str:
    """Return why a row of any kind is not read, or an empty string if it is."""
    if line.schema > SCHEMA_VERSION:
        return f"schema {line.schema} is newer than {SCHEMA_VERSION}: upgrade joulecast to score it"
    accelerator = line.accelerator
    if accelerator is None:
        return line.session_flaw or "belongs to no session, so the accelerator is unknown"
    if line.simulated is True and is_simulated(accelerator):
        return (
            "" if simulated_allowed() else f"{SIMULATED}: {accelerator} does not exist, and nothing was measured on it"
        )
    if line.simulated is not False or is_simulated(accelerator) or is_simulated(line.card):
        return f"does not say whether {accelerator} was measured or simulated"
    return ""


def _counted(name: str, reasons: Counter[str]) -> Iterator[Unscored]:
    yield from (Unscored(set=name, split="all", reason=why, n=n) for why, n in sorted(reasons.items()) if n)


def _lines(folder: Path) -> int:
    """Count the lines of all journals, whether they can be read or not."""
    count = 0
    for path in filter(Path.is_file, folder.glob("*.jsonl")):
        with path.open("rb") as text:
            count += sum(chunk.count(b"\n") for chunk in iter(lambda: text.read(1 << 20), b""))
    return count
