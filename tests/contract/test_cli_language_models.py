"""What the command line does with a language model beside estimating it: plan, save, and refuse clearly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from joulecast.api import traced_models
from tests import checkpoints, small_models
from tests.contract.command_line import CommandLine
from tests.unit.api.test_documents import validate

LLAMA_70B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192, "intermediate_size": 28672,
    "num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8, "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}  # fmt: skip
GLM = {
    "model_type": "glm", "architectures": ["GlmForCausalLM"], "hidden_size": 64, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 96,
    "pad_token_id": 0,
}  # fmt: skip
WIDEST = 120  # columns of a usual terminal


@pytest.fixture
def joulecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, content in checkpoints.model_folder().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_70B))
    return tmp_path


def test_plan_sorts_generation_by_joules_per_request(joulecast: CommandLine, small: Path) -> None:
    asked = ("plan", small, "-a", "NVIDIA-L40S", "-a", "NVIDIA-H200", "-c", "1", "-c", "16", "--output-tokens", "32")
    document = joulecast(*asked, "-tp", "1", "-o", "json").document
    validate(document)
    costs = [each["joules"] for each in document["candidates"]]
    assert len(costs) == 4
    assert costs == sorted(costs)
    assert document["unit"] == "request"
    assert len(joulecast(*asked, "-tp", "1", "-o", "csv").out.splitlines()) == 5
    marked = [line for line in joulecast(*asked, "-tp", "1").out.splitlines() if line.startswith("★")]
    assert len(marked) == (0 if document["choice"] is None else 1)


def test_plan_of_output_tokens_costs_what_estimate_says(joulecast: CommandLine, small: Path) -> None:
    asked = ("-a", "NVIDIA-H200", "-c", "4", "-tp", "2", "-o", "json")
    (planned,) = joulecast("plan", small, *asked, "--per", "output-token").document["candidates"]
    (forecast,) = joulecast("estimate", small, *asked).document["results"]
    for name in ("joules", "joules_lower", "joules_upper"):
        assert planned[name] == pytest.approx(forecast[name.replace("joules", "joules_per_output_token")], 1e-5)
    for name in ("time_to_first_token_seconds", "inter_token_latency_seconds", "average_power_watts", "origin"):
        assert planned[name] == forecast[name]


def test_plan_lists_what_does_not_fit(joulecast: CommandLine, large: Path) -> None:
    asked = ("plan", large, "-a", "NVIDIA-H200", "-a", "NVIDIA-L40S", "-tp", "2", "-c", "1", "-c", "4")
    document = joulecast(*asked, "-o", "json").document
    validate(document)
    assert [each["accelerator"] for each in document["candidates"]] == ["NVIDIA-H200"] * 2
    missing = [(each["accelerator"], each["why"], each["reason"]) for each in document["excluded"]]
    assert missing == [("NVIDIA-L40S", "memory", "DoesNotFit")] * 2
    assert "excluded: 2 do not fit the memory" in joulecast(*asked).out


def test_plan_names_degrees_that_cannot_share_the_model(joulecast: CommandLine, small: Path) -> None:
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"intermediate_size": 3 * config["hidden_size"] + 2}))
    document = joulecast("plan", small / "config.json", "-a", "NVIDIA-H200", "-c", "1", "-o", "json").document
    assert {each["tensor_parallel"] for each in document["candidates"]} < {1, 2, 4, 8}
    assert {each["why"] for each in document["excluded"]} == {"degree"}


def test_plan_without_a_card_that_fits_is_an_error(joulecast: CommandLine, large: Path) -> None:
    done = joulecast("plan", large, "-a", "NVIDIA-L40S", "-tp", "1")
    assert (done.code, done.out) == (1, "")
    assert "[DoesNotFit]" in done.err


def test_plan_refuses_what_no_card_could_answer(joulecast: CommandLine, small: Path) -> None:
    done = joulecast("plan", small, "-a", "NVIDIA-H200", "--precision", "fp12")
    assert done.code == 1
    assert "precision 'fp12'" in done.err


def test_plan_of_one_pass_sorts_by_joules_per_inference(joulecast: CommandLine, small: Path) -> None:
    asked = ("-a", "NVIDIA-L40S", "-a", "NVIDIA-H200", "--phase", "forward", "-b", "1", "-b", "8", "-o", "json")
    document = joulecast("plan", small, *asked).document
    validate(document)
    costs = [each["joules"] for each in document["candidates"]]
    assert (len(costs), document["unit"]) == (4, "inference")
    assert costs == sorted(costs)


def test_estimate_takes_several_numbers_of_cards(joulecast: CommandLine, small: Path) -> None:
    asked = ("-tp", "1", "-tp", "2", "-o", "json")
    assert [each["parallel"] for each in joulecast("estimate", small, *asked).document["results"]] == [1, 2]
    forward = joulecast("estimate", small, *asked, "--phase", "forward", "-b", "1").document
    assert [each["parallel"] for each in forward["results"]] == [1, 2]


def test_a_table_of_generation_fits_a_terminal(
    joulecast: CommandLine, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDEST))
    asked = ("-c", "1", "-c", "32", "-tp", "8", "-a", "NVIDIA-H100-80GB-HBM3", "-a", "NVIDIA-H200")
    for command in ("estimate", "plan"):
        shown = joulecast(command, large, *asked).out
        assert shown.count("NVIDIA-H100-80GB-HBM3 ") >= 2  # in one line, not folded
        assert max(len(line) for line in shown.splitlines()) <= WIDEST


def test_a_saved_profile_of_a_language_model_is_priced_as_the_model_is(joulecast: CommandLine, small: Path) -> None:
    saved = small / "saved.json"
    saved.write_text(joulecast("profile", small, "-b", "4", "--input-tokens", "16", "-o", "json").out)
    priced = joulecast("estimate", saved, "-o", "json").document["results"]
    asked = ("--phase", "forward", "-b", "4", "--input-tokens", "16", "-o", "json")
    assert priced == joulecast("estimate", small, *asked).document["results"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--runtime", "torch-eager"), "choose one of the runtimes vllm, sglang"),
        (("--precision", "fp32"), "leave the precision fp32 out, or give the model itself"),
        (("--phase", "request"), "give the model itself"),
    ],
)
def test_a_saved_profile_refuses_what_it_does_not_hold(
    joulecast: CommandLine, small: Path, options: tuple[str, ...], said: str
) -> None:
    saved = small / "saved.json"
    saved.write_text(joulecast("profile", small, "-o", "json").out)
    done = joulecast("estimate", saved, *options)
    assert (done.code != 0, done.out) == (True, "")
    assert said in " ".join(done.err.replace("│", " ").split())


@pytest.mark.parametrize("option", [("--input", "x=1,2"), ("--value", "x=1"), ("--graph", "optimized")])
def test_a_language_model_takes_no_option_of_graphs(
    joulecast: CommandLine, small: Path, option: tuple[str, str]
) -> None:
    for command in ("profile", "estimate", "plan"):
        done = joulecast(command, small, *option)
        assert (done.code, done.out) == (2, "")
        assert f"has no {option[0]}" in " ".join(done.err.replace("│", " ").split())


def test_precision_changes_one_pass_as_it_changes_generation(joulecast: CommandLine, small: Path) -> None:
    def seconds(*options: str) -> float:
        asked = ("--phase", "forward", "-b", "64", "-o", "json", *options)
        return float(joulecast("estimate", small, *asked).document["results"][0]["latency_seconds"])

    assert seconds("--precision", "fp32") > 1.2 * seconds()


def test_an_engine_does_not_run_a_graph(joulecast: CommandLine, tmp_path: Path) -> None:
    model = small_models.classifier(tmp_path / "model.onnx")
    for command in ("estimate", "plan"):
        done = joulecast(command, model, "-a", "NVIDIA-H200", "--runtime", "vllm")
        assert (done.code, done.out) == (1, "")
        assert "is a graph, which vllm does not run: choose one of the runtimes torch-eager" in done.err


def test_an_unknown_architecture_names_the_ways_out(
    joulecast: CommandLine, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced_models, "EXTRA", ("a_package_that_is_not_installed",))
    (large / "config.json").write_text(json.dumps(LLAMA_70B | {"model_type": "lama"}))
    for command in ("profile", "estimate", "plan"):
        done = joulecast(command, large)
        assert (done.code, done.out) == (1, "")
        assert "model_type 'lama'" in done.err
        assert "name that as its architecture" in done.err
        assert "joulecast[torch]" in done.err
    asked = ("--architecture", "llama", "-o", "json")
    assert joulecast("profile", large, *asked).document["totals"]["params"] == 70_553_706_496
    assert joulecast("estimate", large, *asked, "-tp", "4").code == 0


@pytest.mark.slow
def test_a_model_without_an_entry_is_traced_for_one_pass(joulecast: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(GLM))
    done = joulecast("profile", tmp_path, "--input-tokens", "12", "-o", "json")
    validate(done.document)
    assert done.document["graph"] == "traced"
    done = joulecast("estimate", tmp_path, "-b", "2", "--input-tokens", "12", "-a", "NVIDIA-H200")
    assert "its class of transformers was traced" in " ".join(done.out.split())
    refused = joulecast("estimate", tmp_path, "--phase", "decode", "-a", "NVIDIA-H200")
    assert (refused.code, refused.out) == (2, "")
    assert "leave --phase out" in " ".join(refused.err.replace("│", "").split())


def test_one_pass_takes_no_option_of_generation(joulecast: CommandLine, large: Path) -> None:
    (large / "config.json").write_text(json.dumps(LLAMA_70B | {"architectures": ["LlamaForSequenceClassification"]}))
    assert joulecast("estimate", large, "-a", "NVIDIA-H200", "-tp", "4", "--input-tokens", "64").code == 0
    for option, value in (("--concurrency", "4"), ("--output-tokens", "8"), ("--cached-tokens", "8")):
        for command in ("estimate", "plan"):
            done = joulecast(command, large, "-a", "NVIDIA-H200", option, value)
            assert (done.code, done.out) == (2, "")
            assert f"leave {option} out" in " ".join(done.err.replace("│", "").split())
    done = joulecast("estimate", large, "-a", "NVIDIA-H200", "--phase", "decode")
    assert "LlamaForSequenceClassification makes one pass over a text and generates nothing" in done.err
