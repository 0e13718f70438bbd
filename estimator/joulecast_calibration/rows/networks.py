"""Read whole networks with measured joules: ``model_energy.csv`` of a data folder, and the graphs of its networks.

Only the ``INPUTS`` of a row may reach a forecast; ``energy_j_per_forward`` and ``time_ms_per_forward`` are the measured
values. The card is identified by ``gpu`` and, where that names several, by ``power_limit_watts`` (an optional column),
by the highest power and by the highest clock lock. Other columns are not read.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.names import Seen, label_of
from joulecast.energy.networks import find, installed
from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.journals import is_simulated

INPUTS = ("model", "config", "precision", "batch", "seq", "mode", "attn", "sm_clock_locked_mhz")
"""Columns that a forecast may see."""

TRUTH = ("energy_j_per_forward", "time_ms_per_forward")
LIMIT = "power_limit_watts"
FILE_NAME = "model_energy.csv"
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRow:
    """What a forecast may know of a row.

    - ``sequence``: tokens, None for images.
    - ``clock_mhz``: SM clock lock, None if unlocked.
    """

    architecture: str
    config: str
    precision: str
    batch_size: int
    sequence: int | None
    mode: str
    attention: str
    clock_mhz: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Measured joules and seconds of one forward pass, (rows,)."""

    joules: Array
    seconds: Array

    def take(self, kept: Any) -> Truth:
        return Truth(joules=self.joules[kept], seconds=self.seconds[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSet:
    """One folder's rows of one card.

    - ``gpu``: label of the card where it is identified, else the name in the table.
    - ``unscored``: number of rows that cannot be forecast, by reason.
    """

    name: str
    gpu: str
    rows: tuple[ForecastRow, ...]
    truth: Truth
    unscored: tuple[tuple[str, int], ...]


def find_sets(folder: Path) -> tuple[Path, ...]:
    """Return the subfolders of ``folder`` with network rows, by name. Raises MeasurementError if it is not a folder."""
    if not folder.is_dir():
        raise MeasurementError(f"{folder} is not a folder: name the one that holds the data sets")
    return tuple(sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}")))


def read_set(folder: Path) -> tuple[NetworkSet, ...]:
    """Read the rows of ``folder``, a set for each card in it.

    Raises MeasurementError for a file without the required columns, and for cards that are simulated.
    """
    entries = _entries(folder)
    absent = {"gpu", *INPUTS, *TRUTH} - set(entries[0] if entries else ())
    if absent:
        raise MeasurementError(f"{folder.name}/{FILE_NAME} lacks the columns {', '.join(sorted(absent))}")
    cards = sorted({entry["gpu"] for entry in entries})
    for card in filter(is_simulated, cards):
        raise MeasurementError(f"{folder.name}/{FILE_NAME} holds rows of {card}, which were simulated: remove them")
    return tuple(_of_card(folder.name, card, [e for e in entries if e["gpu"] == card], len(cards)) for card in cards)


def _entries(folder: Path) -> list[dict[str, str]]:
    try:
        with (folder / FILE_NAME).open(newline="", encoding="utf-8") as text:
            return [{name: value or "" for name, value in entry.items() if name} for entry in csv.DictReader(text)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MeasurementError(f"{folder.name}/{FILE_NAME} cannot be read as a table of text: {error}") from None


def _of_card(folder: str, card: str, entries: Sequence[dict[str, str]], cards: int) -> NetworkSet:
    reasons = [_reason(entry) for entry in entries]
    kept = [entry for entry, reason in zip(entries, reasons, strict=True) if not reason]
    return NetworkSet(
        name=folder if cards == 1 else f"{folder}/{card}",
        gpu=label_of(card, _seen(entries)),
        rows=tuple(_row(entry) for entry in kept),
        truth=Truth(
            joules=np.array([float(entry[TRUTH[0]]) for entry in kept]),
            seconds=np.array([(_positive(entry[TRUTH[1]]) or math.nan) / 1e3 for entry in kept]),
        ),
        unscored=tuple(sorted(Counter(reason for reason in reasons if reason).items())),
    )


def _seen(entries: Sequence[Mapping[str, str]]) -> Seen:
    """Return what the rows show of their card; of several power limits the highest, as limits are never raised."""
    numbers = [(_positive(entry[TRUTH[0]]), _positive(entry[TRUTH[1]])) for entry in entries]
    watts = [1e3 * joules / milliseconds for joules, milliseconds in numbers if joules and milliseconds]
    return Seen(
        power_limit_watts=max(filter(None, (_positive(e.get(LIMIT, "")) for e in entries)), default=None),
        watts=max(watts, default=None),
        clock_mhz=max(filter(None, (_positive(e["sm_clock_locked_mhz"]) for e in entries)), default=None),
    )


def _reason(entry: dict[str, str]) -> str:
    """Return why a row cannot be scored, or an empty string if it can."""
    if (entry["model"], entry["config"], "float32") not in _known():
        return f"no graph of {entry['model']} {entry['config']}".strip()
    if entry["precision"] not in _DTYPES:
        return f"precision {entry['precision']}"
    if entry["mode"] not in ("", "prefill"):
        return f"mode {entry['mode']}"
    if _reads_sequence(entry["model"], entry["config"]) and not entry["seq"]:
        return "no seq"
    odd = [name for name in _NUMBERS if not _positive(entry[name]) and (entry[name] or name == "batch")]
    if odd:
        return f"{odd[0]} {entry[odd[0]] or 'missing'}"
    return "" if _positive(entry[TRUTH[0]]) else "no joules"


_NUMBERS = ("batch", "seq", "sm_clock_locked_mhz")


def _positive(text: str) -> float | None:
    """Return the finite number above 0 that ``text`` is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


@cache
def _reads_sequence(model: str, config: str) -> bool:
    """Return whether an input has a second free dimension."""
    inputs = find(model=model, config=config, dtype="float32").inputs.values()
    return any(sum(isinstance(size, str) for size in shape) > 1 for shape in inputs)


def _row(entry: dict[str, str]) -> ForecastRow:
    return ForecastRow(
        architecture=entry["model"],
        config=entry["config"],
        precision=entry["precision"],
        batch_size=int(float(entry["batch"])),
        sequence=int(float(entry["seq"])) if entry["seq"] else None,
        mode=entry["mode"],
        attention=entry["attn"] or ("eager" if entry["mode"] else ""),  # blank on a language model is eager
        clock_mhz=float(entry["sm_clock_locked_mhz"]) if entry["sm_clock_locked_mhz"] else None,
    )


@cache
def _known() -> frozenset[tuple[str, str, str]]:
    """Return model, config and dtype of every graph that is shipped."""
    return frozenset((network.model, network.config, network.dtype) for network in installed().values())


def layers_of(row: ForecastRow) -> tuple[tuple[LayerProfile, ...], str]:
    """Return the rows of the row's network, and the precision to price them in.

    The precision is ``default`` where the graph is stored in it.
    """
    return _layers(row.architecture, row.config, row.precision, row.batch_size, row.sequence)


@cache
def _layers(
    model: str, config: str, precision: str, batch_size: int, sequence: int | None
) -> tuple[tuple[LayerProfile, ...], str]:
    from joulecast.canonical import canonicalise
    from joulecast.counting import count
    from joulecast.readers import onnx

    stored = _DTYPES[precision] if (model, config, _DTYPES[precision]) in _known() else "float32"
    network = find(model=model, config=config, dtype=stored)
    workload = network.workload(batch_size=batch_size, sequence_length=sequence)
    layers = count(canonicalise(onnx.read(network.skeleton(), workload, name=network.name), eager=True))
    return layers, "default" if stored == _DTYPES[precision] else precision
