"""Collect measured layers and networks in one table of the law's rows, whoever measured them.

A layer is a network without launch time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.energy.features import (
    PRECISIONS,
    Array,
    Features,
    Flags,
    Index,
    executed,
    features,
    module_calls,
    stack,
    subset,
    views,
)
from joulecast.energy.physical import Chip, Composed, Networks, at_boost, compose_at_boost
from joulecast.energy.profile import Host, Law
from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast_calibration import suite
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.rows.counted import Counted
from joulecast_calibration.rows.graphs import MeasuredGraph
from joulecast_calibration.rows.journals import Executed, ExecutedRow
from joulecast_calibration.rows.networks import ForecastRow, Truth, layers_of
from joulecast_calibration.rows.typed import NetworkRow
from joulecast_calibration.suite.contents import Key, belongs, contents, rows_of_layer, rows_of_network

EAGER = "torch-eager"
RUNTIMES = (EAGER, "torch-cudagraph")
"""Runtimes whose kernels are counted; those that a compiler fuses are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of a row beside its numbers.

    - ``families``: lineage of a network, or all lineages that have the layer.
    - ``configuration``: equal for equal configurations of all runs and cards.
    - ``batch_size``: 0 for a layer, whose shapes hold it.
    - ``sequence_length``: tokens of a network's input, where it reads tokens.
    - ``audio_seconds``: length of a network's audio input, where it reads audio.
    - ``phase``, ``context_tokens``: of a pass of a decoder that generates.
    """

    is_network: bool
    families: tuple[str, ...]
    task: str
    op_type: str
    name: str
    runtime: str
    precision: str
    batch_size: int
    sequence_length: int | None
    audio_seconds: float | None
    configuration: str
    hold: str
    phase: str = ""
    context_tokens: int | None = None

    @property
    def eager(self) -> bool:
        """Return whether a host launches the row's kernels one by one."""
        return self.is_network and self.runtime == EAGER


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Measured rows, ``size`` of them, and the n rows of the law that they consist of, ``networks``.

    - ``layers``, ``features``: the (d,) different rows of the law.
    - ``which``: (n,) position of each row of the law among those.
    - ``clock_mhz``: (size,) as measured, nan where unknown.
    - ``launched``: (size, 4) kernels, views, module calls and forward passes that a host launches, 0 outside eager
      mode.
    - ``left_out``: reasons with numbers of rows.
    """

    rows: tuple[Measured, ...]
    layers: NDArray[np.object_]
    features: Features
    which: Index
    networks: Networks
    clock_mhz: Array
    launched: Array
    joules: Array
    seconds: Array
    left_out: Mapping[str, int]

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def is_network(self) -> Flags:
        return np.array([row.is_network for row in self.rows], dtype=bool)

    def take(self, kept: Flags) -> Table:
        """Return a table of the rows for which ``kept`` (size,) is true."""
        own = kept[self.networks.index]
        used = np.zeros(self.features.bytes.size, dtype=bool)
        used[self.which[own]] = True
        return Table(
            rows=tuple(row for row, here in zip(self.rows, kept.tolist(), strict=True) if here),
            layers=self.layers[used],
            features=subset(self.features, used),
            which=(np.cumsum(used) - 1)[self.which[own]],
            networks=self.networks.subset(kept, own),
            clock_mhz=self.clock_mhz[kept],
            launched=self.launched[kept],
            joules=self.joules[kept],
            seconds=self.seconds[kept],
            left_out=self.left_out,
        )

    def flags(self, positions: Index) -> Flags:
        """Return, (size,), whether each row is at one of ``positions``."""
        found = np.zeros(self.size, dtype=bool)
        found[positions] = True
        return found

    def sum(self, column: str) -> Array:
        """Return the sums (size,) of a column of ``features``."""
        return self.networks.sum(getattr(self.features, column)[self.which])

    def launch_seconds(self, host: Host) -> Array:
        """Return the seconds in which the host launches each row, (size,)."""
        kernels, views, module_calls, passes = self.launched.T
        launched = host.kernel_seconds * kernels + host.view_seconds * views
        seconds: Array = launched + host.module_call_seconds * module_calls + host.forward_seconds * passes
        return seconds

    def compose(self, law: Law, host: Host, chip: Chip, clock: Array, computing: Array | None = None) -> Composed:
        """Price every row at its clock share ``clock`` (size,), or below it where ``chip`` has a power limit.

        ``computing``: ``compute_seconds`` of ``features``, where they are known.
        """
        rows = at_boost(self.features, law, chip, computing).subset(self.which)
        return compose_at_boost(rows, law, chip, self.networks, clock, self.launch_seconds(host))


def table_of_set(rows: Sequence[ForecastRow], truth: Truth, *, lacks: Sequence[str] = ()) -> Table:
    """Build a table of published ``rows`` on the shipped graphs; equal rows of the law in a network are stored once."""
    graphs = [_graph(replace(row, clock_mhz=None, mode="", attention="")) for row in rows]
    return table_of_counted(
        tuple(_published(row, position) for position, row in enumerate(rows)),
        [graph.counted for graph in graphs],
        [graph.precision for graph in graphs],
        passes=[(graph.views, graph.module_calls) for graph in graphs],
        clock_mhz=[row.clock_mhz for row in rows],
        truth=truth,
        left_out={},
        lacks=tuple(lacks),
    )


def _published(row: ForecastRow, position: int) -> Measured:
    return Measured(
        is_network=True,
        families=(row.architecture,),
        task="",
        op_type="",
        name=row.architecture,
        runtime=EAGER,
        precision=row.precision,
        batch_size=row.batch_size,
        sequence_length=row.sequence,
        audio_seconds=None,
        configuration=str(position),
        hold="",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """A shipped network at one configuration.

    - ``counted``: its different rows of the law, and how often each occurs.
    - ``precision``: of its features.
    - ``views``, ``module_calls``: of one forward pass.
    """

    counted: Counted
    precision: str
    views: int
    module_calls: int


@cache
def _graph(row: ForecastRow) -> _Graph:
    layers, precision = layers_of(row)
    found: dict[Any, list[Any]] = {}
    for layer in executed(layers, EAGER):
        moved = (layer.bytes_moved, layer.float_numel, layer.output_numel)
        key = (layer.op_type, layer.dtype, moved, layer.contractions, layer.kernels.get(EAGER), layer.repeats)
        found.setdefault(key, [layer, 0])[1] += 1
    counted = [(layer, times) for layer, times in found.values()]
    return _Graph(counted=counted, precision=precision, views=views(layers), module_calls=module_calls(layers))


def table_of(journal: MeasuredRows, *, lacks: Sequence[str] = ()) -> Table:
    """Build a table of the rows of ``journal`` that the law can be fitted on. Raises MeasurementError if none can."""
    parts: list[tuple[Executed, Counted]] = []
    left_out: Counter[str] = Counter()
    for line in journal.rows:
        found = _counted(line, journal.graphs)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            parts.append((line, found))
    if not parts:
        reasons = "; ".join(f"{reason}: {number}" for reason, number in left_out.most_common())
        raise MeasurementError(f"none of the rows can be fitted ({reasons}): measure others", reason="TooFewRows")
    measured = [line.row for line, _ in parts]
    return table_of_counted(
        tuple(_measured(line, journal.graphs) for line, _ in parts),
        [counted for _, counted in parts],
        [row.precision for row in measured],
        passes=[(row.views, row.module_calls or 0) for row in measured],
        clock_mhz=[row.sm_clock_mhz for row in measured],
        truth=Truth(
            joules=np.array([row.joules for row in measured], dtype=float),
            seconds=np.array([row.seconds for row in measured], dtype=float),
        ),
        left_out=dict(left_out),
        lacks=tuple(lacks),
    )


def table_of_counted(
    rows: tuple[Measured, ...],
    counted: Sequence[Counted],
    precisions: Sequence[str],
    *,
    passes: Sequence[tuple[int, int]],
    clock_mhz: Sequence[float | None],
    truth: Truth,
    left_out: Mapping[str, int],
    lacks: tuple[str, ...],
) -> Table:
    """Build the table of ``rows`` from their rows of the law; ``passes``: views and module calls of a forward pass."""
    layers, found, which = _distinct(counted, precisions, lacks)
    networks = Networks(
        index=np.repeat(np.arange(len(rows)), [len(own) for own in counted]),
        count=np.array([times for own in counted for _, times in own], dtype=float),
        size=len(rows),
    )
    launched = np.column_stack([networks.sum(found.kernels[which]), np.array(passes, dtype=float), np.ones(len(rows))])
    launched[[not row.eager for row in rows]] = 0.0
    return Table(
        rows=rows,
        layers=layers,
        features=found,
        which=which,
        networks=networks,
        clock_mhz=np.array([clock or np.nan for clock in clock_mhz], dtype=float),
        launched=launched,
        joules=truth.joules,
        seconds=truth.seconds,
        left_out=left_out,
    )


def _distinct(
    counted: Sequence[Counted], precisions: Sequence[str], lacks: tuple[str, ...]
) -> tuple[NDArray[np.object_], Features, Index]:
    """Find the different rows of the law, precision by precision, and the position of each row among them."""
    groups: dict[str, dict[int, LayerProfile]] = {}
    for precision, own in zip(precisions, counted, strict=True):
        groups.setdefault(precision, {}).update({id(layer): layer for layer, _ in own})
    tables = [features(list(g.values()), precision=p, runtime=EAGER, lacks=lacks) for p, g in groups.items()]
    place = {key: position for position, key in enumerate((p, layer) for p, group in groups.items() for layer in group)}
    which = [place[p, id(layer)] for p, own in zip(precisions, counted, strict=True) for layer, _ in own]
    layers = np.empty(len(place), dtype=object)
    layers[:] = [layer for group in groups.values() for layer in group.values()]
    return layers, stack(tables), np.array(which, dtype=np.intp)


def _measured(line: Executed, graphs: Mapping[str, MeasuredGraph]) -> Measured:
    row, network = line.row, isinstance(line.row, NetworkRow)
    return Measured(
        is_network=network,
        families=(families_of_suite().get(row.name, row.name),) if network else _families_of_layer(row, graphs),
        task=row.task,
        op_type=row.op_type or "",
        name=row.name,
        runtime=row.runtime,
        precision=row.precision,
        batch_size=row.batch_size or 0,
        sequence_length=row.sequence_length,
        audio_seconds=row.audio_seconds,
        configuration=row.identity,
        hold=f"{line.card}|{row.run_id}",
        phase=(row.phase or "") if isinstance(row, NetworkRow) else "",
        context_tokens=row.context_tokens if isinstance(row, NetworkRow) else None,
    )


def _families_of_layer(row: ExecutedRow, graphs: Mapping[str, MeasuredGraph]) -> tuple[str, ...]:
    """Return all families known to have the layer, from the index and from the index that planned the row."""
    known = layers_of_suite().get(_layer_digest(row))
    own = graphs.get(row.digest or "")
    return tuple(sorted({*(known.families if known else ()), *(own.families if own else ())}))


def _counted(line: Executed, graphs: Mapping[str, MeasuredGraph]) -> Counted | str:
    """Return the rows of the law and how often each runs, or the reason why the row has none.

    The graph that was traced where the row was measured decides. A journal without graphs is of an older version; then
    the suite's index must hold the same graph.
    """
    row = line.row
    if row.runtime not in RUNTIMES:
        return f"kernels of {row.runtime} cannot be counted"
    if row.l2_state == "hot":
        return "weights hot in L2"
    if row.precision not in PRECISIONS:
        return f"precision {row.precision}"
    if row.untraced_reason:
        return "not traced where it was measured"
    own = graphs.get(row.digest or "")
    return _of_index(line) if own is None else own.counted


def _of_index(line: Executed) -> Counted | str:
    row = line.row
    if isinstance(row, NetworkRow) and row.phase:
        return "passes of decoders whose journal does not hold the graph"
    if row.digest_expected:
        return "another graph than the suite's, which its journal does not hold"
    if not isinstance(row, NetworkRow):
        counted = rows_of_layer(_layer_digest(row))
        return "layers that the suite does not have" if counted is None else counted
    key = row.name, row.batch_size, row.sequence_length, row.audio_seconds
    if line.suite_digest != suite.committed().digest and (row.digest is None or row.digest != _graphs().get(key)):
        return "measured with another suite, and its journal does not hold the graph"
    found = contents()
    if found is None or not belongs(found):
        return "networks, for the suite's contents are not those of its index"
    counted = rows_of_network(key)
    return "networks whose contents are missing in the suite" if counted is None else counted


@cache
def _graphs() -> Mapping[Key, str]:
    """Return the index's digest of every forward pass, by key."""
    return {
        (network.name, batch.batch_size, network.sequence_length, network.seconds): batch.digest
        for entry in suite.committed().architectures
        for network in entry.workloads
        for batch in network.batches
    }


def _layer_digest(row: ExecutedRow) -> str:
    """Return the index's digest of a layer, from the identity; the row's own digest differs in half precision."""
    parts = row.identity.split("|")
    return parts[1] if len(parts) > 1 else ""


@cache
def layers_of_suite() -> Mapping[str, suite.SuiteLayer]:
    """Return every layer that the index can run, by digest."""
    summed: Iterable[suite.SuiteLayer] = (layer for entry in suite.committed().additivity for layer, _ in entry.layers)
    return {layer.digest: layer for layer in (*suite.committed().layers, *summed)}


@cache
def families_of_suite() -> Mapping[str, str]:
    """Return the lineage of every architecture by its name."""
    return {entry.name: entry.family for entry in suite.committed().architectures}
