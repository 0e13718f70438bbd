"""Peak memory from a trace."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from joulecast.readers.module.calls import Call, TensorSpec, Trace
from joulecast_calibration.suite.memory import peak_bytes, stored_bytes
from tests.unit.joulecast_calibration.suite.records import spec

KIB = 1024  # 256 elements of float32


def call(read: list[TensorSpec], written: TensorSpec) -> Call:
    return Call(function="f", tensors=tuple(read), outputs=(written,))


def tensor(name: str, role: str = "activation", kib: int = 1) -> TensorSpec:
    return spec(256 * kib, role=role, name=name)


def traced(calls: list[Call], returned: str) -> Trace:
    return Trace(name="t", calls=tuple(calls), inputs=(tensor("x", "input"),), outputs=(returned,))


def chain(length: int) -> list[Call]:
    names = ["x", *(f"a{number}" for number in range(length))]
    return [call([tensor(before)], tensor(after)) for before, after in pairwise(names)]


def test_a_chain_holds_two_results_at_once_however_long_it_is() -> None:
    for length in (3, 30):
        assert peak_bytes(traced(chain(length), f"a{length - 1}"), [True] * length) == 3 * KIB


def test_a_skip_connection_lives_until_it_is_added() -> None:
    calls = [*chain(3), call([tensor("a2"), tensor("a0")], tensor("sum"))]
    assert peak_bytes(traced(calls, "sum"), [True] * 4) == 4 * KIB


def test_a_view_takes_no_memory_and_keeps_its_origin_alive() -> None:
    calls = [
        call([tensor("x")], tensor("a")),
        call([tensor("a")], tensor("view")),
        call([tensor("x")], tensor("b")),
        call([tensor("view"), tensor("b")], tensor("sum")),
    ]
    assert peak_bytes(traced(calls, "sum"), [True, False, True, True]) == 4 * KIB
    assert peak_bytes(traced(calls[:3], "b"), [True, True, True]) == 3 * KIB


def test_shared_parameters_and_expanded_dimensions_count_once() -> None:
    weight = tensor("w", "parameter", kib=8)
    calls = [call([tensor("x"), weight], tensor("a")), call([tensor("a"), weight], tensor("b"))]
    assert peak_bytes(traced(calls, "b"), [True, True]) == (1 + 8 + 2) * KIB
    assert stored_bytes(replace(spec(64, 256), strides=(0, 1))) == KIB
