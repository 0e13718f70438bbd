"""Test that the demo does what the README says, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import __main__ as demo
from examples.demo import stop
from tests.harness.cache import cache_directory
from tests.harness.environment import ROOT
from tests.harness.processes import stop_directory

DEMO_SECONDS = 1200.0  # a minute on two cores


def kept() -> set[str]:
    return {folder.name for folder in cache_directory().glob("demo-*")}


@pytest.fixture(scope="module")
def output() -> Iterator[str]:
    before = kept()
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, capture_output=True, text=True, timeout=DEMO_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield done.stdout
    assert kept() <= before


def test_the_first_forecast_comes_from_an_image_layout(output: str) -> None:
    first = output.partition("A real control plane")[0]
    assert "joulecast estimate" in first
    assert "NVIDIA-H200" in first
    assert "100 %" in first


def test_the_api_server_answers_with_the_forecast(output: str) -> None:
    known = output.partition("Deploy that image")[2].partition("Deploy a model")[0]
    assert "Warning: " in known
    assert "per batch of 32 on NVIDIA-H200" in known
    assert "joulecast.dev/state: Ready" in known


def test_an_unknown_model_is_pending_then_annotated(output: str) -> None:
    unknown = output.partition("Deploy a model")[2].partition("Ask without changing")[0]
    admitted = unknown.index("Warning: no forecast yet of")
    assert admitted < unknown.index("state at once: ") < unknown.index("joulecast.dev/state: Ready")


def test_a_dry_run_answers_for_its_own_batch_size(output: str) -> None:
    dry_run = output.partition("Ask without changing")[2].partition("Deploy a language model")[0]
    assert "per batch of 1 on NVIDIA-H200" in dry_run
    assert "server dry run" in dry_run


def test_a_language_model_that_vllm_serves_shows_joules_per_request_and_token(output: str) -> None:
    served = output.partition("Deploy a language model")[2].partition("Seventy billion")[0]
    assert re.search(r'vLLM: \[.*"--tensor-parallel-size","--max-num-seqs"', served), served
    assert "/models/chat:135m//models" in served
    for name in ("joules-per-request", "joules-per-output-token"):
        assert re.search(rf"joulecast\.dev/{name}: [0-9.]+\n", served), name
    assert "joulecast.dev/estimated-concurrency: 32" in served
    warning = re.search(r"Warning: [0-9.]+ J per request \(512 → 256 tokens, 32 at once\) on NVIDIA-H200", served)
    assert warning, served
    assert "J per output token" in served[warning.start() :]


def test_a_published_configuration_is_enough_for_a_forecast(output: str) -> None:
    found = output.partition("Seventy billion")[2].partition("What Prometheus")[0]
    (line,) = (each for each in found.splitlines() if each.startswith("llama-3-70b "))
    assert "512 → 256 tokens, 32 at once, on 4" in line
    assert "J/request" in line
    assert "True" in line


def test_metrics_and_the_dearest_rows_are_shown(output: str) -> None:
    series = [line for line in output.splitlines() if line.startswith("joulecast_predicted_joules_per_batch{")]
    assert any('accelerator="NVIDIA-H200"' in line and 'batch_size="32"' in line for line in series), output
    for name in ("joules_per_request", "joules_per_output_token", "inter_token_latency_seconds"):
        series = [line for line in output.splitlines() if line.startswith(f"joulecast_predicted_{name}{{")]
        assert {'workload="chat"' in line for line in series} == {True, False}, name
    rows = output.partition("The ten rows that cost most")[2].partition("Clean up")[0]
    assert rows.count(" J  ") == 10


def test_it_cleans_up(output: str) -> None:
    assert "no output of joulecast is left on any Deployment" in output


def test_what_is_kept_answers_to_the_lines_that_it_prints(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env=os.environ | {"KEEP": "1"},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
    )
    exports = re.findall(r"^export .+$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = {Path(found) for found in re.findall(r"KUBECONFIG=(.+/demo-[^/]+)/", done.stdout)}
    try:
        asked = ["bash", "-c", "\n".join([*exports, "kubectl get iee -o name"])]
        bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        answered = subprocess.run(asked, capture_output=True, text=True, timeout=300, env=bare)
        assert "inferenceenergyestimate.joulecast.dev/ocr-detector" in answered.stdout, answered.stderr
        assert folder in stop.kept(folder.parent)
    finally:
        stop_directory(folder)
        shutil.rmtree(folder, ignore_errors=True)


def test_only_what_was_kept_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("demo-kept", "demo-playing"):
        (tmp_path / name).mkdir()
    stop.keep(tmp_path / "demo-kept")
    monkeypatch.setattr(stop, "cache_directory", lambda: tmp_path)
    stop.main()
    assert [folder.name for folder in tmp_path.iterdir()] == ["demo-playing"]


def test_a_demo_that_fails_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the control plane did not start")

    monkeypatch.setenv("KEEP", "1")
    monkeypatch.setattr(demo, "cache_directory", lambda: tmp_path)
    monkeypatch.setattr(demo, "first_minute", lambda folder: {})
    monkeypatch.setattr(demo.scenes, "play", fail)
    assert demo.main() == 1
    assert list(tmp_path.iterdir()) == []
