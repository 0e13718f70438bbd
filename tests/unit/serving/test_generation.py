"""Generation: passes of prefill and decode, summed to a request."""

from __future__ import annotations

import pytest

from joulecast.errors import WorkloadError
from joulecast.serving.generation import Spent, concurrency_of, generate
from joulecast.serving.requests import GenerationRequest

STEP_SECONDS = 0.010
TOKEN_SECONDS = 0.0001
CONTEXT_SECONDS = 1e-7  # a cached token of a sequence


def priced(passes):
    """Price passes affinely: a step, its new tokens, and what they read of the cache."""
    return [_spent(run) for run in passes]


def _spent(run):
    read = sum(group.count * group.new_tokens * group.cached_tokens for group in run.groups)
    seconds = STEP_SECONDS + TOKEN_SECONDS * run.tokens + CONTEXT_SECONDS * read
    return Spent(seconds=seconds, joules=300 * seconds)


def asked(**given):
    return GenerationRequest(**{"input_tokens": 1000, "output_tokens": 101, **given})


def test_one_request_alone_is_its_prefill_and_its_decode_steps():
    figures = generate(asked(), 1, priced)
    prefill = STEP_SECONDS + 1000 * TOKEN_SECONDS
    steps = sum(STEP_SECONDS + TOKEN_SECONDS + CONTEXT_SECONDS * context for context in range(1000, 1100))
    assert figures.time_to_first_token_seconds == pytest.approx(prefill)
    assert figures.request_seconds == pytest.approx(prefill + steps)
    assert figures.inter_token_latency_seconds == pytest.approx(steps / 100)
    assert figures.joules_per_request == pytest.approx(300 * (prefill + steps))
    assert figures.tokens_per_second == pytest.approx(101 / (prefill + steps))


def test_prefill_and_decode_are_the_request():
    for concurrency in (1, 7, 64):
        figures = generate(asked(), concurrency, priced)
        cycle = figures.request_seconds
        assert (figures.prefill + figures.decode).seconds == pytest.approx(cycle / concurrency)
        assert figures.joules_per_request == pytest.approx(300 * cycle / concurrency)
        assert figures.average_power_watts == pytest.approx(300)


def test_concurrent_requests_run_as_an_engine_that_is_simulated_step_by_step():
    """A closed loop: whoever ends begins anew in the next pass; arrivals are spread over the cycle."""
    concurrency, output = 8, 101
    left = [1 + position * (output - 1) // concurrency for position in range(concurrency)]  # output tokens to go
    seconds, done, warm, began = 0.0, 0, 0.0, 0
    while done < 40 * concurrency:
        reading = next((index for index, tokens in enumerate(left) if tokens == output), None)
        decoding = [index for index, tokens in enumerate(left) if tokens < output]
        context = [1000 + output - 1 - left[index] for index in decoding]
        new = len(decoding) + (1000 if reading is not None else 0)
        seconds += STEP_SECONDS + TOKEN_SECONDS * new + CONTEXT_SECONDS * sum(context)
        for index in [*decoding, *([reading] if reading is not None else [])]:
            left[index] -= 1
            if left[index] == 0:
                left[index], done = output, done + 1
        if done == 8 * concurrency and not began:
            warm, began = seconds, done
    a_request = (seconds - warm) / (done - began) * concurrency
    assert generate(asked(), concurrency, priced).request_seconds == pytest.approx(a_request, rel=0.02)


def test_others_prefill_is_part_of_the_time_between_tokens():
    alone = generate(asked(), 1, priced).inter_token_latency_seconds
    crowded = generate(asked(), 32, priced).inter_token_latency_seconds
    decode_alone = STEP_SECONDS + 32 * TOKEN_SECONDS + 32 * 1050 * CONTEXT_SECONDS
    assert crowded > decode_alone > alone


def test_a_long_input_is_read_in_chunks_whose_cost_grows_with_what_is_cached():
    figures = generate(asked(phase="prefill", input_tokens=20_000), 1, priced)
    chunks = [(8192, 0), (8192, 8192), (3616, 16384)]
    seconds = sum(STEP_SECONDS + tokens * (TOKEN_SECONDS + CONTEXT_SECONDS * cached) for tokens, cached in chunks)
    assert figures.time_to_first_token_seconds == pytest.approx(seconds)


def test_short_inputs_share_a_pass():
    figures = generate(asked(phase="prefill"), 20, priced)  # 8 + 8 + 4 sequences
    assert figures.request_seconds == pytest.approx(3 * STEP_SECONDS + 20_000 * TOKEN_SECONDS)
    assert figures.joules_per_request == pytest.approx(300 * figures.request_seconds / 20)


def test_cached_tokens_are_not_computed_again():
    whole, cached = (generate(asked(phase="prefill", cached_tokens=tokens), 1, priced) for tokens in (0, 900))
    assert cached.request_seconds == pytest.approx(STEP_SECONDS + 100 * (TOKEN_SECONDS + 900 * CONTEXT_SECONDS))
    assert cached.request_seconds < whole.request_seconds


def test_a_decode_step_is_the_mean_over_the_output():
    figures = generate(asked(phase="decode"), 4, priced)
    mean = STEP_SECONDS + 4 * (TOKEN_SECONDS + CONTEXT_SECONDS * 1049.5)
    assert figures.inter_token_latency_seconds == pytest.approx(mean)
    assert figures.joules_per_request == pytest.approx(300 * mean / 4)


def test_one_output_token_comes_from_prefill():
    figures = generate(asked(output_tokens=1), 1, priced)
    assert figures.inter_token_latency_seconds == 0
    assert figures.decode.joules == pytest.approx(0)
    assert figures.request_seconds == figures.time_to_first_token_seconds


def test_an_engine_that_only_reads_serves_few_decodes_beside():
    figures = generate(asked(input_tokens=8000, output_tokens=3), 64, priced)
    reads = STEP_SECONDS + 8000 * TOKEN_SECONDS
    assert figures.request_seconds / 64 == pytest.approx(reads, rel=0.01)


def test_a_rate_sets_the_concurrency_by_littles_law():
    def seconds_at(concurrency):
        return 1.0 + 0.1 * concurrency

    assert concurrency_of(4.0, 256, seconds_at) == 7  # 7 / 1.7 = 4.1 a second; 6 / 1.6 = 3.75
    assert concurrency_of(9.8, 256, seconds_at) is None
    assert concurrency_of(0.1, 256, seconds_at) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"phase": "train"}, "phase 'train'"),
        ({"input_tokens": 0}, "input_tokens is 0"),
        ({"output_tokens": True}, "output_tokens is True"),
        ({"cached_tokens": 1000}, "cached_tokens is 1000"),
        ({"tensor_parallel": 3}, "tensor_parallel is 3: give one of 1, 2, 4, 8"),
        ({"concurrency": None}, "give one of concurrency and requests_per_second"),
        ({"requests_per_second": 2.0}, "give one of concurrency and requests_per_second"),
        ({"concurrency": None, "requests_per_second": float("nan")}, "requests_per_second is nan"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(given, said):
    with pytest.raises(WorkloadError, match=r"give|choose") as error:
        asked(**given)
    assert said in str(error.value)
