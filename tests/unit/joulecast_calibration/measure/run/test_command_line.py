"""What the command refuses, what it prints without measuring, and what it needs installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure import __main__
from joulecast_calibration.measure.run import refusals
from joulecast_calibration.rows.measured import SCHEMA_VERSION
from tests.unit.joulecast_calibration.measure.command import Measuring
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite
from tests.unit.joulecast_calibration.measure.handmade_site import environment
from tests.unit.joulecast_calibration.rows import made

TORCH_AND_ITS_NEEDS = (
    "torch torchgen functorch numpy pynvml typing_extensions filelock sympy mpmath networkx jinja2 markupsafe fsspec"
    " triton nvidia setuptools cuda"
)
BLOCK = f"""
import importlib.abc, sys
ALLOWED = set(sys.stdlib_module_names) | set({TORCH_AND_ITS_NEEDS.split()!r})
ALLOWED |= {{"joulecast", "joulecast_calibration", "tests", "sitecustomize"}}
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)
sys.meta_path.insert(0, Guard())
"""


@pytest.fixture
def handmade(monkeypatch: pytest.MonkeyPatch) -> HandmadeSuite:
    """This process knows the handmade suite."""
    from joulecast_calibration import suite

    made = HandmadeSuite(12, 60)
    monkeypatch.setattr(suite, "committed", lambda: made)
    return made


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status, and the one sentence that was said."""
    code = __main__.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return code, told.err


@pytest.mark.usefixtures("handmade")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--slice", "layer"], "unknown slice 'layer': choose from constants, smoke, llm"),
        (["--precision", "fp8"], "unknown precision 'fp8': choose from default, tf32, bf16, fp16"),
        (["--runtime", "jax"], "unknown runtime 'jax': choose from torch-eager"),
        (["--budget", "soon"], "--budget 'soon' cannot be read as a length of time: give 25m"),
        (["--budget", "-5m"], "--budget '-5m' cannot be read as a length of time"),
        (["--budget", "1m"], "a budget of 60 s is too small"),
        (["--process-minutes", "1"], "give --process-minutes 2 or more"),
        (["--simulate", "abacus"], "unknown simulated device 'abacus': choose one of hopper"),
        (["--simulate", "--check"], "--simulate replaces the device"),
        (["--fault", "foreign-process=1"], "--fault is for a simulated device"),
        (["--simulate", "--fault", "foreign-process"], "--fault 'foreign-process' has no value: give NAME=VALUE"),
    ],
)
def test_wrong_options_are_one_sentence_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    code, told = refused(capsys, "--resume", tmp_path / "rows", *_joined(arguments))
    assert code in (1, 2)
    assert sentence in told
    assert not (tmp_path / "rows").exists()


def _joined(arguments: list[str]) -> list[str]:
    """A value that begins with a dash belongs to the option before it."""
    if arguments[-1].startswith("-5"):
        return [f"{arguments[0]}={arguments[1]}"]
    return arguments


@pytest.mark.usefixtures("handmade")
def test_a_fault_that_nobody_knows_is_refused_by_name(measuring: Measuring) -> None:
    done = measuring("--budget", "5m", "--fault", "flood=1")
    assert done.returncode == 2
    assert "unknown fault 'flood' of a simulated device: choose from foreign-process" in done.stderr


@pytest.fixture
def measuring(tmp_path: Path) -> Measuring:
    return Measuring(folder=tmp_path / "rows", environment=environment(tmp_path / "site"))


@pytest.mark.usefixtures("handmade")
def test_a_folder_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--simulate") == (
        2,
        "error: the folder for the rows is missing: give --resume DIR, which is created if necessary [WrongUsage]\n",
    )


@pytest.mark.usefixtures("handmade")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code, told = refused(capsys, "--simulate", "--resume", tmp_path / "file" / "rows")
    assert (code, "[FolderNotWritable]" in told) == (1, True)
    if os.getuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "[FolderNotWritable]" in refused(capsys, "--simulate", "--resume", tmp_path / "closed" / "rows")[1]


@pytest.mark.usefixtures("handmade")
def test_a_disk_without_room_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_LEAST_FREE_BYTES", 1 << 62)
    assert "[DiskFull]" in refused(capsys, "--simulate", "--resume", tmp_path)[1]


def session(folder: Path, **columns: object) -> None:
    folder.mkdir(exist_ok=True)
    own = {"suite_digest": "sha256:handmade", "accelerator": "A", "simulated": True}
    made.write(folder, [made.session(**own | columns)], "old.jsonl")


@pytest.mark.usefixtures("handmade")
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_rows_of_another_schema_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: list[str]
) -> None:
    session(tmp_path / "schema", schema=SCHEMA_VERSION + 1)
    told = refused(capsys, "--resume", tmp_path / "schema", "--simulate", *dry)[1]
    assert f"rows of schema {SCHEMA_VERSION + 1}, and this version writes schema {SCHEMA_VERSION}" in told
    assert [path.name for path in (tmp_path / "schema").glob("*.jsonl")] == ["old.jsonl"]


@pytest.mark.usefixtures("handmade")
def test_a_report_needs_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no rows" in refused(capsys, "--report", tmp_path)[1]


