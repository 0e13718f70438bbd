"""Values written in place are seen through every view, and what was computed for them is counted."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import joulecast
from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.errors import InternalInconsistencyError
from joulecast.readers.module import graph_digest, graph_of, names, trace
from joulecast.readers.module.names.reading import NamingRule

F = nn.functional
WIDTH = 4
X = torch.zeros(2, 3, WIDTH)


class Held:
    """An object of the model's own that is no module."""

    def __init__(self) -> None:
        self.keys = torch.zeros(4, 10, WIDTH)


class Writer(nn.Module):
    """Two products and memory from before the pass; ``function`` is its forward."""

    def __init__(self, function: Callable[[Writer, torch.Tensor], Any]) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.register_buffer("cache", torch.zeros(4, 10, WIDTH))
        self.plain, self.held, self.last = torch.zeros(4, 10, WIDTH), Held(), Any
        self.window = self.plain[:2, :3]
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


CASES: list[Callable[[Writer, torch.Tensor], Any]] = []


def case(function: Callable[[Writer, torch.Tensor], Any]) -> Callable[[Writer, torch.Tensor], Any]:
    CASES.append(function)
    return function


@case
def cache_read_back(m: Writer, x: torch.Tensor) -> Any:
    m.cache[:2, :3] = m.f(x)
    m.plain[:2, :3] = m.g(x)
    return m.cache[:2, :3] + m.plain[:2, :3]


@case
def cache_only_written(m: Writer, x: torch.Tensor) -> Any:
    m.cache.narrow(0, 0, 2)[:, :3].copy_(m.f(x))
    return x + 1


@case
def cache_of_an_object(m: Writer, x: torch.Tensor) -> Any:
    m.held.keys[:2, :3] = m.f(x)
    return m.held.keys.sum()


@case
def view_from_before_the_pass(m: Writer, x: torch.Tensor) -> Any:
    m.window.copy_(m.f(x))
    return m.plain.sum()


@case
def step_by_step(m: Writer, x: torch.Tensor) -> Any:
    out = torch.zeros(2, 3, WIDTH)
    for t in range(3):
        out[:, t] = m.f(x[:, t])
    return out


@case
def into_views_made_beforehand(m: Writer, x: torch.Tensor) -> Any:
    out = torch.empty(2, 3, WIDTH)
    for t, step in enumerate(out.unbind(1)):
        step.copy_(m.f(x[:, t]))
    return out


@case
def added_through_a_view(m: Writer, x: torch.Tensor) -> Any:
    y = m.f(x)
    y[:, :1] += m.g(x)[:, :1]
    return y


@case
def read_through_another_view(m: Writer, x: torch.Tensor) -> Any:
    first, second, _ = m.f(x).unbind(1)
    first.as_strided((2, 3, WIDTH), (3 * WIDTH, WIDTH, 1)).add_(m.g(x))
    return second


@case
def put_by_indices(m: Writer, x: torch.Tensor) -> Any:
    y = torch.zeros_like(x)
    y.view(-1, WIDTH).index_put_((torch.tensor([0, 5]),), m.f(x)[:, 0])
    y.index_copy_(0, torch.tensor([1]), m.g(x)[:1])
    return y


@case
def scattered(m: Writer, x: torch.Tensor) -> Any:
    y = torch.zeros_like(x)
    y[:1].scatter_(1, torch.zeros(1, 3, WIDTH, dtype=torch.long), m.f(x))
    return y.masked_fill_(y > 1, 0.0)


@case
def lists_of_tensors(m: Writer, x: torch.Tensor) -> Any:
    y, z = torch.zeros_like(x), torch.zeros_like(x)
    torch._foreach_copy_([y[:, 0], z], [m.f(x)[:, 0], x])
    torch._foreach_add_([y, y.view(-1)], [z, m.g(x).view(-1)])
    return torch._foreach_mul([y, z], 2.0)


@case
def into_a_given_result(m: Writer, x: torch.Tensor) -> Any:
    torch.add(m.f(x), 1, out=m.cache[:2, :3])
    torch.mm(x[0], m.g.weight, out=m.plain[2, :3])
    return x * 2


@case
def data_exchanged(m: Writer, x: torch.Tensor) -> Any:
    y = m.f(x)
    y.data = m.g(x)
    return y


@case
def written_while_detached(m: Writer, x: torch.Tensor) -> Any:
    y = m.f(x)
    y.detach().add_(m.g(x))
    return y


