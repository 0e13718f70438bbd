"""List what every network of the suite consists of, without a trace: its rows with a kernel and how often each runs.

A fourth compressed file beside the index, so that rows of networks can be fitted and scored where torch is not
installed. It names the index that it belongs to, whose digest does not cover it. Rows that no forecast can tell apart
are stored once.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast.readers.module.calls import call_from_json
from joulecast.readers.module.graph import graph_of_call
from joulecast_calibration.files import write_whole
from joulecast_calibration.rows.counted import Counted, frozen, launched_rows, layer_of
from joulecast_calibration.suite.decoders import DecoderPass
from joulecast_calibration.suite.index import FOLDER, SuiteIndex, committed

FILE_NAME = "contents.json.gz"

Key = tuple[str, int, int | None, float | None]
"""Identity of a forward pass of the suite: name, batch size, tokens, seconds of audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Contents of the suite's networks.

    - ``layers``: distinct rows.
    - ``networks``: positions in them and counts, by ``Key``.
    """

    suite: str
    layers: tuple[LayerProfile, ...]
    networks: Mapping[Key, tuple[tuple[int, int], ...]]


@cache
def contents(folder: Path = FOLDER) -> Contents | None:
    """Read the contents in ``folder``; None where it has none. Raises MeasurementError where they cannot be read."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        document = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise MeasurementError(f"{path} cannot be read ({error}): rebuild the index") from None
    names = document["names"]
    return Contents(
        suite=document["suite"],
        layers=tuple(layer_of([names[row[0]], names[row[1]], *row[2:]]) for row in document["rows"]),
        networks={tuple(entry[:4]): _pairs(*entry[4:]) for entry in document["networks"]},
    )


def rows_of_call(document: Mapping[str, Any]) -> tuple[LayerProfile, ...]:
    """Return the rows with a kernel of a layer's call as JSON."""
    return launched_rows(count(canonicalise(graph_of_call(call_from_json(document)), eager=True)))


@cache
def rows_of_layer(digest: str) -> Counted | None:
    """Return the rows of a layer of the committed index; None where the index does not have the layer."""
    layer = committed().known.get(digest)
    return None if layer is None else [(row, 1) for row in rows_of_call(layer.document)]


def rows_of_network(key: Key) -> Counted | None:
    """Return the rows of a forward pass of the committed index; None where its contents are not known."""
    found = contents()
    if found is None or not belongs(found) or key not in found.networks:
        return None
    return [(found.layers[place], times) for place, times in found.networks[key]]


def rows_of_pass(found: DecoderPass) -> Counted:
    """Return the rows of a decoder's pass."""
    return [(layer_of(row), times) for row, times in found.contents]


def write_contents(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the contents of a survey's ``records``, whose batches have ``contents``.

    A record without them, or with operators without a counting rule, is left out.
    """
    networks = list(_batches(records))
    distinct = sorted({frozen(row) for _, found in networks for row, _ in found}, key=repr)
    place = {row: position for position, row in enumerate(distinct)}
    names = sorted({name for row in distinct for name in row[:2]})
    number = {name: position for position, name in enumerate(names)}
    document = {
        "suite": SuiteIndex(folder).digest,
        "names": names,
        "rows": [[number[row[0]], number[row[1]], *row[2:]] for row in distinct],
        "networks": [_network(key, found, place) for key, found in networks],
    }
    text = json.dumps(document, separators=(",", ":"))
    write_whole(folder / FILE_NAME, gzip.compress(text.encode(), mtime=0))


def belongs(found: Contents) -> bool:
    """Return whether the contents are those of the committed index."""
    return found.suite == committed().digest


def _batches(records: Sequence[Mapping[str, Any]]) -> Iterable[tuple[list[Any], Sequence[Any]]]:
    for record in sorted(records, key=lambda record: str(record["name"])):
        for workload in record["workloads"]:
            for batch in workload["batches"]:
                key = [record["name"], batch["batch_size"], workload["sequence_length"], workload["seconds"]]
                if batch.get("contents") and not batch.get("unsupported"):
                    yield key, batch["contents"]


def _network(key: list[Any], found: Sequence[Any], place: Mapping[Any, int]) -> list[Any]:
    ordered = sorted((place[frozen(row)], times) for row, times in found)
    positions = [position for position, _ in ordered]
    steps = [now - before for now, before in zip(positions, [0, *positions], strict=False)]
    return [*key, steps, [times for _, times in ordered]]


def _pairs(steps: Sequence[int], times: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return positions, which are stored as the steps between them, and counts."""
    return tuple(zip(accumulate(steps), times, strict=True))
