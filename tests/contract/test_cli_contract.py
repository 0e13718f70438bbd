"""What scripts may rely on: exit codes, clean standard output, documents that fulfil their schemas."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from joulecast.accelerators.catalogue import find
from joulecast.api.documents import KINDS
from tests import checkpoints, images, small_models
from tests.contract.command_line import CommandLine, program
from tests.unit.api.test_documents import validate

LIGHT = ("torch", "onnxruntime", "kopf", "kubernetes")


@pytest.fixture
def joulecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_models.classifier(tmp_path / "model.onnx")


def test_profile_prints_a_document_that_fulfils_its_schema(joulecast: CommandLine, model: Path) -> None:
    done = joulecast("profile", model, "-o", "json")
    assert (done.code, done.err) == (0, "")
    validate(done.document)
    assert done.document["totals"]["macs"] == small_models.CLASSIFIER_MACS
    assert [layer["op_type"] for layer in done.document["layers"]] == [
        "Conv",
        "Relu",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    ]


def test_estimate_prints_a_document_that_fulfils_its_schema(joulecast: CommandLine, model: Path) -> None:
    done = joulecast("estimate", model, "-a", "NVIDIA-H200", "-a", "NVIDIA-L40S", "-b", "1", "-b", "32", "-o", "json")
    assert (done.code, done.err) == (0, "")
    validate(done.document)
    asked = [(result["accelerator"], result["batch_size"]) for result in done.document["results"]]
    assert asked == [("NVIDIA-H200", 1), ("NVIDIA-H200", 32), ("NVIDIA-L40S", 1), ("NVIDIA-L40S", 32)]
    for position, result in enumerate(done.document["results"]):
        rows = [row for row in done.document["layers"] if row["result"] == position]
        assert sum(row["joules"] for row in rows) + result["gap_joules"] == pytest.approx(
            result["joules_per_batch"], 1e-4
        )
        assert result["joules_per_batch"] / result["latency_seconds"] == pytest.approx(
            result["average_power_watts"], 1e-4
        )


def test_estimate_without_options_asks_for_the_documented_default(joulecast: CommandLine, model: Path) -> None:
    (result,) = joulecast("estimate", model, "-o", "json").document["results"]
    assert (result["accelerator"], result["batch_size"], result["precision"]) == ("NVIDIA-H200", 32, "default")


def test_plan_sorts_by_joules_per_inference(joulecast: CommandLine, model: Path) -> None:
    asked = ("plan", model, "-a", "NVIDIA-L40S", "-a", "NVIDIA-H200", "-b", "1", "-b", "64")
    done = joulecast(*asked, "-o", "json")
    assert (done.code, done.err) == (0, "")
    validate(done.document)
    costs = [each["joules"] for each in done.document["candidates"]]
    assert len(costs) == 4
    assert costs == sorted(costs)
    shown, best = joulecast(*asked).out, done.document["candidates"][0]
    assert next(line.split() for line in shown.splitlines() if "NVIDIA" in line)[:2] == [
        best["accelerator"], str(best["batch_size"])
    ]  # fmt: skip
    assert " ".join(done.document["reason"].split()) in " ".join(shown.split())
    assert len(joulecast(*asked, "-o", "csv").out.splitlines()) == 5


def test_plan_tells_what_it_cannot_price_and_goes_on(joulecast: CommandLine, model: Path) -> None:
    asked = ("plan", model, "-a", "NVIDIA-H200", "-a", "Tesla-P4", "-p", "bf16", "-b", "8")
    done = joulecast(*asked, "-o", "json")
    assert done.code == 0
    validate(done.document)
    assert [each["accelerator"] for each in done.document["candidates"]] == ["NVIDIA-H200"]
    (missing,) = done.document["excluded"]
    assert (missing["accelerator"], missing["why"], missing["reason"]) == ("Tesla-P4", "profile", "NotCalibrated")
    assert "excluded: 1 cannot be forecast · Tesla-P4" in " ".join(joulecast(*asked).out.split())


def test_plan_names_the_limit_that_is_missed(joulecast: CommandLine, model: Path) -> None:
    asked = ("plan", model, "-a", "NVIDIA-H200", "-b", "1", "-b", "64", "--latency-milliseconds")
    done = joulecast(*asked, "1", "--requests-per-second", "1000", "-o", "json")
    assert [each["batch_size"] for each in done.document["candidates"]] == [1]
    (late,) = done.document["excluded"]
    assert (late["why"], late["setting"]["batch_size"]) == ("slo", 64)
    assert "above 1 ms" in late["message"]
    none = joulecast(*asked, "0.0001")
    assert none.code == 1
    assert "nothing that can be forecast keeps what is asked" in none.out


def test_plan_says_what_is_saved_of_today(joulecast: CommandLine, model: Path) -> None:
    asked = ("plan", model, "-a", "NVIDIA-H200", "-b", "64", "--today", "H200,b=1", "-o", "json")
    document = joulecast(*asked).document
    validate(document)
    assert (document["today"]["accelerator"], document["today"]["batch_size"]) == ("NVIDIA-H200", 1)
    saved = document["saving"]
    assert saved["lower"] < saved["share"] < saved["upper"]
    assert saved["share"] == pytest.approx(1 - document["candidates"][0]["joules"] / document["today"]["joules"], 1e-4)


@pytest.mark.parametrize("today", ["H200,b", "H200,x=1", "H200,c=4", "H200,b=many"])
def test_plan_refuses_a_setting_that_is_none(joulecast: CommandLine, model: Path, today: str) -> None:
    done = joulecast("plan", model, "-a", "NVIDIA-H200", "--today", today)
    assert (done.code, done.out) == (2, "")
    assert "--today" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--latency-milliseconds", "0"), "latency_milliseconds is 0.0: give a number above 0"),
        (("--time-to-first-token-milliseconds", "9"), "a pass generates no tokens"),
        (("--per", "output-token"), "a pass is planned by inference"),
    ],
)
def test_plan_refuses_an_objective_of_something_else(
    joulecast: CommandLine, model: Path, options: tuple[str, ...], said: str
) -> None:
    done = joulecast("plan", model, "-a", "NVIDIA-H200", *options)
    assert (done.code, done.out) == (1, "")
    assert said in done.err


def test_an_accelerator_is_looked_for_before_the_model_is_read(joulecast: CommandLine) -> None:
    for command in ("estimate", "plan"):
        assert "[UnknownAccelerator]" in joulecast(command, "absent.onnx", "-a", "NVIDIA-H2OO").err


def test_plan_without_anything_to_price_is_an_error(joulecast: CommandLine, model: Path) -> None:
    done = joulecast("plan", model, "-a", "Tesla-P4", "-p", "bf16")
    assert (done.code, done.out) == (1, "")
    assert "bf16" in done.err


def test_plan_all_includes_every_accelerator(joulecast: CommandLine, model: Path) -> None:
    document = joulecast("plan", model, "--all", "-p", "fp16", "-b", "8", "-o", "json").document
    names = {each["accelerator"] for each in [*document["candidates"], *document["excluded"]]}
    listed = {entry["accelerator"] for entry in joulecast("accelerators", "-o", "json").document["accelerators"]}
    assert names == listed


def test_accelerators_prints_a_document_that_fulfils_its_schema(joulecast: CommandLine) -> None:
    done = joulecast("accelerators", "-o", "json")
    validate(done.document)
    assert "NVIDIA-H200" in {entry["accelerator"] for entry in done.document["accelerators"]}


def test_an_accelerator_printed_as_json_can_be_given_back(joulecast: CommandLine, model: Path, tmp_path: Path) -> None:
    saved = tmp_path / "h200.json"
    saved.write_text(joulecast("accelerators", "NVIDIA-H200", "-o", "json").out)
    by_file = joulecast("estimate", model, "-a", saved, "-o", "json")
    assert (
        by_file.document["results"]
        == joulecast("estimate", model, "-a", "NVIDIA-H200", "-o", "json").document["results"]
    )


def test_a_saved_profile_can_be_priced(joulecast: CommandLine, model: Path, tmp_path: Path) -> None:
    saved = tmp_path / "profile.json"
    saved.write_text(joulecast("profile", model, "-b", "8", "-o", "json").out)
    by_file = joulecast("estimate", saved, "-o", "json").document
    assert by_file["results"] == joulecast("estimate", model, "-b", "8", "-o", "json").document["results"]
    assert by_file["model"]["source"] == str(model)


def test_a_saved_profile_refuses_what_contradicts_it(joulecast: CommandLine, model: Path, tmp_path: Path) -> None:
    saved = tmp_path / "profile.json"
    saved.write_text(joulecast("profile", model, "-o", "json").out)
    other_batch = joulecast("estimate", saved, "-b", "8")
    assert other_batch.code == 1
    assert "batch size 1" in other_batch.err
    assert joulecast("estimate", saved, "--input", "image=1,3,32,32").code == 2
    assert joulecast("estimate", saved, "--graph", "optimized").code == 2


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"kind": "profile", "schema_version": 1}', "\udcff", '{"kind": NaN}', "[" * 100_000],
    ids=["open", "list", "empty", "bare", "bytes", "constant", "deep"],
)
def test_a_damaged_saved_profile_is_one_clear_sentence(joulecast: CommandLine, tmp_path: Path, content: str) -> None:
    saved = tmp_path / "profile.json"
    saved.write_bytes(content.encode("utf-8", "surrogateescape"))
    done = joulecast("estimate", saved)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "joulecast profile MODEL -o json" in done.err


def test_yaml_and_csv_say_the_same_as_json(joulecast: CommandLine, model: Path) -> None:
    as_json = joulecast("estimate", model, "-b", "1", "-b", "8", "-o", "json").document
    assert yaml.safe_load(joulecast("estimate", model, "-b", "1", "-b", "8", "-o", "yaml").out) == as_json
    rows = list(csv.DictReader(io.StringIO(joulecast("estimate", model, "-b", "1", "-b", "8", "-o", "csv").out)))
    assert [float(row["joules_per_batch"]) for row in rows] == [each["joules_per_batch"] for each in as_json["results"]]
    assert {(row["coverage_flops"], row["coverage_ops"]) for row in rows} == {("1.0", "1.0")}
    layers = list(csv.DictReader(io.StringIO(joulecast("estimate", model, "-b", "1", "-o", "csv", "--explain").out)))
    assert [row["op_type"] for row in layers] == ["Conv", "Relu", "GlobalAveragePool", "Gemm"]
    profiled = list(csv.DictReader(io.StringIO(joulecast("profile", model, "-o", "csv").out)))
    assert sum(int(row["macs"]) for row in profiled) == small_models.CLASSIFIER_MACS


def test_a_workload_is_given_by_shape_and_by_value(joulecast: CommandLine, tmp_path: Path) -> None:
    speech = small_models.speech(tmp_path / "speech.onnx")
    done = joulecast("profile", speech, "--input", "audio=batch,16000", "--value", "frames=1,100,160", "-o", "json")
    assert done.document["totals"]["macs"] == 100 * small_models.SPEECH_MACS_PER_FRAME
    assert done.document["workload"] == {
        "batch_size": 1,
        "input_shapes": {"audio": [1, 16_000]},
        "input_values": {"frames": [1, 100, 160]},
    }


def test_a_model_in_an_image_is_read_by_its_path(joulecast: CommandLine, model: Path, tmp_path: Path) -> None:
    layout = images.write_layout(images.build([{"models/model.onnx": model.read_bytes()}]), tmp_path / "image")
    done = joulecast("profile", layout, "--path", "/models/model.onnx", "--verify", "-o", "json")
    assert done.document["totals"]["macs"] == small_models.CLASSIFIER_MACS
    assert done.document["verification"] == "Full"
    missing = joulecast("profile", layout, "--path", "/models/other.onnx")
    assert missing.code == 1
    assert "/models/other.onnx" in missing.err


def test_a_byte_budget_is_held(joulecast: CommandLine, model: Path, tmp_path: Path) -> None:
    layout = images.write_layout(images.build([{"models/model.onnx": model.read_bytes()}]), tmp_path / "image")
    done = joulecast("profile", layout, "--budget-bytes", "100")
    assert done.code == 1
    assert done.err.rstrip().endswith("[FetchBudgetExceeded]")


def test_what_has_no_rule_is_never_left_out_silently(joulecast: CommandLine, tmp_path: Path) -> None:
    done = joulecast("profile", small_models.exotic(tmp_path / "exotic.onnx"))
    assert "Frobnicate" in done.out + done.err
    assert done.code == 0 or "[UnsupportedOperator]" in done.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["profile", "absent.onnx"], "ModelNotFound"),
        (["estimate", "MODEL", "-a", "NVIDIA-H2OO"], "UnknownAccelerator"),
        (["estimate", "MODEL", "-p", "int3"], "NotCalibrated"),
        (["estimate", "MODEL", "--runtime", "abacus"], "NotCalibrated"),
        (["profile", "MODEL", "--input", "picture=1,3,32,32"], "InvalidWorkload"),
        (["profile", "MODEL", "-b", "1", "--input", "image=8,3,32,32"], "InvalidWorkload"),
        (["profile", "MODEL", "--input", "image=1,4,32,32"], "InvalidWorkload"),
        (["accelerators", "NVIDIA-X1"], "UnknownAccelerator"),
        (["evaluate", "--data", "FOLDER"], "MeasurementFailed"),
    ],
)
def test_an_error_is_one_sentence_on_standard_error(
    joulecast: CommandLine, model: Path, arguments: list[str], reason: str
) -> None:
    places = {"MODEL": str(model), "FOLDER": str(model.parent)}
    done = joulecast(*(places.get(argument, argument) for argument in arguments))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.endswith(f" [{reason}]\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["profile"],
        ["profile", "MODEL", "-b", "0"],
        ["profile", "MODEL", "-b", "many"],
        ["profile", "MODEL", "--input", "image"],
        ["profile", "MODEL", "--value", "sr=fast"],
        ["profile", "MODEL", "--graph", "fused"],
        ["profile", "MODEL", "--top", "-1"],
        ["profile", "MODEL", "-o", "xml"],
        ["profile", "MODEL", "--budget-bytes", "lots"],
        ["profile", "MODEL", "--mirror", "docker.io"],
        ["profile", "MODEL", "--ca-file", "absent.pem"],
        ["frobnicate"],
        ["schema", "poem"],
        ["evaluate", "-o", "poem"],
        ["evaluate", "--data", "absent"],
        ["fit", "--data", "absent"],
    ],
)
def test_wrong_usage_ends_with_two_and_prints_nothing_else(
    joulecast: CommandLine, model: Path, arguments: list[str]
) -> None:
    done = joulecast(*(str(model) if argument == "MODEL" else argument for argument in arguments))
    assert (done.code, done.out) == (2, "")
    assert "Usage: joulecast" in done.err


@pytest.mark.parametrize(
    "command", ["profile", "estimate", "plan", "accelerators", "evaluate", "fit", "measure", "schema", "version"]
)
def test_help_has_examples(joulecast: CommandLine, command: str) -> None:
    done = joulecast(command, "--help")
    assert done.code == 0
    assert f"joulecast {command}" in done.out
    assert "Example" in done.out


def test_no_arguments_show_the_help() -> None:
    done = program()
    assert "Usage: joulecast" in done.stdout + done.stderr
    assert done.returncode in (0, 2)


def test_schemas_are_printed(joulecast: CommandLine) -> None:
    for kind in KINDS:
        assert joulecast("schema", kind).document["properties"]["kind"] == {"const": kind}


def test_version_names_what_reads(joulecast: CommandLine) -> None:
    assert joulecast("version").out.startswith("joulecast 0.")


def test_tables_have_no_colour_when_asked_or_piped(joulecast: CommandLine, model: Path) -> None:
    for arguments in (["profile", model], ["estimate", model, "--explain", "--no-color"]):
        done = joulecast(*arguments)
        assert done.out
        assert "\x1b[" not in done.out


def test_the_program_leaves_torch_out_and_says_nothing_on_standard_error(model: Path) -> None:
    names = f"import sys; from joulecast.cli import main\nsys.argv = ['joulecast', 'estimate', {str(model)!r}]\n"
    names += "try: main()\nexcept SystemExit as ended: assert ended.code == 0, ended\n"
    names += f"assert not set({LIGHT!r}) & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_machine_output_needs_no_rich(model: Path) -> None:
    program_text = "import sys; from joulecast.cli.application import app\n"
    program_text += f"app(['estimate', {str(model)!r}, '-o', 'json'], standalone_mode=False)\n"
    program_text += "assert 'rich.table' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program_text], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "estimate"


def test_a_reader_that_closes_early_sees_no_traceback(model: Path) -> None:
    command = f"{sys.executable} -m joulecast profile {model} -o json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    fifo = tmp_path / "slow.json"
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "joulecast", "accelerators", str(fifo)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # a shell starts what runs in its background with SIGINT ignored, and that is inherited
    process = subprocess.Popen(command, text=True, preexec_fn=_heed_interrupts, **pipes)
    with process, fifo.open("w"):  # opens once the program reads from it, so it is well under way
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert (out, err) == ("", "")


def test_the_default_accelerator_is_installed() -> None:
    from joulecast.workloads import DEFAULT_ACCELERATOR

    assert find(DEFAULT_ACCELERATOR).product == DEFAULT_ACCELERATOR


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    for name, content in checkpoints.model_folder().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_generation_is_estimated_by_phase(joulecast: CommandLine, language_model: Path) -> None:
    asked = ("--input-tokens", "64", "--output-tokens", "16", "-c", "1", "-c", "8", "-tp", "2")
    for phase in ("request", "prefill", "decode"):
        done = joulecast("estimate", language_model, "-a", "NVIDIA-H200", "--phase", phase, *asked, "-o", "json")
        assert (done.code, done.err) == (0, "")
        validate(done.document)
        found = [(result["phase"], result["concurrency"], result["parallel"]) for result in done.document["results"]]
        assert found == [(phase, 1, 2), (phase, 8, 2)]
    rows = joulecast("estimate", language_model, *asked, "-o", "csv").out.splitlines()
    assert rows[0].startswith("accelerator,runtime,precision,phase,concurrency,")
    assert len(rows) == 3
    shown = joulecast("estimate", language_model, *asked, "--explain").out
    assert "between" in shown
    assert "prefill" in shown


def test_a_language_model_is_one_pass_where_the_phase_is_forward(joulecast: CommandLine, language_model: Path) -> None:
    done = joulecast("estimate", language_model, "--phase", "forward", "-b", "4", "-o", "json")
    assert (done.code, done.err) == (0, "")
    validate(done.document)
    assert done.document["results"][0]["batch_size"] == 4
    counted = joulecast("profile", language_model, "-b", "4", "--input-tokens", "16", "-o", "json")
    validate(counted.document)
    assert counted.document["input_shapes"] == {"input_ids": [4, 16]}


def test_a_configuration_alone_is_enough_whatever_its_name(joulecast: CommandLine, language_model: Path) -> None:
    renamed = language_model / "llama-8b.json"
    renamed.write_bytes((language_model / "config.json").read_bytes())
    alone, folder = (joulecast("estimate", each, "-o", "json").document for each in (renamed, language_model))
    assert alone["results"] == folder["results"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch-size", "4"), "generation runs requests at once"),
        (("-tp", "3"), "tensor_parallel is 3: give one of 1, 2, 4, 8"),
        (("--cached-tokens", "512"), "cached_tokens is 512"),
        (("--requests-per-second", "1", "-c", "2"), "give one of concurrency and requests_per_second"),
        (("--phase", "train"), "'train' is not one of"),
        (("--runtime", "onnxruntime-cuda"), "'onnxruntime-cuda' is none"),
    ],
)
def test_what_generation_cannot_be_asked_is_refused(
    joulecast: CommandLine, language_model: Path, options: tuple[str, ...], said: str
) -> None:
    done = joulecast("estimate", language_model, *options)
    assert done.code != 0
    assert done.out == ""
    assert said in " ".join(done.err.split())


def test_a_graph_takes_no_option_of_generation(joulecast: CommandLine, model: Path) -> None:
    done = joulecast("estimate", model, "--output-tokens", "16")
    assert done.code == 2
    assert "so it takes no --output-tokens" in " ".join(done.err.replace("│", " ").split())
    assert joulecast("estimate", model, "--phase", "forward").code == 0


def test_costs_at_a_site_name_it_and_fulfil_the_schema(joulecast: CommandLine, model: Path) -> None:
    place = ("--price-per-kilowatt-hour", "0.3", "--currency", "EUR", "--pue", "1.2")
    for command in ("estimate", "plan"):
        asked = (command, model, "-a", "NVIDIA-H200", "-b", "8", *place)
        document = joulecast(*asked, "-o", "json").document
        validate(document)
        (cost,) = document["costs"]
        assert (cost["site"], cost["per"], cost["currency"]) == ("the site given", "inference", "EUR")
        found = (document.get("results") or document["candidates"])[0]
        joules = found["joules_per_inference"] if command == "estimate" else found["joules"]
        assert cost["money"]["mean"] == pytest.approx(0.3 * 1.2 * joules / 3.6e6, 1e-4)
        assert cost["money_per_hour"]["mean"] == pytest.approx(0.36 * found["average_power_watts"] / 1e3, 1e-4)
        assert "at the site given (PUE 1.2):" in joulecast(*asked).out
    refused = joulecast("estimate", model, "--price-per-kilowatt-hour", "0.3")
    assert (refused.code, refused.out) == (1, "")
    assert "price_per_kilowatt_hour and currency, or neither" in refused.err


def test_split_prints_the_cuts_and_the_best_of_them(joulecast: CommandLine, model: Path) -> None:
    machines = ("--between", "L4", "--and", "NVIDIA-H200", "--link", "1Gbit")
    asked = ("split", model, *machines, "--link-joules-per-byte", "1e-7", "-b", "4")
    document = joulecast(*asked, "-o", "json").document
    validate(document)
    assert document["between"] == ["NVIDIA-L4", "NVIDIA-H200"]
    assert document["by_joules"] == min(document["cuts"], key=lambda cut: cut["joules"])
    shown = joulecast(*asked).out
    assert "fewest joules: " in shown
    assert "least time: " in shown
    assert len(joulecast(*asked, "-o", "csv").out.splitlines()) == 1 + len(document["cuts"])
    refused = joulecast("split", model, *machines)
    assert (refused.code, refused.out) == (1, "")
    assert "give joules per byte, or the medium" in refused.err
