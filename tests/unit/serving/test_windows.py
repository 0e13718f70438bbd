"""What attention executes: causal, and within its window; ``macs`` stays dense."""

from __future__ import annotations

import pytest

from joulecast.readers.huggingface import read
from joulecast.serving.mixers.attention import mean_keys
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES, oracle

(MISTRAL,) = (case for case in CASES if case.name == "MistralForCausalLM")


def seen(new: int, cached: int, window: int | None, *, causal: bool) -> int:
    """The mean number of keys a query sees, rounded up, by going through all pairs."""
    total = 0
    for query in range(cached, cached + new):
        for key in range(cached + new):
            apart = query - key
            if causal:
                total += 0 <= apart < (window or new + cached)
            else:
                total += window is None or abs(apart) <= (window - 1) // 2
    return -(-total // new)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 1, 3, 5, 9, 101])
@pytest.mark.parametrize("new", [1, 2, 5, 9, 30])
@pytest.mark.parametrize("cached", [0, 1, 4, 50])
def test_the_mean_number_of_keys_is_that_of_all_pairs(causal: bool, window: int | None, new: int, cached: int) -> None:
    if causal or not cached:  # what attends to both sides keeps no cache
        assert mean_keys(new, cached, window, causal=causal) == seen(new, cached, window, causal=causal)


def test_a_step_beyond_the_window_executes_what_the_traced_class_does() -> None:
    """transformers keeps as many keys of a sliding layer as its window holds, so that a traced step shows it."""
    keys, tokens = {**MISTRAL.small, "sliding_window": 8}, 30
    found = rows(read(keys), decode(1, tokens))
    module = oracle.built(MISTRAL.architecture, keys)
    executed = sum(each.macs for row in found for each in row.contractions)
    assert executed == module.decode(tokens, module.prefill(tokens))
    dense = rows(read({**keys, "sliding_window": None}), decode(1, tokens))
    assert sum(row.macs for row in found) == sum(row.macs for row in dense) > executed


def test_a_prefill_beyond_the_window_executes_less_than_a_dense_one() -> None:
    def executed(window: int | None) -> int:
        found = rows(read({**MISTRAL.small, "sliding_window": window}), prefill(1, 64))
        return sum(each.macs for row in found for each in row.contractions if row.op_type == "FlashAttention")

    layers, heads, size = 3, 4, 16
    assert executed(None) == layers * heads * 64 * 33 * 2 * size  # 32.5 keys in the mean, rounded up
    assert executed(8) == layers * heads * 64 * 8 * 2 * size  # 7.6 keys in the mean, rounded up


def test_a_window_reads_no_more_of_the_cache_than_it_holds() -> None:
    def read_bytes(window: int | None) -> int:
        found = rows(read({**MISTRAL.small, "sliding_window": window}), decode(1, 100))
        return sum(row.bytes_moved for row in found if row.op_type == "PagedAttention")

    layers, kv_heads, size, bytes_each = 3, 2, 16, 2
    assert read_bytes(None) - read_bytes(8) == layers * (101 - 8) * kv_heads * 2 * size * bytes_each
