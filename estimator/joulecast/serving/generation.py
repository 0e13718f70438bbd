"""Generation as a continuously batching engine runs it: passes of prefill and decode, summed to a request.

In the steady state of ``C`` requests in flight, each of I input and O output tokens, an engine completes C requests in
a cycle of

    C·n mixed passes (a chunk of one request's input beside the decode of the others), and
    S = (O − 1) − n·(C − 1) passes of decode alone,    n = ⌈I / chunk⌉,

because every request needs O − 1 decode steps and a mixed pass already serves C − 1 of them. Each request lives for one
cycle. Decode is affine in the context, so the mean of two contexts is exact; the chunks of a long input likewise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from joulecast.serving.passes import Pass, Sequences
from joulecast.serving.requests import GenerationRequest
from joulecast.units import Joules, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Time and energy of passes: seconds of the engine, joules of all cards together."""

    seconds: float = 0.0
    joules: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(seconds=self.seconds + other.seconds, joules=self.joules + other.joules)

    def times(self, count: float) -> Spent:
        return Spent(seconds=self.seconds * count, joules=self.joules * count)

    def less(self, other: Spent) -> Spent:
        """Return the difference, at least nothing."""
        return Spent(seconds=max(0.0, self.seconds - other.seconds), joules=max(0.0, self.joules - other.joules))


Pricer = Callable[[Sequence[Pass]], Sequence[Spent]]
"""Prices passes of one model on one accelerator, in the order given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The figures of one workload.

    - ``prefill``, ``decode``: of one request: what its input and its output tokens cost, of the passes that it shares.
    - ``request_seconds``: from its arrival to its last token.
    """

    concurrency: int
    prefill: Spent
    decode: Spent
    time_to_first_token_seconds: Seconds
    inter_token_latency_seconds: Seconds
    request_seconds: Seconds
    tokens_per_second: float
    average_power_watts: float

    @property
    def joules_per_request(self) -> Joules:
        return Joules(self.prefill.joules + self.decode.joules)


def generate(asked: GenerationRequest, concurrency: int, price: Pricer) -> Generated:
    """Return the figures of ``asked.phase`` with ``concurrency`` sequences at once."""
    composed = {"prefill": _prefill, "decode": _decode, "request": _request}[asked.phase]
    return composed(asked, concurrency, price)


def _prefill(asked: GenerationRequest, concurrency: int, price: Pricer) -> Generated:
    """Price the input of ``concurrency`` sequences, in passes of at most ``batched_tokens``."""
    (spent,) = _sums(price, [*_chunks(asked, concurrency, beside=0, context=0, together=True)])
    return Generated(
        concurrency=concurrency,
        prefill=spent.times(1 / concurrency),
        decode=Spent(),
        time_to_first_token_seconds=Seconds(spent.seconds),
        inter_token_latency_seconds=Seconds(0.0),
        request_seconds=Seconds(spent.seconds),
        tokens_per_second=concurrency * asked.new_tokens / spent.seconds,
        average_power_watts=spent.joules / spent.seconds,
    )


def _decode(asked: GenerationRequest, concurrency: int, price: Pricer) -> Generated:
    """Price one output token of each sequence, in the mean over the output."""
    (step,) = _sums(price, _steps(asked, concurrency))
    return Generated(
        concurrency=concurrency,
        prefill=Spent(),
        decode=step.times(1 / concurrency),
        time_to_first_token_seconds=Seconds(0.0),
        inter_token_latency_seconds=Seconds(step.seconds),
        request_seconds=Seconds(step.seconds),
        tokens_per_second=concurrency / step.seconds,
        average_power_watts=step.joules / step.seconds,
    )