@case
def input_overwritten(m: Writer, x: torch.Tensor) -> Any:
    x[:, 0] = m.f(x)[:, 0]
    return m.g(x)


@case
def kept_as_an_attribute(m: Writer, x: torch.Tensor) -> Any:
    m.last = [m.f(x)]
    m.held.keys = m.g(x)
    return x + 1


@case
def weights_put_together(m: Writer, x: torch.Tensor) -> Any:
    stacked = torch.empty(2 * WIDTH, WIDTH)
    stacked[:WIDTH], stacked[WIDTH:] = m.f.weight, m.g.weight
    return F.linear(x, stacked)


def multiplied(module: nn.Module, x: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x.clone())
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_what_is_written_in_place_is_counted(function: Callable[[Writer, torch.Tensor], Any]) -> None:
    module = Writer(function)
    expected = multiplied(module, X)
    found = joulecast.profile(Writer(function), X)
    assert found.totals.macs == expected > 0
    assert found.totals.params == WIDTH * WIDTH * (2 if "m.g" in inspect.getsource(function) else 1)
    assert found.coverage.flops == found.coverage.ops == 1.0


def test_a_pass_leaves_the_memory_as_it_was() -> None:
    module = Writer(cache_of_an_object)
    joulecast.profile(module, X)
    assert not module.held.keys.any()
    assert type(module.held.keys) is torch.Tensor


def test_what_nothing_reads_and_nobody_keeps_is_still_dropped() -> None:
    def forward(m: Writer, x: torch.Tensor) -> Any:
        scratch = torch.zeros(4, 10, WIDTH)
        scratch[:2, :3] = m.f(x)
        return m.g(x)

    assert joulecast.profile(Writer(forward), X).totals.macs == 96


def test_parts_of_one_memory_that_do_not_meet_are_apart() -> None:
    def forward(m: Writer, x: torch.Tensor) -> Any:
        memory = torch.zeros(4, WIDTH) + x.sum()
        rest = memory[2:]
        memory[:2] = m.f(x)[:, 0]
        return rest

    assert joulecast.profile(Writer(forward), X).totals.macs == 0


def test_a_value_written_under_keeps_its_name_and_the_digest() -> None:
    def forward(m: Writer, x: torch.Tensor) -> Any:
        y = m.f(x)
        y[:, :1].add_(m.g(x)[:, :1])
        return y * 2

    found = trace(Writer(forward), (X,))
    [product, *_, write, last] = found.calls
    assert last.tensors[0].name == product.outputs[0].name
    assert last.tensors[0].over == (product.outputs[0].name, write.outputs[0].name)
    blind = (*found.calls[:-1], replace(last, tensors=(replace(last.tensors[0], over=()),)))
    assert graph_digest(found) == graph_digest(replace(found, calls=blind))
    assert found.states == ()


@pytest.mark.parametrize(
    ("forward", "macs"),
    [
        (lambda m, x: torch.einsum("bti,btj->btij", m.f(x), x), 96 + 96),  # products alone, nothing to sum
        (lambda m, x: torch.einsum("bti,ij,btj->bt", x, m.f.weight, x), 96 + 24),
        (lambda m, x: torch.inference_mode()(m.f)(x), 96),  # operators that are names for several
        (lambda m, x: torch.inference_mode()(F.scaled_dot_product_attention)(x, x, m.f(x)), 96 + 144),
        (lambda m, x: torch.view_as_complex(x.view(2, 3, 2, 2)) @ torch.complex(m.f.weight, m.f.weight)[:2], 4 * 48),
    ],
)
def test_what_ran_agrees_with_what_is_counted(forward: Callable[[Writer, torch.Tensor], Any], macs: int) -> None:
    assert totals(count(graph_of(trace(Writer(forward), (X,))))).macs == macs


def test_a_rule_that_loses_products_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = NamingRule(lambda reading: reading.node("Identity", (reading.name("input"),)), ("input",))
    monkeypatch.setitem(names.table(), "torch.nn.functional.linear", lost)
    with pytest.raises(InternalInconsistencyError, match=r"torch\.nn\.functional\.linear.*'f'.*multiply 32") as found:
        graph_of(trace(Writer(step_by_step), (X,)))
    assert found.value.reason == "InternalError"
    assert not found.value.transient


def test_a_write_that_nobody_sees_is_found_out() -> None:
    found = trace(Writer(step_by_step), (X,))
    blind = replace(found, states=())
    with pytest.raises(InternalInconsistencyError, match=r"removal of dead nodes.*linear in the module 'f'"):
        graph_of(blind)
    assert graph_of(replace(blind, witness=None)).nodes


