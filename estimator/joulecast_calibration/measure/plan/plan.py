"""Plan what is measured, in which order: slices, coverage, anchors, repeats.

A plan depends on the suite and on the options alone, so every process of a run, and every later run that resumes its
folder, has the same plan and measures what is left of it. The orders are the suite's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, TypeVar

from joulecast_calibration.measure.plan.configuration import SLICES, Configuration
from joulecast_calibration.measure.plan.expectation import timed
from joulecast_calibration.suite import Additivity, SuiteIndex, SuiteLayer, SuiteNetwork
from joulecast_calibration.suite.decoders import PRECISION, DecoderPass

BLOCK = 50  # rows shuffled among themselves: docs/measuring.md
REPEATED_SHARE = 0.1  # rows measured twice, for the noise floor: docs/measuring.md
LONG_SECONDS = 0.5  # rows that last longer come last: docs/measuring.md

_FIRST_NETWORKS = 96  # networks of the first run, all batches each: docs/measuring.md says 90 to 100
_FIRST_LAYERS = 200  # of the first run: docs/measuring.md
_COMPILED_BATCH = 32
_COMPILED_NETWORKS = 30  # as many as are captured: docs/measuring.md
_FIRST_BF16_NETWORKS = 40  # before bf16 layers, so that two windows have both
_HOT_EVERY = 10  # every tenth layer is measured with a hot cache as well: docs/measuring.md
_LONG_WINDOWS = 6  # at least 5 are asked for: docs/measuring.md
_ALIASING_SECONDS = (0.012, 0.2)  # executions that alias with a 100 ms sensor, several of them in 8 s
_CODECARBON_WINDOWS = 12  # at least 10 are asked for: docs/measuring.md
_CODECARBON_LONGEST_SECONDS = 0.0015  # 2.5 ms are allowed, and a prediction may be wrong: docs/measuring.md


_CHECKED_MACS = 20 * 10**9  # of a layer: a second or two on two cores
_CHECKED_LAYER_BYTES = 1 << 30  # of a layer: filling more with random numbers takes a processor seconds a buffer
_CHECKED_BYTES = 8 << 30  # of a network: what a small machine can hold


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Options of the plan that the user chooses.

    - ``slices``: names of slices; if empty, the first run, and with ``rest`` whatever is left.
    - ``precision``, ``runtime``: replace each slice's own.
    """

    slices: tuple[str, ...] = ()
    seed: int = 0
    precision: str = ""
    runtime: str = ""
    rest: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rows of a run: ``opening`` (constants and anchors), ``rows`` (the slices), ``closing`` (the anchors once
    more)."""

    opening: tuple[Configuration, ...]
    rows: tuple[Configuration, ...]
    closing: tuple[Configuration, ...]


def make_plan(suite: SuiteIndex, options: PlanOptions) -> Plan:
    """Make the whole plan, without a budget."""
    slices = _Slices(suite=suite, options=options)
    if options.slices:
        rows = _interleaved([row for name in SLICES if name in options.slices for row in slices.whole(name)])
    else:
        rows = slices.first_run() + [row for name in _AFTERWARDS if options.rest for row in slices.whole(name)]
    early = [row for row in rows if row.slice == "llm" or _short(row)]
    late = [row for row in rows if row.slice != "llm" and not _short(row)]
    late.sort(key=lambda row: row.forward_seconds)
    anchors = [] if set(options.slices) == {"smoke"} else [_layer(layer, slice="anchors") for layer in suite.anchors]
    anchors = _timed(anchors)
    constants = timed(Configuration(kind="constants", slice="constants", name="constants", runtime="", precision=""))
    return Plan(
        opening=(constants, *(replace(row, anchor="start") for row in anchors)),
        rows=tuple(_timed(_once([*early, *late]))),
        closing=tuple(replace(row, anchor="end") for row in anchors),
    )


def smallest(plan: Plan) -> Plan:
    """Reduce a plan to a check, from light to heavy: each network once at its smallest batch, and quick layers."""
    rows = [row for row in plan.rows if not row.repeat]
    batches: dict[tuple[object, ...], Configuration] = {}
    for row in sorted((row for row in rows if row.kind == "network"), key=lambda row: row.batch_size):
        fed = row.name, row.sequence_length, row.audio_seconds, row.phase
        batches.setdefault(fed, replace(row, runtime="torch-eager"))
    networks = [row for row in batches.values() if row.counts["bytes_moved"] <= _CHECKED_BYTES]
    able = [row for row in rows if row.kind == "layer" and _is_light(row)]
    chosen = sorted([*able, *networks], key=lambda row: row.counts["bytes_moved"])
    return Plan(opening=plan.opening[:1], rows=tuple(_timed(chosen)), closing=())


def _is_light(layer: Configuration) -> bool:
    return layer.counts["macs"] <= _CHECKED_MACS and layer.counts["bytes_moved"] <= _CHECKED_LAYER_BYTES


_AFTERWARDS = ("serving", "layers", "networks", "bf16", "compile", "hot")
"""Slices that follow in a run without named slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slices:
    suite: SuiteIndex
    options: PlanOptions
    _made: dict[str, list[Configuration]] = field(default_factory=dict)

    def whole(self, name: str) -> list[Configuration]:
        """Return every row of a slice, with expected seconds, in its order."""
        if name not in self._made:
            self._made[name] = _timed([self._as_asked(replace(row, slice=name)) for row in _MAKERS[name](self)])
        return self._made[name]

    def first_run(self) -> list[Configuration]:
        """Return the slices of the first run with the shares that docs/measuring.md gives.

        The order may be cut anywhere: all tasks, batch sizes and both runtimes occur from the first rows on, with
        repeats of what was measured.
        """
        rows = self.whole("smoke") + self.whole("llm")
        rows += _interleaved(self._networks_and_layers() + self.whole("repeats"), unmeasured=False)
        measured = {row.identity for row in rows}
        own = [row for row in self.whole("repeats") if row.identity in measured]
        return rows + self.whole("additivity") + _alternating(own, self.whole("crosscheck")) + self.whole("repeats")

    def _networks_and_layers(self) -> list[Configuration]:
        """Return networks with all batches and CUDA graph, which share a build, and layers evenly between them."""
        captured = {row.group: row for row in self.whole("cudagraph")}
        networks = _first_groups(self.whole("networks"), _FIRST_NETWORKS)
        units = [list(rows) for _, rows in groupby(networks, key=lambda row: row.group)]
        for rows in units:
            rows += [captured.pop(rows[0].group)] if rows[0].group in captured else []
        left = [[row] for row in captured.values()]
        layers = [[row] for row in self.whole("layers")[:_FIRST_LAYERS]]
        return [row for unit in _alternating(units + left, layers) for row in unit]

    def networks(self) -> list[Configuration]:
        """Return the batches of each network in random order, so that the card's warming is not correlated with batch
        size."""
        return [row for network in self.suite.networks for row in self._batches(network)]

    def llm(self) -> list[Configuration]:
        rows = _timed([row for network in self.suite.llms for row in self._batches(network)])
        return sorted(rows, key=lambda row: row.forward_seconds > LONG_SECONDS)

    def cudagraph(self) -> list[Configuration]:
        rows = [row for network in self.suite.cudagraphs for row in self._batches(network)]
        return [replace(row, runtime="torch-cudagraph") for row in rows]

    def compiled(self) -> list[Configuration]:
        rows = [row for row in self.networks() if row.batch_size == _COMPILED_BATCH and _short(row)]
        return [replace(row, runtime="torch-compile") for row in rows[:_COMPILED_NETWORKS]]

    def additivity(self) -> list[Configuration]:
        """Return each network as a CUDA graph, followed by its layers in random order."""
        rows = []
        for sum_of in self.suite.additivity:
            rows.append(_additive_network(sum_of, self.suite))
            layers = [_layer(layer) for layer, _ in sum_of.layers]
            rows += self._shuffled(layers, sum_of.name)
        return rows

    def layers(self) -> list[Configuration]:
        """Return blocks of layers in coverage order, shuffled within a block."""
        layers = [_layer(layer) for layer in self.suite.layers]
        blocks = [layers[start : start + BLOCK] for start in range(0, len(layers), BLOCK)]
        return [row for number, block in enumerate(blocks) for row in self._shuffled(block, f"block {number}")]

    def hot(self) -> list[Configuration]:
        return [replace(_layer(layer), l2_state="hot") for layer in self.suite.layers[::_HOT_EVERY]]

    def repeats(self) -> list[Configuration]:
        """Return a tenth of all rows as repeats, chosen by hash; a session repeats those that have been measured."""
        every = map(self._as_asked, [*self.networks(), *self.cudagraph(), *self.layers()])
        chosen = [row for row in every if _short(row) and _share(self.options.seed, row.identity) < REPEATED_SHARE]
        return [replace(row, repeat=1) for row in _once(chosen)]

    def crosscheck(self) -> list[Configuration]:
        """Return networks that alias with the sensor, in long windows, and short layers beside CodeCarbon."""
        low, high = _ALIASING_SECONDS
        slow = [row for row in self.networks() if low < row.forward_seconds < high][:_LONG_WINDOWS]
        quick = [row for row in self.layers()[:_FIRST_LAYERS] if row.forward_seconds <= _CODECARBON_LONGEST_SECONDS]
        windows = [replace(row, kind="window", window="long") for row in slow]
        return windows + [replace(row, kind="window", window="codecarbon") for row in quick[:_CODECARBON_WINDOWS]]

    def serving(self) -> list[Configuration]:
        """Return the passes of all decoders in two rounds, so that the first half has some of each.

        The passes of a decoder in a round share its build, and come in random order.
        """
        rounds: tuple[list[Configuration], list[Configuration]] = ([], [])
        for _, passes in groupby(self.suite.decoders.passes, key=lambda each: each.name):
            rows = [_pass_row(each) for each in passes]
            rows = self._shuffled(rows, rows[0].group)
            rounds[0].extend(rows[::2])
            rounds[1].extend(rows[1::2])
        return [*rounds[0], *rounds[1]]

    def bf16(self) -> list[Configuration]:
        networks, layers = self.networks(), self.layers()
        first = _first_groups(networks, _FIRST_BF16_NETWORKS)
        rows = _once([*first, *layers[:_FIRST_LAYERS], *networks, *layers])
        return [replace(row, precision="bf16") for row in rows]

    def smoke(self) -> list[Configuration]:
        captured = next(network.name for network in self.suite.cudagraphs if not network.name.startswith("hf:"))
        network = next(network for network in self.suite.networks if network.name == captured)
        smallest = min(self.suite.llms, key=lambda llm: llm.batches[0].params)
        middle = _network(network, len(network.batches) // 2)
        return _smoke_rows(_layer(self.suite.anchors[0]), middle, _network(smallest, 0))

    def _batches(self, network: SuiteNetwork) -> list[Configuration]:
        rows = _rows_of(network)
        return self._shuffled(rows, rows[0].group) if rows else []

    def _as_asked(self, row: Configuration) -> Configuration:
        """Return ``row`` in the precision and runtime that the user named; a layer always runs in a CUDA graph."""
        precision = self.options.precision if self.options.precision and row.precision == "default" else row.precision
        eager = row.kind == "network" and row.runtime == "torch-eager"
        runtime = self.options.runtime if self.options.runtime and eager else row.runtime
        return replace(row, precision=precision, runtime=runtime)

    def _shuffled(self, rows: Sequence[Configuration], what: str) -> list[Configuration]:
        return random.Random(f"{self.options.seed} {what}").sample(list(rows), len(rows))  # noqa: S311 (no secret)


_MAKERS: Mapping[str, Callable[[_Slices], list[Configuration]]] = {
    "constants": lambda _: [],  # they open every run
    "llm": _Slices.llm,
    "networks": _Slices.networks,
    "cudagraph": _Slices.cudagraph,
    "additivity": _Slices.additivity,
    "layers": _Slices.layers,
    "repeats": _Slices.repeats,
    "crosscheck": _Slices.crosscheck,
    "serving": _Slices.serving,
    "bf16": _Slices.bf16,
    "compile": _Slices.compiled,
    "hot": _Slices.hot,
    "smoke": _Slices.smoke,
}


def _smoke_rows(layer: Configuration, network: Configuration, language_model: Configuration) -> list[Configuration]:
    """Return a row of each step of the smoke slice; ``network``: not of ``hf``, whose networks here are language
    models."""
    return [
        layer,
        replace(layer, l2_state="hot"),
        network,
        replace(network, runtime="torch-cudagraph"),
        replace(network, precision="bf16"),
        language_model,
        replace(layer, kind="window", window="codecarbon"),
    ]


def _network(network: SuiteNetwork, position: int) -> Configuration:
    batch = network.batches[position]
    return Configuration(
        kind="network",
        slice="networks",
        name=network.name,
        task=network.task,
        sequence_length=network.sequence_length,
        audio_seconds=network.seconds,
        batch_size=batch.batch_size,
        digest=batch.digest,
        forward_seconds=batch.predicted_seconds,
        forward_joules=batch.predicted_joules,
        counts=_counts(batch),
    )


def _additive_network(sum_of: Additivity, suite: SuiteIndex) -> Configuration:
    """Return the network whose layers are summed; its predicted time is the sum of its layers' times."""
    bare = Configuration(
        kind="network",
        slice="additivity",
        name=sum_of.name,
        batch_size=sum_of.batch_size,
        sequence_length=sum_of.sequence_length,
        audio_seconds=sum_of.seconds,
        runtime="torch-cudagraph",
        forward_seconds=sum(count * layer.predicted_seconds for layer, count in sum_of.layers),
    )
    listed = (replace(row, runtime="torch-cudagraph") for network in suite.networks for row in _rows_of(network))
    return next((row for row in listed if row.identity == bare.identity), bare)


def _pass_row(each: DecoderPass) -> Configuration:
    return Configuration(
        kind="network",
        slice="serving",
        name=each.name,
        task="nlp",
        batch_size=each.batch_size,
        phase=each.phase,
        context_tokens=each.context_tokens,
        runtime="torch-cudagraph",
        precision=PRECISION,
        digest=each.digest,
        forward_seconds=each.predicted_seconds,
        forward_joules=each.predicted_joules,
        counts=each.counts,
    )


def _rows_of(network: SuiteNetwork) -> list[Configuration]:
    return [_network(network, position) for position in range(len(network.batches))]


def _layer(layer: SuiteLayer, slice: str = "layers") -> Configuration:  # noqa: A002 (the field's name)
    return Configuration(
        kind="layer",
        slice=slice,
        name=layer.document["function"],
        digest=layer.digest,
        runtime="torch-cudagraph",
        l2_state="rotated",
        op_type=layer.op_type,
        forward_seconds=layer.predicted_seconds,
        forward_joules=layer.predicted_joules,
        counts=_counts(layer) | {"multiplicity": layer.multiplicity},
    )


def _counts(counted: Any) -> dict[str, int]:
    """Return the index's counts, which the measuring machine replaces where it traces."""
    names = ("rows", "macs", "params", "activations", "input_numel", "bytes_moved", "kernels", "views")
    found = {name: getattr(counted, name) for name in names}
    return found | ({"module_calls": counted.module_calls} if hasattr(counted, "module_calls") else {})


def _timed(rows: Sequence[Configuration]) -> list[Configuration]:
    """Add expected seconds; a row that follows a row of its group does not need a build."""
    made: list[Configuration] = []
    for row in rows:
        made.append(timed(row, shared_build=bool(made) and row.kind == "network" and made[-1].group == row.group))
    return made


def _first_groups(rows: Sequence[Configuration], count: int) -> list[Configuration]:
    """Return the rows of the first ``count`` networks."""
    first = set(list(dict.fromkeys(row.group for row in rows))[:count])
    return [row for row in rows if row.group in first]


def _short(row: Configuration) -> bool:
    return row.forward_seconds <= LONG_SECONDS


def _interleaved(rows: Sequence[Configuration], *, unmeasured: bool = True) -> list[Configuration]:
    """Place repeats after the block that they repeat, as a slice may exceed any budget; append others if
    ``unmeasured``."""
    repeats = {row.identity: row for row in rows if row.repeat}
    others = [row for row in rows if not row.repeat]
    made: list[Configuration] = []
    for start in range(0, len(others), BLOCK):
        block = others[start : start + BLOCK]
        made += block + [repeats.pop(row.identity) for row in block if row.identity in repeats]
    return made + (list(repeats.values()) if unmeasured else [])


def _alternating(*lists: Sequence[Item]) -> list[Item]:
    """Merge all lists at equal shares, so that any part of a budget covers some rows of each."""
    shares = [(place / len(items), item) for items in lists for place, item in enumerate(items)]
    return [item for _, item in sorted(shares, key=lambda pair: pair[0])]


def _once(rows: Iterable[Configuration]) -> list[Configuration]:
    """Keep each key at its first place."""
    found: dict[str, Configuration] = {}
    for row in rows:
        found.setdefault(row.key, row)
    return list(found.values())


def _share(seed: int, identity: str) -> float:
    """Return a number in [0, 1) that is always the same for the identity."""
    return int(hashlib.sha256(f"{seed} {identity}".encode()).hexdigest()[:8], 16) / 2**32