def _request(asked: GenerationRequest, concurrency: int, price: Pricer) -> Generated:
    beside, reading = _beside(asked, concurrency)
    chunks = _chunks(asked, 1, beside=beside, context=_middle(asked), together=False)
    helped = [(_decoding(beside, _middle(asked)), float(reading))] if beside else []
    mixed, alone, others = _sums(price, [*chunks], _steps(asked, concurrency), helped)
    pure = max(0.0, (asked.output_tokens - 1) - reading * beside)
    cycle = mixed.times(concurrency) + alone.times(pure)
    prefill = mixed.less(others)
    decode = cycle.times(1 / concurrency).less(prefill)
    waited = alone.seconds / 2 if concurrency > 1 else 0.0
    first = min(mixed.seconds + waited, cycle.seconds)
    later = asked.output_tokens - 1
    return Generated(
        concurrency=concurrency,
        prefill=prefill,
        decode=decode,
        time_to_first_token_seconds=Seconds(first),
        inter_token_latency_seconds=Seconds((cycle.seconds - first) / later if later else 0.0),
        request_seconds=Seconds(cycle.seconds),
        tokens_per_second=concurrency * asked.output_tokens / cycle.seconds,
        average_power_watts=cycle.joules / cycle.seconds,
    )


def _beside(asked: GenerationRequest, concurrency: int) -> tuple[int, int]:
    """Return how many others decode while a request's input is read, and in how many passes it is read.

    Where outputs are so short that reading is all an engine does, fewer than ``concurrency − 1`` are decoding.
    """
    most = min(concurrency - 1, asked.batched_tokens - 1)
    passes = math.ceil(asked.new_tokens / (asked.batched_tokens - most))
    decoding = min(most, (asked.output_tokens - 1) // passes)
    return decoding, math.ceil(asked.new_tokens / (asked.batched_tokens - decoding))


def _chunks(
    asked: GenerationRequest, count: int, *, beside: int, context: int, together: bool
) -> Iterator[tuple[Pass, float]]:
    """Yield passes that read the input, each with how often it runs.

    ``together``: ``count`` sequences begin at once and share passes where they fit. The full chunks of a long input
    differ in what is cached alone, in which their cost is affine: the first and the last stand for all.
    """
    room = asked.batched_tokens - beside
    abreast = max(1, min(count, room // asked.new_tokens)) if together else 1
    for size, times in _groups(count, abreast):
        full, rest = divmod(asked.new_tokens, min(room, asked.new_tokens))
        chunk = min(room, asked.new_tokens)
        for position in {0, full - 1}:
            share = full / len({0, full - 1})
            yield _reading(size, chunk, asked.cached_tokens + position * chunk, beside, context), times * share
        if rest:
            yield _reading(size, rest, asked.cached_tokens + full * chunk, beside, context), float(times)


def _groups(count: int, abreast: int) -> Iterator[tuple[int, int]]:
    """Yield the sizes of groups of at most ``abreast`` out of ``count``, each with how many there are."""
    whole, rest = divmod(count, abreast)
    yield abreast, whole
    if rest:
        yield rest, 1


def _reading(count: int, tokens: int, cached: int, beside: int, context: int) -> Pass:
    reading = Sequences(count=count, new_tokens=tokens, cached_tokens=cached)
    others = (Sequences(count=beside, new_tokens=1, cached_tokens=context),) if beside else ()
    return Pass(groups=(reading, *others))


def _decoding(count: int, context: int) -> Pass:
    return Pass(groups=(Sequences(count=count, new_tokens=1, cached_tokens=context),))


def _middle(asked: GenerationRequest) -> int:
    """Return the context of the middle decode step."""
    return asked.input_tokens + (asked.output_tokens - 1) // 2


def _steps(asked: GenerationRequest, concurrency: int) -> list[tuple[Pass, float]]:
    """Return one decode step in the mean over the output: half of the first and half of the last."""
    last = asked.input_tokens + max(asked.output_tokens - 2, 0)
    return [(_decoding(concurrency, asked.input_tokens), 0.5), (_decoding(concurrency, last), 0.5)]


def _sums(price: Pricer, *parts: Sequence[tuple[Pass, float]]) -> list[Spent]:
    """Return what each of ``parts`` costs: passes, each with how often it runs. All are priced in one call."""
    spent = iter(price([run for part in parts for run, _ in part]))
    return [sum((next(spent).times(times) for _, times in part), start=Spent()) for part in parts]


def concurrency_of(rate: float, most: int, seconds_at: Callable[[int], float]) -> int | None:
    """Return the fewest requests in flight that complete ``rate`` requests a second (Little's law), at most ``most``.

    ``seconds_at``: seconds of a request at a concurrency. None where even ``most`` complete fewer.
    """
    if most / seconds_at(most) < rate:
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle / seconds_at(middle) >= rate else (middle, high)
    return high