@dataclass
class Program(nn.Module):
    """A generated forward: each step makes or changes a value of those made so far. Product number ``shaken`` gives
    something else, so that what depends on it can be told by running it."""

    steps: list[tuple[str, int, int]]
    batch: int
    shaken: int = -1
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.products = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=place == 0) for place in range(3))
        self.products.append(nn.Linear(WIDTH, WIDTH, bias=False))
        self.products[3].weight = self.products[1].weight
        self.register_buffer("cache", torch.zeros(3, 3, WIDTH))
        self.held = Held()

    __hash__ = nn.Module.__hash__

    def forward(self, x: torch.Tensor) -> Any:
        self.done = []
        self.x, values = x, [x, self.cache, self.held.keys, torch.zeros(2, 3, WIDTH)]
        for name, first, second in self.steps:
            made = getattr(self, name)(values[first % len(values)], values[second % len(values)], second)
            values += made if isinstance(made, list) else []
        return values[-2:]

    def product(self, a: torch.Tensor, _: torch.Tensor, number: int) -> Any:
        place = number % len(self.products)
        y = self.products[place](a + self.x.mean())
        self.done.append(f"products.{place}")
        return [y + 1000.0] if len(self.done) - 1 == self.shaken else [y]

    def slices(self, a: torch.Tensor, _: torch.Tensor, number: int) -> Any:
        return [a[:, number % a.shape[1] :]] if number % 2 else [a[: 1 + number % a.shape[0]]]

    def parts(self, a: torch.Tensor, _: torch.Tensor, number: int) -> Any:
        return list(a.split(1, number % 2))

    def turned(self, a: torch.Tensor, _: torch.Tensor, __: int) -> Any:
        return [a.transpose(0, 1)]

    def copy(self, a: torch.Tensor, b: torch.Tensor, _: int) -> Any:
        return [a.clone() + b.mean()]

    def write(self, a: torch.Tensor, b: torch.Tensor, _: int) -> Any:
        a.copy_(b.mean((0, 1)))

    def add(self, a: torch.Tensor, b: torch.Tensor, number: int) -> Any:
        a[:, number % a.shape[1]] += b.mean((0, 1))

    def put(self, a: torch.Tensor, b: torch.Tensor, number: int) -> Any:
        a.index_put_((torch.tensor([number % a.shape[0]]),), b.mean((0, 1)))

    def each(self, a: torch.Tensor, b: torch.Tensor, _: int) -> Any:
        torch._foreach_add_([a, self.cache], [b.mean((0, 1)), a.mean((0, 1))])

    def clear(self, a: torch.Tensor, _: torch.Tensor, __: int) -> Any:
        a[:1].zero_()

    def loop(self, a: torch.Tensor, b: torch.Tensor, number: int) -> Any:
        for t in range(a.shape[1]):
            a[:, t].add_(self.product(b, b, number)[0].mean((0, 1)))

    def branch(self, a: torch.Tensor, b: torch.Tensor, number: int) -> Any:
        return self.product(a, b, number) if a.shape[0] == 1 else None

    def keep(self, a: torch.Tensor, _: torch.Tensor, __: int) -> Any:
        self.held.keys = a


STEPS = "product slices parts turned copy write add put each clear loop branch keep".split()


def left(program: Program) -> list[torch.Tensor]:
    """What the pass returns and leaves behind, run on real tensors."""
    x = torch.arange(program.batch * 2 * WIDTH, dtype=torch.float).reshape(program.batch, 2, WIDTH)
    with torch.no_grad():
        returned = program(x)
    return [each.clone() for each in (*returned, x, program.cache, program.held.keys)]


def differ(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=12),
    batch=st.sampled_from([1, 2]),
)
def test_no_product_of_a_generated_module_is_lost(steps: list[tuple[str, int, int]], batch: int) -> None:
    program = Program(steps, batch)
    x = torch.zeros(batch, 2, WIDTH)
    graph = graph_of(trace(program, (x,)))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        Program(steps, batch)(x)
    assert totals(count(graph)).macs == counter.get_total_flops() // 2

    truth = Program(steps, batch)
    expected = left(truth)
    read = Counter(
        name for number, name in enumerate(truth.done) if differ(expected, left(Program(steps, batch, number)))
    )
    counted = Counter(row.scope for row in count(canonicalise(graph)) if row.macs)
    ran = Counter(truth.done)
    assert all(read[name] <= counted[name] <= ran[name] for name in ran)
