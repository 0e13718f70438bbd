"""Pack graphs, as traced on the measuring machine, into the journal of the rows that ran them.

A library's version changes the graph of a network. A row is therefore fitted on the graph of its own journal, so that
no row depends on the suite's index.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.counted import Counted, layer_of
from joulecast_calibration.rows.typed import GraphRow, TypedRow

KIND = "graph"
_MOST_BYTES = 16 * 2**20
"""Of one unpacked graph: some hundred times what the largest network of the suite takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedGraph:
    """A graph as a row of a journal.

    - ``digest``: of the network's graph, or of the layer's call.
    - ``families``: of a layer, the lineages of the networks that have it.
    - ``unsupported``: number of operators without a counting rule.
    - ``contents``: each distinct row with a kernel as a list of JSON values, and how often it runs.
    """

    digest: str
    name: str
    families: tuple[str, ...]
    unsupported: int
    contents: list[list[Any]]

    def columns(self) -> dict[str, Any]:
        """Return the columns of its row in a journal."""
        return {
            "digest": self.digest,
            "name": self.name,
            "families": list(self.families),
            "unsupported": self.unsupported,
            "contents": packed(self.contents),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGraph:
    """A graph read back from a journal.

    - ``counted``: its rows and how often each runs, or the reason why they cannot be priced.
    """

    families: tuple[str, ...]
    counted: Counted | str


def packed(contents: list[list[Any]]) -> str:
    """Pack ``contents`` into text that a line of JSON can hold."""
    text = json.dumps(contents, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(text, 9)).decode("ascii")


def unpacked(text: str, known: dict[str, LayerProfile] | None = None) -> Counted:
    """Unpack the rows that ``packed`` wrote.

    ``known``: rows of graphs unpacked before, so that equal rows are stored once; it grows. Raises MeasurementError
    where the text is damaged or too large.
    """
    shared = {} if known is None else known
    try:
        stream = zlib.decompressobj()
        raw = stream.decompress(base64.b64decode(text, validate=True), _MOST_BYTES)
        if stream.unconsumed_tail or not stream.eof:
            raise ValueError("it is too large or cut off")
        return [(_shared(row, shared), int(times)) for row, times in json.loads(raw)]
    except (ValueError, TypeError, IndexError, zlib.error, binascii.Error, RecursionError) as error:
        raise MeasurementError(f"the contents of a graph cannot be read ({error}): measure the row again") from error


def _shared(row: list[Any], known: dict[str, LayerProfile]) -> LayerProfile:
    text = json.dumps(row)
    if text not in known:
        known[text] = layer_of(row)
    return known[text]


def graphs_of(rows: Iterable[TypedRow]) -> dict[str, MeasuredGraph]:
    """Return the graphs among ``rows`` of any kind, by digest."""
    known: dict[str, LayerProfile] = {}
    own = (row for row in rows if isinstance(row, GraphRow))
    return {row.digest: MeasuredGraph(families=row.families, counted=_counted(row, known)) for row in own}


def _counted(row: GraphRow, known: dict[str, LayerProfile]) -> Counted | str:
    if row.unsupported:
        return "the graph has operators without a counting rule"
    try:
        return unpacked(row.contents, known)
    except MeasurementError:
        return "the contents of the graph are damaged"
