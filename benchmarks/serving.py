"""Language models from their configuration: what a forecast of generation costs, beside tools that count the module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.language_models import CONFIGURATIONS, EXPECTED_MACS, FILES, TOKENS, stored
from tests.harness import hub

RUNS = 5
TOLERANCE = 1e-3
TOOLS = ("joulecast", "FlopCounterMode", "calflops")
CARD, DEGREE = "NVIDIA-B200", 8
"""Eight of them hold either model."""

_FORECAST = """
import json, resource, sys, time
import joulecast
request = joulecast.GenerationRequest(input_tokens=512, output_tokens=256, concurrency=32, tensor_parallel={degree})
start = time.process_time()
found = joulecast.estimate_generation({folder!r}, {card!r}, request)
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({{"seconds": seconds, "peak_bytes": peak, "torch": "torch" in sys.modules}}))
"""

_SWEEP = """
import json, time
import joulecast
from joulecast.api.language_models import language_model
model = language_model(joulecast.fetch({folder!r}))
start = time.process_time()
for concurrency in range(1, 101, 5):
    for tokens in range(128, 1408, 128):
        request = joulecast.GenerationRequest(
            input_tokens=tokens, output_tokens=256, concurrency=concurrency, tensor_parallel={degree}
        )
        joulecast.estimate_generation(model, {card!r}, request)
print(json.dumps({{"seconds": time.process_time() - start}}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One tool on one model: processor seconds of the count and of the whole process; ``error``: how it failed."""

    tool: str
    macs: int | None = None
    count_seconds: float = 0.0
    process_seconds: float = 0.0
    peak_mib: float = 0.0
    error: str = ""


def section() -> str:
    """The Markdown tables: our own figures beside what is wanted, and counting beside other tools as ratios."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = _folders(Path(scratch))
        own = [_line(*line) for line in [*_own(folders), _fetched()]]
    return "\n".join(
        [
            "| from configuration to a forecast of generation | measured | wanted |",
            "|---|---:|---:|",
            *own,
            "",
            f"| pass of {TOKENS} tokens | tool | GMACs | right | counting | ratio | whole process | ratio | peak MiB |",
            "|---|---|---:|:-:|---:|---:|---:|---:|---:|",
            *(row for model in CONFIGURATIONS for row in _compared(model)),
        ]
    )


def _folders(scratch: Path) -> dict[str, str]:
    for name, config in CONFIGURATIONS.items():
        (scratch / name).mkdir()
        (scratch / name / "config.json").write_text(json.dumps(config))
    return {name: str(scratch / name) for name in CONFIGURATIONS}


def _own(folders: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, folder in folders.items():
        asked = {"folder": folder, "card": CARD, "degree": DEGREE}
        found = [json.loads(_run([sys.executable, "-c", _FORECAST.format(**asked)]).out) for _ in range(RUNS)]
        if any(each["torch"] for each in found):
            raise SystemExit("a forecast from a configuration has imported torch")
        yield f"{name}, in Python, the first call", f"{_least(found, 'seconds'):.3g} s", "≤ 0.3 s"
        done = [_run([sys.executable, "-m", "joulecast", "estimate", folder, *_ASKED]) for _ in range(RUNS)]
        yield f"{name}, as a command", f"{min(each.seconds for each in done):.3g} s", "≤ 0.8 s"
        yield f"{name}, memory of the command", f"{min(each.peak_bytes for each in done) / 1e6:.0f} MB", "≤ 150 MB"
        swept = [json.loads(_run([sys.executable, "-c", _SWEEP.format(**asked)]).out) for _ in range(RUNS)]
        yield f"{name}, 200 concurrencies × lengths in Python", f"{_least(swept, 'seconds'):.3g} s", "≤ 1 s"


_ASKED = (
    "--input-tokens", "512", "--output-tokens", "256", "-c", "32", "-tp", str(DEGREE), "-a", CARD,
)  # fmt: skip


def _fetched() -> tuple[str, str, str]:
    """Fetch a model of 140 GB in thirty files from a hub on this machine."""
    from joulecast.sources import RegistryAccess, fetch

    files = stored()
    total = sum(map(len, files.values()))
    with hub.running() as served:
        served.add("meta-llama/Meta-Llama-3-70B", files)
        hosts = (served.server.host, served.storage.host)
        access = RegistryAccess(hub_endpoint=served.url, insecure_registries=hosts, permitted_hosts=hosts)
        fetched = fetch("hf://meta-llama/Meta-Llama-3-70B", access=access)
    what = f"{total / 1e9:.0f} GB of safetensors in {FILES} files on a hub, bytes fetched"
    return what, f"{fetched.bytes_fetched / 1e6:.2f} MB", "≤ 2 MB"


def _compared(model: str) -> Iterator[str]:
    base: Cell | None = None
    for tool in TOOLS:
        found = _cell(tool, model)
        base = base or found
        if found.macs is None:
            yield f"| {model} | {tool} | – | no | failed: `{found.error}` | | | | |"
            continue
        right = abs(found.macs / EXPECTED_MACS[model] - 1) <= TOLERANCE
        yield (
            f"| {model} | {tool} | {found.macs / 1e9:,.0f} | {'yes' if right else 'no'}"
            f" | {found.count_seconds:.3g} s | {found.count_seconds / base.count_seconds:.1f}"
            f" | {found.process_seconds:.3g} s | {found.process_seconds / base.process_seconds:.1f}"
            f" | {found.peak_mib:.0f} |"
        )


def _cell(tool: str, model: str) -> Cell:
    """The fastest of ``RUNS`` fresh processes of our own tool, and one of each other, which take long."""
    runs = []
    for _ in range(RUNS if tool == "joulecast" else 1):
        done = _run([sys.executable, "-m", "benchmarks.contenders", tool, model], check=False)
        if not done.out:
            return Cell(tool=tool, error=done.error)
        runs.append((done.seconds, json.loads(done.out)))
    return Cell(
        tool=tool,
        macs=runs[0][1]["macs"],
        count_seconds=min(found["processor_seconds"] for _, found in runs),
        process_seconds=min(seconds for seconds, _ in runs),
        peak_mib=min(found["peak_bytes"] for _, found in runs) / 2**20,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A process that ended: its last line, processor seconds and peak memory; ``error``: its last line of error."""

    out: str
    error: str
    seconds: float
    peak_bytes: int


def _run(command: list[str], *, check: bool = True) -> _Done:
    """Run a process that uses one thread, so that its processor time is that of its work.

    Its modules are compiled once and kept, as those of an installed package are.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    out, error = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
    _, status, usage = os.wait4(process.pid, 0)
    if status and check:
        raise SystemExit(f"{' '.join(command[:4])} failed: {error}")
    last = (error.strip().splitlines() or ["no message"])[-1]
    return _Done(
        out="" if status else out.strip().splitlines()[-1],
        error=last[:80],
        seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def _least(found: list[dict[str, Any]], name: str) -> float:
    return min(float(each[name]) for each in found)


def _line(what: str, measured: str, wanted: str) -> str:
    return f"| {what} | {measured} | {wanted} |"
