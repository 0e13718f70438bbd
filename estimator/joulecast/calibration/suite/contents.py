"""What every network of the suite consists of: its rows with a kernel and how often each runs, without a trace.

A fourth compressed file beside the index, so that rows of networks can be fitted and scored where no torch is. It names
the index that it belongs to, whose digest does not cover it. Rows that no forecast can tell apart stand once.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from joulecast.calibration.files import write_whole
from joulecast.calibration.suite.index import FOLDER, Index, committed
from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.energy.features import long_softmax, transposed
from joulecast.errors import MeasurementError
from joulecast.layers import Contraction, LayerProfile
from joulecast.readers.module.calls import call_from_json
from joulecast.readers.module.graph import graph_of_call

FILE_NAME = "contents.json.gz"
_RUNTIME = "torch-eager"
_NUMBERS = ("input_numel", "output_numel", "weight_numel", "float_numel", "bytes_moved", "repeats")
_CONTRACTION = ("batch", "m", "n", "k", "repeats")

Key = tuple[str, int, int | None, float | None]
"""Name, batch size, tokens, seconds of sound: what tells a forward pass of the suite."""

Counted = list[tuple[LayerProfile, int]]
"""Rows of the law, and how often each runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """``layers``: distinct rows. ``networks``: positions in them and counts, by ``Key``."""

    suite: str
    layers: tuple[LayerProfile, ...]
    networks: Mapping[Key, tuple[tuple[int, int], ...]]


@cache
def contents(folder: Path = FOLDER) -> Contents | None:
    """What lies in ``folder``; None where it has none. Raises MeasurementError where it cannot be read."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        document = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise MeasurementError(f"{path} cannot be read ({error}): rebuild the index") from None
    return Contents(
        suite=document["suite"],
        layers=tuple(layer_of(_named(document["names"], row)) for row in document["rows"]),
        networks={_key(entry): _pairs(entry) for entry in document["networks"]},
    )


def rows_of_call(document: Mapping[str, Any]) -> tuple[LayerProfile, ...]:
    """The rows with a kernel of a layer's call as JSON."""
    return launched_rows(count(canonicalise(graph_of_call(call_from_json(document)), eager=True)))


@cache
def rows_of_layer(digest: str) -> Counted | None:
    """The rows of a layer of the committed index; None if it has no such layer."""
    layer = committed().known.get(digest)
    return None if layer is None else [(row, 1) for row in rows_of_call(layer.document)]


def rows_of_network(key: Key) -> Counted | None:
    """The rows of a forward pass of the committed index; None where its contents are not known."""
    found = contents()
    if found is None or not belongs(found) or key not in found.networks:
        return None
    return [(found.layers[place], times) for place, times in found.networks[key]]


def launched_rows(layers: Iterable[LayerProfile]) -> tuple[LayerProfile, ...]:
    return tuple(row for row in layers if row.kind in ("counted", "zero") and row.kernels.get(_RUNTIME, 0))


def write_contents(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """``records`` of a survey, whose batches have ``contents``; one without them, or with operators that have no
    counting rule, is left out."""
    networks = list(_batches(records))
    distinct = sorted({_frozen(row) for _, found in networks for row, _ in found}, key=repr)
    place = {row: position for position, row in enumerate(distinct)}
    names = sorted({name for row in distinct for name in row[:2]})
    number = {name: position for position, name in enumerate(names)}
    document = {
        "suite": Index(folder).digest,
        "names": names,
        "rows": [[number[row[0]], number[row[1]], *row[2:]] for row in distinct],
        "networks": [_network(key, found, place) for key, found in networks],
    }
    text = json.dumps(document, separators=(",", ":"))
    write_whole(folder / FILE_NAME, gzip.compress(text.encode(), mtime=0))


def contents_of(layers: Iterable[LayerProfile]) -> list[list[Any]]:
    """Distinct rows with a kernel as lists of JSON values, each with how often it occurs."""
    counts: Counter[tuple[Any, ...]] = Counter(_frozen(row_document(row)) for row in launched_rows(layers))
    return [[list(row), times] for row, times in counts.items()]


def row_document(row: LayerProfile) -> list[Any]:
    """A row as a list of JSON values: what a forecast may depend on."""
    products = [[getattr(entry, name) for name in _CONTRACTION] for entry in row.contractions]
    numbers = (getattr(row, name) for name in _NUMBERS)
    return [row.op_type, row.dtype, *numbers, _telling(row), row.kernels[_RUNTIME], products]


def _telling(row: LayerProfile) -> list[list[int]]:
    """Shapes of which a forecast asks more than sizes: weights that lie as (k, n), and long rows of a softmax."""
    if long_softmax(row):
        return [[row.input_shapes[0][-1]]]
    if row.op_type == "Gemm" and not transposed(row):
        return [list(shape) for shape in row.input_shapes[:2]]
    return []


def belongs(found: Contents) -> bool:
    """Whether the contents are those of the committed index."""
    return found.suite == committed().digest


def _frozen(row: Sequence[Any]) -> tuple[Any, ...]:
    return (*row[:-3], _tuples(row[-3]), row[-2], _tuples(row[-1]))


def _tuples(lists: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(numbers) for numbers in lists)


def _batches(records: Sequence[Mapping[str, Any]]) -> Iterable[tuple[list[Any], Sequence[Any]]]:
    for record in sorted(records, key=lambda record: str(record["name"])):
        for workload in record["workloads"]:
            for batch in workload["batches"]:
                key = [record["name"], batch["batch_size"], workload["sequence_length"], workload["seconds"]]
                if batch.get("contents") and not batch.get("unsupported"):
                    yield key, batch["contents"]


def _network(key: list[Any], found: Sequence[Any], place: Mapping[Any, int]) -> list[Any]:
    ordered = sorted((place[_frozen(row)], times) for row, times in found)
    positions = [position for position, _ in ordered]
    steps = [now - before for now, before in zip(positions, [0, *positions], strict=False)]
    return [*key, steps, [times for _, times in ordered]]


def _key(entry: Sequence[Any]) -> Key:
    return entry[0], entry[1], entry[2], entry[3]


def _pairs(entry: Sequence[Any]) -> tuple[tuple[int, int], ...]:
    position, found = 0, []
    for step, times in zip(entry[4], entry[5], strict=True):
        position += step
        found.append((position, times))
    return tuple(found)


def _named(names: Sequence[str], row: Sequence[Any]) -> list[Any]:
    return [names[row[0]], names[row[1]], *row[2:]]


def layer_of(row: Sequence[Any]) -> LayerProfile:
    """The row that ``contents_of`` wrote as a list."""
    contractions = tuple(Contraction(**dict(zip(_CONTRACTION, product, strict=True))) for product in row[-1])
    macs = sum(product.macs for product in contractions)
    return LayerProfile(
        name=row[0],
        op_type=row[0],
        kind="counted" if macs else "zero",
        dtype=row[1],
        macs=macs,
        kernels={_RUNTIME: row[-2]},
        contractions=contractions,
        input_shapes=_tuples(row[-3]) or (_shapes(row) if not macs else ()),
        **dict(zip(_NUMBERS, row[2:-3], strict=True)),
    )


def _shapes(row: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    """Sizes of two operands of which one is as large as the output, from their sum: whether one is broadcast is all
    that a forecast asks of them."""
    read, written, weights = row[2:5]
    other = read + weights - written
    return ((written,), (other,)) if 0 < other < written else ()
