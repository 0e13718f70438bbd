"""Counting torch modules without running them, beside FlopCounterMode and calflops on the same modules.

Truth is what the golden ONNX graph of the same configuration says, which the module reader has no part in, or that and
what eager mode runs though nobody reads it. Each tool
goes through all of them in a process of its own, each module in a fork of it: ``python -m benchmarks.tracing TOOL``
prints a line of JSON for each. Modules are built without values; calflops alone runs them for real, for it fails on
meta tensors wherever code asks for a value.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

TOLERANCE = 1e-3
LIMIT_SECONDS = 600.0
"""For a tool over all modules; it is ended after that, and what it had not reached counts as failed."""

MODULE_SECONDS = 60
"""For one module; a tool that takes longer has failed on it."""

THREADS = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One tool over all modules: seconds and MACs by name (None where it failed), and the process as a whole."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    macs: Mapping[str, int | None] = field(default_factory=dict)
    minutes: float = 0.0
    peak_mib: float = 0.0


Module = Any
Counter = Callable[[Module, Mapping[str, Any]], int]


def joulecast(module: Module, arguments: Mapping[str, Any]) -> int:
    from joulecast.canonical import canonicalise
    from joulecast.counting import count, totals
    from joulecast.readers.module import read

    return totals(count(canonicalise(read(module, arguments)))).macs


def flop_counter(module: Module, arguments: Mapping[str, Any]) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(**arguments)
    return int(counter.get_total_flops() // 2)


def calflops(module: Module, arguments: Mapping[str, Any]) -> int:
    import torch
    from calflops import calculate_flops

    with torch.no_grad():
        _, macs, _ = calculate_flops(
            module, kwargs=dict(arguments), print_results=False, print_detailed=False, output_as_string=False
        )
    return int(macs)


def fake() -> AbstractContextManager[Any]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


TOOLS: Mapping[str, tuple[str, Counter, str, Callable[[], AbstractContextManager[Any]]]] = {
    "joulecast": ("joulecast", joulecast, "meta", nullcontext),
    "FlopCounterMode": ("FlopCounterMode, fake tensors on the CPU", flop_counter, "cpu", fake),
    "calflops": ("calflops, run on the CPU", calflops, "cpu", nullcontext),
}
"""Name, counting call, device of the module, and what it runs under."""

ALL = "all"
"""Instead of a tool: joulecast over every named source."""


def walk(tool: str) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Each golden module by name, and what counts it."""
    from tests.models import architectures, golden

    _, count, device, mode = TOOLS[tool]
    for export in architectures.EXPORTS:
        if export.name in golden.FILED:
            yield export.name, partial(count_golden, export, count, device, mode)


def count_golden(export: Any, count: Counter, device: str, mode: Callable[[], Any]) -> dict[str, Any]:
    from tests.models import modules

    with mode():
        return timed(count, *modules.built(export, device=device))


def walk_named() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Each named source, at batch 1."""
    from joulecast.readers.named import known

    for source in known():
        yield source, partial(count_named, source)


def count_named(source: str) -> dict[str, Any]:
    from joulecast.readers.named import build

    built = build(source)
    return timed(joulecast, built.module, built.kwargs or built.args)


def apart(count: Callable[[], dict[str, Any]]) -> None:
    """Count in a forked process, for a tool that fails leaves its hooks behind; print what it found."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    signal.alarm(MODULE_SECONDS)
    try:
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = count()
        peak_mib = max(peak_mib, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(found | {"peak_mib": peak_mib}), flush=True)
    finally:
        os._exit(0)


def timed(count: Counter, module: Module, arguments: Any) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        macs: int | None = count(module, arguments)
        error = ""
    except Exception as raised:  # whatever a tool raises is its result
        macs, error = None, f"{type(raised).__name__}: {raised}"[:200]
    return {"macs": macs, "seconds": time.perf_counter() - start, "error": error}


