"""Test with real processes that the failure of a job concerns only that job."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from typing import Any

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.workers import pool as workers
from joulecast_operator.workers.pool import Pool, WorkerProgram
from tests.harness.environment import ROOT

MIB = 2**20


def program(
    *, seconds: float = 60, isolated: bool = False, waits_for_others: bool = False, **more: str
) -> WorkerProgram:
    return WorkerProgram(
        name="profiler",
        module="tests.unit.joulecast_operator.workers.jobs",
        seconds=seconds,
        memory_bytes=512 * MIB,
        environment={"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        | ({"ISOLATED": "1"} if isolated else {})
        | more,
        waits_for_others=waits_for_others,
    )


def with_pool(job: Any, chosen: WorkerProgram | None = None) -> Any:
    """Return the result of ``job(pool)``, and close the pool after it."""

    async def run() -> Any:
        pool = Pool(chosen or program())
        try:
            return await job(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the time of a job, but not the time in which its worker starts on a busy machine."""
    monkeypatch.setattr(workers, "GRACE_SECONDS", 120.0)


def failure(job: str, chosen: WorkerProgram | None = None) -> JoulecastError:
    """Return how ``job`` failed, after a check that the same pool still answers."""

    async def run(pool: Pool) -> JoulecastError:
        with pytest.raises(JoulecastError) as caught:
            await pool.run({"job": job})
        answer, body = await pool.run({"job": "echo"}, b"abc")
        assert answer["pid"]
        assert body == b"cba"
        return caught.value

    found: JoulecastError = with_pool(run, chosen)
    return found


def test_each_job_has_a_process_of_its_own() -> None:
    async def run(pool: Pool) -> list[int]:
        return [(await pool.run({"job": "echo"}))[0]["pid"] for _ in range(3)]

    assert len(set(with_pool(run))) == 3


def test_large_bodies_pass_both_ways() -> None:
    body = bytes(range(256)) * 40_000

    async def run(pool: Pool) -> bytes:
        return (await pool.run({"job": "chat"}, body))[1]

    assert with_pool(run) == body[::-1]


def test_workers_see_none_of_the_controllers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")

    async def run(pool: Pool) -> list[str]:
        names: list[str] = (await pool.run({"job": "echo"}))[0]["environment"]
        return names

    assert not {"KUBECONFIG", "HTTPS_PROXY"} & set(with_pool(run))


@pytest.mark.slow
@pytest.mark.parametrize(("job", "reason"), [("sleep", "ProfilerTimeout"), ("spin", "ProfilerTimeout")])
def test_a_job_that_takes_too_long(job: str, reason: str) -> None:
    error = failure(job, program(seconds=2))
    assert (error.reason, error.transient) == (reason, False)
    assert "after 2 s" in str(error)


@pytest.mark.slow
def test_a_job_that_waits_for_others_may_do_better_later() -> None:
    assert failure("sleep", program(seconds=2, waits_for_others=True)).transient


def test_a_job_that_eats_memory() -> None:
    error = failure("eat")
    assert error.reason == "ProfilerOutOfMemory"
    assert "512 MiB" in str(error)


@pytest.mark.parametrize("job", ["die", "kill_worker"])
def test_a_job_or_worker_that_is_killed(job: str) -> None:
    error = failure(job)
    assert (error.reason, error.transient) == ("ProfilerKilled", True)


def test_a_worker_killed_while_it_waits_fails_no_job() -> None:
    async def run(pool: Pool) -> bytes:
        await pool.start()
        (worker,) = pool._idle
        worker.kill()
        await worker.wait()
        return (await pool.run({"job": "echo"}, b"abc"))[1]

    assert with_pool(run) == b"cba"


def test_errors_keep_reason_and_message() -> None:
    error = failure("fail")
    assert (error.reason, error.transient, str(error)) == (
        "InvalidModelFormat",
        False,
        "there is no model here: give one",
    )


def test_a_programming_error_keeps_its_traceback_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    error = failure("stumble")
    assert (error.reason, error.transient) == ("InternalError", False)
    assert "ZeroDivisionError: a bug" in str(error)
    [line] = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "defect" in line]
    assert line["level"] == "error"
    assert re.fullmatch("[0-9a-f]{8}", line["defect"])
    assert line["defect"] in str(error)
    assert "in stumble" in line["exception"]


@pytest.mark.parametrize("job", ["connect", "start_program", "write_file"])
def test_an_isolated_job_reaches_nothing(job: str) -> None:
    error = failure(job, program(isolated=True))
    assert "PermissionError" in str(error)
    assert "may not do this" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
@pytest.mark.parametrize("kernel", [{}, {"WITHOUT_NAMESPACES": "1"}], ids=["as it is", "no namespaces"])
def test_native_code_of_an_isolated_job_has_no_way_out(kernel: dict[str, str]) -> None:
    async def run(pool: Pool) -> Any:
        return (await pool.run({"job": "native_calls"}))[0]

    answers = with_pool(run, program(isolated=True, **kernel))
    assert answers.pop("number of tomorrow") == "ENOSYS"
    assert answers.pop("own number") == "done"
    assert set(answers.values()) == {"EPERM"}, answers
    assert with_pool(run)["socket"] == "done"  # without the barriers it can
