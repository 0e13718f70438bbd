"""Control flow: the taken branch of an If in line, the body of a Loop or Scan times its trip count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from onnx import TensorProto

from joulecast.errors import ModelFormatError, UnresolvedShapeError
from joulecast.readers.onnx.attributes import plain, subgraph
from joulecast.readers.onnx.passes import Passes, carried, joined, unchanged
from joulecast.readers.onnx.scope import GraphRecord, Scope
from joulecast.readers.onnx.shapes.sequences import sequence_of
from joulecast.readers.onnx.values import SMALL_NUMEL, Value, from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import GraphProto, NodeProto

    from joulecast.readers.onnx.workload.hints import Hints

    Inputs = Sequence[Value | None]
    Rule = Callable[["GraphWalk", NodeProto, Inputs, Scope, GraphRecord], list[Value]]

EXACT_ITERATIONS = 32
"""Iterations followed with every known value before asking whether the rest repeat the last one."""

MAX_ITERATIONS = 100_000
"""Iterations followed one by one where each differs from the one before."""


class GraphWalk(Protocol):
    """The walk that met the control flow: its hints, its operator set versions, and how it walks a nested graph."""

    @property
    def hints(self) -> Hints: ...

    @property
    def opsets(self) -> dict[str, int]: ...

    def graph(self, graph: GraphProto, scope: Scope, record: GraphRecord) -> list[Value]: ...


def _if(walk: GraphWalk, node: NodeProto, inputs: Inputs, scope: Scope, record: GraphRecord) -> list[Value]:
    condition = inputs[0]
    walk.hints.steering.update(value.name for value in inputs if value is not None and value.runtime)
    if condition is None or condition.data is None or condition.data.size != 1:
        problem = (
            f"the If node {node.name or node.output[0]!r} branches on {node.input[0]!r}, whose value the workload does"
            " not give (1: then, 0: else)"
        )
        taken = bool(walk.hints.asked.content(node.input[0], problem, 1))
    else:
        taken = bool(condition.data.reshape(()))
    other = subgraph(node, "else_branch" if taken else "then_branch")
    record.free_nodes += len(other.node) + 1
    return walk.graph(subgraph(node, "then_branch" if taken else "else_branch"), Scope(scope), record)


def _loop(walk: GraphWalk, node: NodeProto, inputs: Inputs, scope: Scope, record: GraphRecord) -> list[Value]:
    body = subgraph(node, "body")
    limit, going = _content(inputs, 0), _content(inputs, 1)
    limit, going = _asked(walk, node, inputs, 0, limit), _asked(walk, node, inputs, 1, going)
    trips = None if limit is None else int(limit)
    initial = [_present(value, node) for value in inputs[2:]]
    state = LoopState(walk=walk, node=node, body=body, scope=scope, passes=Passes(record), carried=initial)
    state.run(trips, going is None or bool(going))
    state.passes.flush()
    stacks = [_stack(state, position, name) for position, name in enumerate(node.output[len(initial) :])]
    return joined(node, inputs, tuple(state.passes.ends), [*state.carried, *stacks], record)


def _content(inputs: Inputs, index: int) -> Any:
    value = inputs[index] if len(inputs) > index else None
    return None if value is None or value.data is None or value.data.size != 1 else value.data.reshape(())


def _present(value: Value | None, node: NodeProto) -> Value:
    if value is None:
        raise ModelFormatError(
            f"the {node.op_type} node {node.name!r} lacks an initial value; the file is damaged, export it again"
        )
    return value


def _asked(walk: GraphWalk, node: NodeProto, inputs: Inputs, index: int, known: Any) -> Any:
    """Return the trip count or condition; one that depends on data is asked for and taken to be 1."""
    if known is not None or len(inputs) <= index or inputs[index] is None:
        return known
    what = "trip count" if index == 0 else "condition"
    problem = (
        f"the {what} {node.input[index]!r} of the Loop node {node.name or node.output[0]!r} depends on data that the"
        " workload does not give"
    )
    return walk.hints.asked.content(node.input[index], problem, 1)


class LoopState:
    """The state of a running loop: its carried values, and what each iteration added to the stacked outputs."""

    def __init__(
        self, *, walk: GraphWalk, node: NodeProto, body: GraphProto, scope: Scope, passes: Passes, carried: list[Value]
    ) -> None:
        self.walk, self.node, self.body, self.scope, self.passes = walk, node, body, scope, passes
        self.carried = carried
        self.unchanged = unchanged(body, 2, 1, len(carried))
        self.stacked: list[list[Value]] = []
        self.done = 0
        self.skipped = 0

    def run(self, trips: int | None, going: bool) -> None:
        while going and (trips is None or self.done < trips):
            if self.done >= MAX_ITERATIONS:
                raise UnresolvedShapeError(
                    f"the Loop node {self.node.name!r} runs more than {MAX_ITERATIONS} unequal iterations; lower"
                    f" its trip count"
                )
            if trips is not None and self.done == EXACT_ITERATIONS and self._repeat(trips - self.done):
                return
            going = self._step()

    def _step(self) -> bool:
        """Run one iteration with every known value; return whether the loop goes on."""
        recording = self.passes.inner()
        outputs = self._iterate(self.carried, from_array("", np.array(self.done, np.int64), runtime=True), recording)
        outputs = self.passes.add(recording, outputs)
        self._take(outputs)
        self.done += 1
        if outputs[0].data is None:
            problem = (
                f"whether the Loop node {self.node.name or self.node.output[0]!r} goes on after iteration {self.done}"
                " depends on data that the workload does not give (0: it ends, 1: it goes on)"
            )
            return bool(self.walk.hints.asked.content(self.body.output[0].name, problem, 0))
        return bool(outputs[0].data.reshape(()))

    def _iterate(self, values: list[Value], iteration: Value, recording: GraphRecord) -> list[Value]:
        scope = Scope(self.scope)
        formals = [info.name for info in self.body.input]
        going = from_array("", np.array(True), runtime=True)
        for name, value in zip(formals, (iteration, going), strict=False):
            scope[name] = recording.add(replace(value, name=name, open=True))
        for position, (name, value) in enumerate(zip(formals[2:], values, strict=False)):
            scope[name] = value if position in self.unchanged else carried(value, name, recording)
        return self.walk.graph(self.body, scope, recording)

    def _take(self, outputs: list[Value]) -> None:
        count = len(self.carried)
        after = enumerate(outputs[1 : 1 + count])
        self.carried = [self.carried[i] if i in self.unchanged else value for i, value in after]
        self.stacked.append(outputs[1 + count :])

    def _repeat(self, left: int) -> bool:
        """Decide whether the rest repeats one iteration without changing known content.

        If so, record the whole rest.
        """
        before = [value.without_data() for value in self.carried]
        recording = self.passes.inner()
        iteration = Value(name="", elem=TensorProto.INT64, shape=())
        with self.walk.hints.trial() as asks:
            try:
                outputs = self._iterate(before, iteration, recording)
            except UnresolvedShapeError:
                return False
            if asks():
                return False
        after = outputs[1 : 1 + len(before)]
        steady = all(
            (a.elem, a.shape) == (b.elem, b.shape) and a.items is None for a, b in zip(before, after, strict=True)
        )
        if not steady or outputs[0].data is None or not bool(outputs[0].data.reshape(())):
            return False
        outputs = self.passes.add(recording, outputs, left)
        self._take([outputs[0], *(v.without_data() for v in outputs[1:])])
        self.done += left
        self.skipped = left - 1
        return True


def _stack(state: LoopState, position: int, name: str) -> Value:
    values = [outputs[position] for outputs in state.stacked]
    total = len(values) + state.skipped
    if not values:
        info = state.body.output[1 + len(state.carried) + position]
        return _empty_stack(name, info)
    shape = values[0].shape
    if any(value.shape != shape for value in values) or shape is None:
        raise UnresolvedShapeError(
            f"the Loop node {state.node.name!r} stacks values of unequal shapes into {name!r}; correct the model"
        )
    data = _stacked_data(values) if not state.skipped else None
    return Value(name=name, elem=values[0].elem, shape=(total, *shape), data=data)


def _empty_stack(name: str, info: Any) -> Value:
    from joulecast.readers.onnx.values import from_type

    value = from_type(name, info.type)
    if value.shape is None or not value.static:
        raise UnresolvedShapeError(
            f"a loop that never runs yields {name!r}, whose shape the file does not declare; give --input {name}=…"
        )
    return replace(value, shape=(0, *value.shape))


def _stacked_data(values: Sequence[Value]) -> Any:
    if any(value.data is None for value in values) or sum(value.numel or 0 for value in values) > SMALL_NUMEL:
        return None
    return np.stack([value.data for value in values])


def _scan(walk: GraphWalk, node: NodeProto, inputs: Inputs, scope: Scope, record: GraphRecord) -> list[Value]:
    body, attributes = subgraph(node, "body"), plain(node)
    values = [_present(value, node) for value in inputs if value is not None]
    scanned = int(attributes["num_scan_inputs"])
    batched = walk.opsets.get("", 9) < 9
    states, slices = values[: len(values) - scanned], values[len(values) - scanned :]
    _require_slices(node, slices, [0, 1] if batched else _axes(attributes, "scan_input_axes", scanned)[:1])
    if not batched:
        return _scan_once(walk, node, body, states, slices, attributes, scope, record)
    return _scan_batches(walk, node, body, states, slices, scope, record)


def _require_slices(node: NodeProto, slices: Sequence[Value], axes: Sequence[int]) -> None:
    """Raise ``ModelFormatError`` unless the first scanned input has the axes along which it is scanned."""
    rank = len(slices[0].shape or ()) if slices else 0
    if not slices or not all(-rank <= axis < rank for axis in axes):
        raise ModelFormatError(
            f"the Scan node {node.name or node.output[0]!r} scans an input of rank {rank} along axes"
            f" {', '.join(map(str, axes))}; the file is damaged, export it again"
        )


def _axes(attributes: Any, key: str, count: int) -> list[int]:
    return list(attributes.get(key, ())) or [0] * count


def _without(value: Value, axis: int) -> Value:
    shape = value.shape or ()
    axis %= max(len(shape), 1)
    return replace(value, name="", shape=(*shape[:axis], *shape[axis + 1 :]), data=None, open=True)


def _with(value: Value, axis: int, length: int, name: str) -> Value:
    shape = value.shape or ()
    axis %= len(shape) + 1
    shape = (*shape[:axis], length, *shape[axis:])
    return replace(value, name=name, shape=shape, data=None, runtime=True, role="activation", stored=())


def _scan_once(
    walk: GraphWalk,
    node: NodeProto,
    body: GraphProto,
    states: list[Value],
    slices: list[Value],
    attributes: Any,
    scope: Scope,
    record: GraphRecord,
) -> list[Value]:
    axes = _axes(attributes, "scan_input_axes", len(slices))
    length = (slices[0].shape or (0,))[axes[0]] or 0
    elements = [_without(value, axis) for value, axis in zip(slices, axes, strict=True)]
    finals, outputs = _fixed_point(walk, node, body, states, elements, scope, record, length)
    out_axes = _axes(attributes, "scan_output_axes", len(outputs))
    stacks = [_with(value, axis, length, "") for value, axis in zip(outputs, out_axes, strict=False)]
    ends = [value.name for value in (*finals, *outputs) if length]
    return joined(node, (*states, *slices), ends, [*finals, *stacks], record)


def _scan_batches(
    walk: GraphWalk,
    node: NodeProto,
    body: GraphProto,
    states: list[Value],
    slices: list[Value],
    scope: Scope,
    record: GraphRecord,
) -> list[Value]:
    """Scan in the form of opset 8, where everything has a leading batch dimension and each element is scanned apart."""
    states = states[1:] if len(states) + len(slices) == len(node.input) else states
    batch = (slices[0].shape or (1,))[0] or 1
    length = (slices[0].shape or (1, 0))[1] or 0
    elements = [_without(_without(value, 0), 0) for value in slices]
    finals, outputs = _fixed_point(
        walk, node, body, [_without(s, 0) for s in states], elements, scope, record, length * batch
    )
    batched = [_with(value, 0, batch, "") for value in finals]
    stacks = [_with(_with(value, 0, length, ""), 0, batch, "") for value in outputs]
    ends = [value.name for value in (*finals, *outputs) if length * batch]
    return joined(node, (*states, *slices), ends, [*batched, *stacks], record)


def _fixed_point(
    walk: GraphWalk,
    node: NodeProto,
    body: GraphProto,
    states: list[Value],
    elements: list[Value],
    scope: Scope,
    record: GraphRecord,
    times: int,
) -> tuple[list[Value], list[Value]]:
    """Walk the body until its states keep their shapes (at once in a valid model) and record it ``times`` times."""
    states = [state.without_data() for state in states]
    kept = unchanged(body, 0, 0, len(states))
    for _ in range(4):  # a shape may widen once a dimension; a valid scan never does
        recording = record.inner()
        inner = Scope(scope)
        for position, (info, value) in enumerate(zip(body.input, states, strict=False)):
            inner[info.name] = (
                recording.add(replace(value, name=info.name))
                if position in kept
                else carried(value, info.name, recording)
            )
        for info, value in zip(body.input[len(states) :], elements, strict=False):
            inner[info.name] = recording.add(replace(value, name=info.name))
        outputs = walk.graph(body, inner, recording)
        finals = outputs[: len(states)]
        if [v.shape for v in finals] == [v.shape for v in states]:
            if times:
                record.append(recording, repeats=times)
            return [v.without_data() for v in finals], outputs[len(states) :]
        states = [states[i] if i in kept else value.without_data() for i, value in enumerate(finals)]
    raise UnresolvedShapeError(
        f"the state of the Scan node {node.name!r} changes shape at every step; correct the model"
    )


def _sequence_map(walk: GraphWalk, node: NodeProto, inputs: Inputs, scope: Scope, record: GraphRecord) -> list[Value]:
    body = subgraph(node, "body")
    first = inputs[0]
    if first is None or first.items is None:
        raise UnresolvedShapeError(
            f"the SequenceMap node {node.name or node.output[0]!r} maps a sequence of unknown length; --value"
            f" {node.input[0]}=…"
        )
    passes = Passes(record)
    collected: list[list[Value]] = []
    for index in range(len(first.items)):
        recording = passes.inner()
        inner = Scope(scope)
        for info, value in zip(body.input, inputs, strict=False):
            if value is not None:
                inner[info.name] = value
            if value is not None and value.items is not None:
                inner[info.name] = recording.add(replace(value.items[index], name=info.name))
        collected.append(passes.add(recording, walk.graph(body, inner, recording)))
    passes.flush()
    columns = [[outputs[i] for outputs in collected] for i in range(len(node.output))]
    sequences = [sequence_of(column, column[0].elem if column else TensorProto.FLOAT) for column in columns]
    return joined(node, inputs, tuple(passes.ends), sequences, record)


RULES: dict[str, Rule] = {"If": _if, "Loop": _loop, "Scan": _scan, "SequenceMap": _sequence_map}
