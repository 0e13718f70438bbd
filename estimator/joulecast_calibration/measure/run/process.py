"""A child of the chain: hold the device for one session and report every event to the parent, one line each."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import json
import os
import platform
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from joulecast.errors import MeasurementError
from joulecast_calibration import suite
from joulecast_calibration.measure.bench.bench import Bench
from joulecast_calibration.measure.plan.configuration import PARENT, SLICES, Configuration
from joulecast_calibration.measure.plan.history import History, MeasurementRun, current_run
from joulecast_calibration.measure.plan.plan import Plan, make_plan, smallest
from joulecast_calibration.measure.run.journal import JournalWriter
from joulecast_calibration.measure.run.refusals import check_accelerator
from joulecast_calibration.measure.run.request import MeasurementRequest
from joulecast_calibration.measure.run.session import CHECK, DeviceLostError, Emit, Session, SessionLimits
from joulecast_calibration.meter import Policy
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.typed import TypedRow

LOST = 75  # exit status of a process whose device context is beyond repair: EX_TEMPFAIL of sysexits.h
REFUSED = 1

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessJob:
    """What a parent asks of a child.

    - ``seconds``: since ``spawned_at`` of the machine's monotonic clock.
    - ``last``: see ``SessionLimits``.
    """

    request: MeasurementRequest
    seconds: float
    last: bool
    spawned_at: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)


def job_from_json(text: str) -> ProcessJob:
    """Read what ``ProcessJob.to_json`` wrote."""
    document = json.loads(text)
    asked = document.pop("request")
    request = MeasurementRequest(**asked | {"folder": Path(asked["folder"]), "slices": tuple(asked["slices"])})
    return ProcessJob(request=request, **document)


def main(text: str) -> int:
    """Do the job; return the exit status."""
    die_with_parent()
    events = _own_output()
    try:
        return _work(job_from_json(text), events)
    except MeasurementError as error:
        _tell(events, "refused", {"message": str(error), "reason": error.reason, "at_seconds": 0.0})
        return REFUSED
    except BrokenPipeError:
        return REFUSED  # the parent has ended: what is measured is on the disk
    except KeyboardInterrupt:
        return 130


def _work(job: ProcessJob, events: TextIO) -> int:
    bench = _bench(job)
    with contextlib.closing(bench):
        began = 0.0 if job.request.device.startswith("simulated") else job.spawned_at
        seconds: Callable[[], float] = lambda: bench.clock.seconds() - began  # noqa: E731 (read as a value)

        def emit(event: str, **columns: Any) -> None:
            _tell(events, event, columns | {"at_seconds": seconds()})

        rows = read_rows(job.request.folder).rows
        check_accelerator(rows, job.request.folder, bench.sensor.card.accelerator)
        run = _run(rows, bench)
        with _journal(job, run, bench, seconds) as journal:
            journal.record("session", _session_columns(job, bench))
            return _measure(job, bench, journal, run, History(rows), emit, seconds)


def _measure(
    job: ProcessJob,
    bench: Bench,
    journal: JournalWriter,
    run: MeasurementRun,
    history: History,
    emit: Emit,
    seconds: Callable[[], float],
) -> int:
    request = job.request
    plan = make_plan(suite.committed(), request.plan_options)
    plan, skipped = _possible(smallest(plan) if request.check else plan, bench)
    gc.freeze()  # plan and libraries stay; each network is collected, and to look at them too takes 0.2 s more
    session = Session(
        bench=bench,
        journal=journal,
        history=history,
        plan=plan,
        run=run,
        limits=SessionLimits(seconds=job.seconds, last=job.last, closing=not (request.continues or request.check)),
        emit=emit,
        seconds=seconds,
        policy=CHECK if request.check else Policy(),
    )
    emit(
        "started", run_id=run.run_id, process=run.process, continues=run.continues, seconds=job.seconds,
        accelerator=bench.sensor.card.accelerator, rows_left=session.rows_left, skipped=skipped, path=str(journal.path),
        simulated=bench.sensor.card.simulated,
    )  # fmt: skip
    try:
        emit("ended", reason=session.run())
    except DeviceLostError as error:
        emit("lost", message=str(error))
        return LOST
    finally:
        gc.unfreeze()  # else libraries report at exit that they leak
    return 0


def _possible(plan: Plan, bench: Bench) -> tuple[Plan, dict[str, int]]:
    """Return the plan without rows whose library or runtime is missing here, and how many rows each of these costs."""
    missing = bench.missing({row.runtime for row in plan.rows})
    lacks = [_lack(row, missing) for row in plan.rows]
    rows = tuple(row for row, lack in zip(plan.rows, lacks, strict=True) if not lack)
    return replace(plan, rows=rows), dict(Counter(filter(None, lacks)))


def _lack(row: Configuration, missing: Mapping[str, str]) -> str:
    """Return what a row needs and this machine does not have, or "". A layer needs torch alone."""
    if row.window == "codecarbon" and "codecarbon" in missing:
        return missing["codecarbon"]
    if row.op_type:
        return ""
    return missing.get(row.name.partition(":")[0]) or missing.get(row.runtime) or ""


def _bench(job: ProcessJob) -> Bench:
    device, seed = job.request.device, job.request.seed
    if device.startswith("simulated:"):
        from joulecast_calibration.measure.bench.simulatedbench import SimulatedBench

        return SimulatedBench(device.partition(":")[2], seed=seed, faults=job.request.faults)
    from joulecast_calibration.measure.bench.torchbench import cuda_bench, processor_bench

    if device == "processor":
        return processor_bench(seed=seed)
    return cuda_bench(int(device.partition(":")[2] or 0), seed=seed)


def _run(rows: tuple[TypedRow, ...], bench: Bench) -> MeasurementRun:
    """Return the folder's last run if it continues, else a new run."""
    card, now = bench.sensor.card, datetime.now(UTC)
    found = current_run(rows, card, _boot(), now)
    if found:
        return found
    unique = hashlib.sha256(f"{now.isoformat()} {card.card} {os.getpid()}".encode()).hexdigest()[:6]
    return MeasurementRun(run_id=f"{now:%Y%m%dT%H%M%SZ}-{unique}", process=1)