def tally(tool: str) -> Tally:
    """The tool over everything in a fresh process; what it had not reached by the limit counts as failed."""
    start, entries, peak = time.perf_counter(), [], 0.0
    command = [sys.executable, "-m", "benchmarks.tracing", tool]
    environment = {**os.environ, "OMP_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as run:
        for line in run.stdout or ():
            entry = json.loads(line) if line.startswith("{") else {}
            peak = max(peak, entry.get("peak_mib", 0.0))
            entries += [entry] if "name" in entry else []
            if time.perf_counter() - start > LIMIT_SECONDS:
                run.kill()
                break
    return Tally(
        seconds={entry["name"]: entry["seconds"] for entry in entries},
        macs={entry["name"]: entry["macs"] for entry in entries},
        minutes=(time.perf_counter() - start) / 60,
        peak_mib=peak,
    )


def truth() -> dict[str, tuple[int, ...]]:
    """MACs by the golden ONNX graphs, and by the modules as eager mode runs them, which also runs what nobody reads: a
    tool that counts either is right."""
    from joulecast.canonical import canonicalise
    from joulecast.counting import count, totals
    from joulecast.readers.module import read
    from tests.models import architectures, golden, modules

    found = {}
    for export in architectures.EXPORTS:
        if export.name in golden.FILED:
            by_file = totals(count(canonicalise(golden.graph(export.name)))).macs
            eager = totals(count(canonicalise(read(*modules.built(export)), eager=True))).macs
            found[export.name] = tuple(dict.fromkeys((by_file, eager)))
    return found


def section() -> str:
    expected = truth()
    lines = [
        "| tool | modules | failed | counted wrongly | seconds a module, median | ratio | whole process | peak MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ours: Tally | None = None
    notes = []
    for tool, (title, *_) in TOOLS.items():
        found = tally(tool)
        ours = ours or found
        lines.append(row(title, found, ours, expected))
        notes.append(f"{title}: {listed(found, expected)}.")
    lines += ["", "Wrong or failed:", "", *(f"- {note}" for note in notes), "", everything()]
    return "\n".join(lines)


def row(title: str, found: Tally, ours: Tally, expected: Mapping[str, tuple[int, ...]]) -> str:
    failed = sum(found.macs.get(name) is None for name in expected)
    wrong = len(wrongly(found, expected))
    ratios = [found.seconds[name] / ours.seconds[name] for name in found.seconds if name in ours.seconds]
    seconds = median(found.seconds.values()) if found.seconds else 0.0
    ratio = median(ratios) if ratios else 0.0
    return (
        f"| {title} | {len(expected)} | {failed} | {wrong} | {seconds:.2f} | {ratio:.1f} "
        f"| {found.minutes:.1f} min | {found.peak_mib:.0f} |"
    )


def wrongly(found: Tally, expected: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    """Relative error by name, where it is more than the tolerance."""
    errors = {
        name: min((macs / right - 1 for right in expected[name]), key=abs)
        for name, macs in found.macs.items()
        if macs is not None
    }
    return {name: error for name, error in errors.items() if abs(error) > TOLERANCE}


def listed(found: Tally, expected: Mapping[str, tuple[int, ...]]) -> str:
    wrong = [f"{name} {error:+.1%}" for name, error in sorted(wrongly(found, expected).items())]
    failed = [f"{name} fails" for name in expected if found.macs.get(name) is None]
    return ", ".join(wrong + failed) or "none"


def everything() -> str:
    """What joulecast needs for every named source."""
    from joulecast.readers.named import known

    found, sources = tally(ALL), known()
    failed = [name for name in found.macs if not found.macs[name]]
    ended = "" if len(found.macs) == len(sources) else ", when it was ended"
    return (
        f"Every named source, built and traced at batch 1 by joulecast, one after the other: {len(found.macs)} of "
        f"{len(sources)} networks in {found.minutes:.1f} minutes{ended}, {found.peak_mib:.0f} MiB at the most; "
        f"failed: {', '.join(failed) or 'none'}."
    )


def main(tool: str) -> None:
    import torch

    torch.set_num_threads(int(THREADS))
    import timm  # noqa: F401  (imported once, before each module gets a process)
    import transformers  # noqa: F401

    for name, count in walk_named() if tool == ALL else walk(tool):
        apart(partial(named, name, count))


def named(name: str, count: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, **count()}


if __name__ == "__main__":
    main(*sys.argv[1:])
