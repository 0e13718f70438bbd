"""Which options of an engine a forecast reads, and which it lists as ones that may matter."""

from __future__ import annotations

import pytest

from joulecast_operator.workloads.engines.options import ENGINES, Engine, Options, read_options

BY_NAME = {engine.name: engine for engine in ENGINES}


def read(*words: str, engine: str = "vLLM", **variables: str) -> Options:
    return read_options(BY_NAME[engine], words, variables)


def test_a_later_option_overrides_an_earlier_one_and_both_a_variable() -> None:
    found = read("--model-id", "org/one", "--model-id=org/two", engine="TGI", MODEL_ID="org/none", NUM_SHARD="2")
    assert (found.values["model"], found.values["tensor_parallel"]) == ("org/two", "2")
    assert set(found.used) == {"$MODEL_ID", "$NUM_SHARD", "--model-id"}


def test_underscores_and_case_are_read_as_vllm_reads_them() -> None:
    assert read("m", "--Tensor_Parallel_Size", "4").values["tensor_parallel"] == "4"


def test_what_may_matter_is_listed_with_its_value_and_the_rest_is_passed_over() -> None:
    found = read("m", "--enforce-eager", "--pipeline-parallel-size", "2", "--port", "8000")
    assert found.ignored == ("--enforce-eager", "--pipeline-parallel-size 2")
    assert found.values == {"model": "m"}


def test_what_divides_a_model_or_its_requests_is_told_apart() -> None:
    found = read("m", "-pp", "2", "--Data_Parallel_Size=4", "--nnodes", "$(SIZE)", "--kv-transfer-config", "{}")
    assert found.dividing == {"pipeline": "2", "data": "4", "nodes": "$(SIZE)", "transfer": "{}"}
    mode = read("--model-path", "org/m", "--disaggregation-mode", "decode", engine="SGLang")
    assert (mode.dividing, mode.ignored) == ({"transfer": "decode"}, ("--disaggregation-mode decode",))
    assert read("-m", "model.gguf", "-n", "64", engine="llama.cpp").dividing == {}, "of other engines it is another"


def test_a_limit_that_the_pod_does_not_state_is_listed_and_not_taken() -> None:
    found = read("m", "--max-num-seqs", "$(SEQUENCES)")
    assert "most_sequences" not in found.values
    assert found.ignored == ("--max-num-seqs $(SEQUENCES)",)


def test_the_word_after_an_unknown_option_is_no_model() -> None:
    assert "model" not in read("--some-new-option", "org/name").values
    assert read("--trust-remote-code", "org/name").values["model"] == "org/name"


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_no_option_is_both_read_and_listed_as_ignored(engine: Engine) -> None:
    assert not engine.options.keys() & engine.matters
    assert "model" in {*engine.options.values(), *engine.variables.values()}