def _journal(job: ProcessJob, run: MeasurementRun, bench: Bench, seconds: Callable[[], float]) -> JournalWriter:
    path = job.request.folder / f"{run.run_id}.jsonl"
    simulated = bench.sensor.card.simulated
    return JournalWriter(path, run_id=run.run_id, process=run.process, simulated=simulated, seconds=seconds)


def _session_columns(job: ProcessJob, bench: Bench) -> dict[str, Any]:
    card = bench.sensor.card
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "accelerator": card.accelerator,
        "card": card.card,
        "driver": card.driver,
        "power_limit_watts": card.power_limit_watts,
        "memory_bytes": card.memory_bytes,
        "notes": list(card.notes),
        "versions": dict(bench.versions()),
        "host": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system(), "boot": _boot()},
        "seed": job.request.seed,
        "slices": list(job.request.slices or SLICES),
        "budget_seconds": job.request.budget_seconds,
        "suite_digest": suite.committed().digest,
    }


def _processor() -> str:
    """Return the processor's model name, where the system gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def _boot() -> str:
    """Return a salted hash that identifies this start of the machine; "" where none is available."""
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return ""
    return hashlib.sha256(f"joulecast boot {boot}".encode()).hexdigest()[:12]


def _own_output() -> TextIO:
    """Reserve standard output for events: redirect what libraries print to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _tell(events: TextIO, event: str, columns: Mapping[str, Any]) -> None:
    events.write(json.dumps({"event": event, **columns}) + "\n")
    events.flush()


def die_with_parent() -> None:
    """End this process when the process that started it ends, so that no process stays on the GPU after a kill.

    Only Linux offers this.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if str(os.getppid()) != os.environ.get(PARENT):
        os.kill(os.getpid(), signal.SIGKILL)  # it died before we asked
