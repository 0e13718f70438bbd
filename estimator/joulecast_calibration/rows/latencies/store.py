"""The counted rows of the networks of the latency tables, as a compressed file: nothing has to be traced to use them.

Networks share rows, so that each different row is stored once. ``python -m joulecast_calibration.suite.survey.tables``
writes the file.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from joulecast.layers import LayerProfile
from joulecast_calibration.files import write_whole
from joulecast_calibration.rows.counted import Counted
from joulecast_calibration.rows.latencies.affine import Document, frozen, layer_of

FILE = Path(__file__).with_name("counted.json.gz")

AUTOCAST, AUTOCAST_BEFORE_2_5, FLOAT32 = "autocast", "autocast, torch < 2.5", "float32"
"""How a network was run: under autocast to float16; the same by torch before 2.5, whose attention stays in float16
where no fused kernel takes it; and as it is built."""

Key = tuple[str, int, str]
"""Name in timm, pixels of an edge of the image, and how it was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedNetwork:
    """What a pass of a network consists of.

    - ``rows``: positions of its rows in ``Store.rows``, and how often each runs.
    - ``views``, ``module_calls``: of a pass.
    """

    rows: tuple[tuple[int, int], ...]
    views: int
    module_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The counted networks by ``Key``, and ``absent``: why a network has no rows.

    - ``versions``: of the libraries that traced them.
    """

    rows: tuple[Document, ...]
    networks: Mapping[Key, CountedNetwork]
    absent: Mapping[Key, str]
    versions: Mapping[str, str]
    _layers: dict[tuple[int, int], LayerProfile] = field(default_factory=dict)

    def counted(self, key: Key, batch: int) -> Counted:
        """Return the rows of the law of a pass with ``batch`` images, and how often each runs."""
        return [(self.layer(place, batch), times) for place, times in self.networks[key].rows]

    def layer(self, place: int, batch: int) -> LayerProfile:
        """Return the row at ``place``; one object for equal rows, so that a table stores them once."""
        if (place, batch) not in self._layers:
            self._layers[place, batch] = layer_of(self.rows[place], batch)
        return self._layers[place, batch]


@cache
def store(path: Path = FILE) -> Store:
    """Read the committed file."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    names = document["names"]
    return Store(
        rows=tuple([names[row[0]], names[row[1]], *row[2:]] for row in document["rows"]),
        networks={tuple(entry[:3]): _network(*entry[3:]) for entry in document["networks"]},
        absent={tuple(entry[:3]): entry[3] for entry in document["absent"]},
        versions=document["versions"],
    )


def _network(views: int, module_calls: int, steps: Sequence[int], times: Sequence[int]) -> CountedNetwork:
    rows = tuple(zip(accumulate(steps), times, strict=True))
    return CountedNetwork(rows=rows, views=views, module_calls=module_calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A traced network: ``documents`` of its rows in order, or the ``reason`` why there are none."""

    key: Key
    documents: Sequence[Document] = ()
    views: int = 0
    module_calls: int = 0
    reason: str = ""


def write_store(traced: Sequence[Traced], versions: Mapping[str, str], path: Path = FILE) -> None:
    """Write what was traced, the same text for the same networks."""
    ordered = sorted(traced, key=lambda each: each.key)
    counted = {each.key: Counter(frozen(row) for row in each.documents) for each in ordered if not each.reason}
    distinct = sorted({row for rows in counted.values() for row in rows}, key=repr)
    place = {row: position for position, row in enumerate(distinct)}
    names = sorted({name for row in distinct for name in row[:2]})
    number = {name: position for position, name in enumerate(names)}
    document = {
        "versions": dict(sorted(versions.items())),
        "names": names,
        "rows": [[number[row[0]], number[row[1]], *row[2:]] for row in distinct],
        "networks": [_entry(each, counted[each.key], place) for each in ordered if not each.reason],
        "absent": [[*each.key, each.reason] for each in ordered if each.reason],
    }
    text = json.dumps(document, separators=(",", ":"))
    write_whole(path, gzip.compress(text.encode(), 9, mtime=0))


def _entry(each: Traced, counted: Mapping[Any, int], place: Mapping[Any, int]) -> list[Any]:
    ordered = sorted((place[row], times) for row, times in counted.items())
    positions = [position for position, _ in ordered]
    steps = [now - before for now, before in zip(positions, [0, *positions], strict=False)]
    return [*each.key, each.views, each.module_calls, steps, [times for _, times in ordered]]