@pytest.mark.slow
def test_a_report_says_from_rows_alone_what_the_run_said(measuring: Measuring) -> None:
    run = measuring("--budget", "5m", "--slice", "layers")
    again = subprocess.run(
        [sys.executable, "-m", "joulecast_calibration.measure", "--report", str(measuring.folder)],
        env=dict(measuring.environment), text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert again.stdout in run.stdout
    assert run.stdout.splitlines()[-1].startswith(f"gained {len(measuring.measured())} rows in ")
    assert run.stdout.endswith("they are simulated)\n")
    assert "verdict" in again.stdout


@pytest.mark.usefixtures("handmade")
def test_a_dry_run_tells_what_a_budget_buys_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["--dry-run", "--order", "--resume", str(tmp_path / "rows"), "--budget", "10m"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines()[:5]] == ["slice", "constants", "anchors", "smoke", "llm"]
    assert "rows are left for later runs" in told
    assert "torchvision:n000 batch" in told
    assert not (tmp_path / "rows").exists()


@pytest.mark.slow
def test_a_dry_run_knows_what_a_folder_already_holds(measuring: Measuring) -> None:
    measuring("--budget", "10m", "--slice", "layers")
    done = measuring("--dry-run", "--slice", "layers")
    assert done.returncode == 0, done.stderr
    assert "layers" not in done.stdout
    assert "0 rows are left" in done.stdout


@pytest.mark.slow
def test_a_smoke_run_is_short_and_its_verdict_says_what_did_not_work(measuring: Measuring) -> None:
    plan = measuring("--dry-run", "--slice", "smoke", "--budget", "5m")
    assert [line.split()[:2] for line in plan.stdout.splitlines()[1:3]] == [["constants", "1"], ["smoke", "7"]]
    faults = ("--fault", "crash=b32|torch-cudagraph", "--fault", "broken=llm")
    done = measuring("--slice", "smoke", "--budget", "6m", *faults)
    assert done.returncode == 0, done.stderr
    verdict = [line for line in done.stdout.splitlines() if "smoke: " in line]
    signs = {line.partition("smoke: ")[2].partition(":")[0]: line[:4].strip() for line in verdict}
    assert {name for name, sign in signs.items() if sign == "FAIL"} == {"network, torch-cudagraph", "language model"}
    assert {sign for name, sign in signs.items() if name.startswith(("layer", "window"))} == {"ok"}
    assert "CodeCarbon skipped" in verdict[-1]
    assert not any(row["anchor"] for row in measuring.measured())


@pytest.mark.slow
def test_without_a_gpu_the_way_out_is_told(measuring: Measuring) -> None:
    done = measuring("--budget", "5m", simulate="")
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("error: ")
    assert "--simulate" in sentence
    assert measuring.rows() == []


@pytest.mark.slow
def test_planning_and_a_simulated_run_need_torch_numpy_and_pynvml_at_most(tmp_path: Path) -> None:
    guarded = Measuring(folder=tmp_path / "rows", environment=environment(tmp_path / "site", layers=6, more=BLOCK))
    plan = guarded("--dry-run")
    assert plan.returncode == 0, plan.stderr
    run = guarded("--budget", "4m", "--slice", "layers")
    assert run.returncode == 0, run.stderr
    assert len(guarded.keys()) == 6


def test_the_guard_blocks_what_it_is_for(tmp_path: Path) -> None:
    names = ("onnx", "rich", "typer", "httpx2", "pydantic", "scipy", "yaml", "codecarbon")
    code = f"import importlib\nfor name in {names}:\n"
    code += "    try: importlib.import_module(name)\n    except ImportError as error: assert 'blocked' in str(error)\n"
    code += "    else: raise AssertionError(name)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path / "site", more=BLOCK), check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_what_is_measured_on_a_guarded_path_is_what_the_package_imports(tmp_path: Path) -> None:
    """Every module of the measuring path, imported whole."""
    guarded = environment(tmp_path / "site", more=BLOCK)
    folder = Path(__main__.__file__).parent
    paths = sorted(path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))
    names = [".".join(path.parts) for path in paths if path.name not in ("__main__", "__init__")]
    assert "loads.networks" in names
    code = "import joulecast; "
    code += "; ".join(f"import joulecast_calibration.measure.{name}" for name in names)
    code += "; import joulecast_calibration.meter.nvml, joulecast.readers.module"
    done = subprocess.run([sys.executable, "-c", code], env=guarded, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_durations_are_read_as_people_write_them() -> None:
    assert [refusals.duration_seconds(text, "--budget") for text in ("25m", "90", "1.5h", "540 s")] == [
        1500.0, 90.0, 5400.0, 540.0,
    ]  # fmt: skip
    with pytest.raises(MeasurementError):
        refusals.duration_seconds("25 minutes", "--budget")


@pytest.mark.slow
def test_events_of_a_process_are_lines_of_json(measuring: Measuring, tmp_path: Path) -> None:
    """What libraries print cannot disturb them."""
    from joulecast_calibration.measure.run.process import PARENT, ProcessJob
    from joulecast_calibration.measure.run.request import MeasurementRequest

    measuring.folder.mkdir()
    request = MeasurementRequest(
        folder=measuring.folder, slices=("layers",), device="simulated:hopper", budget_seconds=200.0, continues=True
    )
    job = ProcessJob(request=request, seconds=200.0, last=True, spawned_at=0.0)
    done = subprocess.run(
        [sys.executable, "-m", "joulecast_calibration.measure", "--job", job.to_json()],
        env={**measuring.environment, PARENT: str(os.getpid())}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["started", "ended"]


@pytest.mark.slow
def test_the_report_names_each_row_in_trouble(measuring: Measuring) -> None:
    done = measuring("--budget", "4m", "--slice", "layers", "--fault", "out-of-memory=000000000000000f")
    assert "failed or invalid\n  layer|000000000000000f|torch-cudagraph|default|rotated: OutOfMemory: " in done.stdout
