"""A session on the simulated device, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench.simulatedbench import SimulatedBench
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.history import History, MeasurementRun
from joulecast_calibration.measure.plan.plan import Plan, PlanOptions, make_plan
from joulecast_calibration.measure.report.smoke import smoke
from joulecast_calibration.measure.report.verdict import judge
from joulecast_calibration.measure.run.journal import JournalWriter
from joulecast_calibration.measure.run.session import CHECK, DeviceLostError, Session, SessionLimits, failure_reason
from joulecast_calibration.meter import Policy
from joulecast_calibration.rows.graphs import PackedGraph
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.measured import EVERY, MEASURED
from joulecast_calibration.rows.typed import ConstantsRow
from tests.unit.joulecast_calibration.measure.command import written
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite

PLAN = make_plan(HandmadeSuite(3, 10), PlanOptions(slices=("layers", "networks")))


class TroubledBench(SimulatedBench):
    """Raises or says what it is told to for one configuration."""

    def __init__(
        self,
        victim: Configuration,
        *,
        error: Exception | None = None,
        graph: PackedGraph | None = None,
        slow_seconds: float = 0.0,
        **columns: Any,
    ) -> None:
        super().__init__("hopper", seed=0, faults={})
        self._victim, self._error, self._columns, self._graph = victim, error, columns, graph
        self._slow_seconds = slow_seconds

    @contextlib.contextmanager
    def prepare(self, configuration: Configuration) -> Iterator[Prepared]:
        with super().prepare(configuration) as prepared:
            if configuration.identity != self._victim.identity:
                yield prepared
                return
            if self._error:
                raise self._error
            self.clock.sleep(self._slow_seconds)
            yield replace(prepared, columns={**prepared.columns, **self._columns}, graph=self._graph)


class Measured:
    """A session that has run."""

    def __init__(
        self,
        folder: Path,
        bench: SimulatedBench,
        *,
        plan: Plan = PLAN,
        seconds: float = 200.0,
        run: MeasurementRun | None = None,
        closing: bool = True,
        policy: Policy | None = None,
    ) -> None:
        run = run or MeasurementRun(run_id="r", process=1)
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.folder = folder
        clock = bench.clock.seconds
        path = folder / "r.jsonl"
        with JournalWriter(path, run_id="r", process=run.process, simulated=True, seconds=clock) as journal:
            session = Session(
                bench=bench, journal=journal, history=History(), plan=plan, run=run,
                limits=SessionLimits(seconds=seconds, last=True, closing=closing), emit=self._hear, seconds=clock,
                policy=policy or Policy(),
            )  # fmt: skip
            self.ended = session.run()

    def _hear(self, event: str, **columns: Any) -> None:
        self.events.append((event, columns))

    def rows(self, *kinds: str) -> list[dict[str, Any]]:
        return written(self.folder, *kinds)


VICTIM = PLAN.rows[0]


def test_every_column_is_filled_or_said_to_be_unknown(tmp_path: Path) -> None:
    done = Measured(tmp_path, SimulatedBench("hopper", seed=0, faults={}))
    assert done.ended == "complete"
    measured = done.rows("layer", "network")
    simulated = {
        "function",
        "buffer_sets",
        "hidden_std",
        "peak_memory_bytes",
        "module_calls",
        "unsupported",
    }  # what only torch can say
    for row in measured:
        assert set(EVERY) <= set(row)
        assert set(MEASURED) - simulated - set(row) == set(), row["key"]
    assert {row["idle_watts"] for row in measured} == {done.rows("constants")[0]["idle_watts"]}


def test_joules_are_those_of_the_load(tmp_path: Path) -> None:
    done = Measured(tmp_path, SimulatedBench("hopper", seed=0, faults={}))
    rows = [row for row in done.rows("network") if row["batch_size"] == 128]
    for row in rows:
        assert row["seconds"] == pytest.approx(row["predicted_seconds"], rel=0.02)
        assert row["joules"] == pytest.approx(row["watts"] * row["seconds"], rel=1e-6)


def test_progress_is_told_before_and_after_each_row(tmp_path: Path) -> None:
    done = Measured(tmp_path, SimulatedBench("hopper", seed=0, faults={}))
    names = [name for name, _ in done.events]
    assert names == ["begin", "row"] * (len(names) // 2)
    left = [columns["seconds_left"] for name, columns in done.events if name == "begin"]
    assert left[-13] < left[1]
    assert all(0 <= seconds <= 200 for seconds in left)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MeasurementError("it does not fit", reason="OutOfMemory"), "OutOfMemory"),
        (MemoryError("no room"), "OutOfMemory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemory"),
        (MeasurementError("it cannot be captured", reason="CaptureFailed"), "CaptureFailed"),
        (RuntimeError("shapes differ\nand more"), "Error"),
    ],
)
def test_what_cannot_be_measured_is_a_row_with_its_reason(tmp_path: Path, error: Exception, reason: str) -> None:
    done = Measured(tmp_path, TroubledBench(VICTIM, error=error))
    failures = done.rows("failure")
    assert {(row["key"], row["reason"]) for row in failures if not row["anchor"]} == {(VICTIM.key, reason)}
    assert "\n" not in failures[0]["message"]
    assert done.ended == "complete"
    assert len(done.rows("layer", "network")) > 10


def test_a_lost_device_ends_the_process(tmp_path: Path) -> None:
    error = MeasurementError("illegal access", reason="DeviceLost")
    with pytest.raises(DeviceLostError, match="illegal access"):
        Measured(tmp_path, TroubledBench(VICTIM, error=error))


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["SharedDevice", "NoPermission", "DiskFull"])
def test_what_concerns_all_rows_ends_the_session(tmp_path: Path, reason: str) -> None:
    with pytest.raises(MeasurementError, match="all of it"):
        Measured(tmp_path, TroubledBench(VICTIM, error=MeasurementError("all of it", reason=reason)))


def test_another_digest_than_the_index_has_is_flagged(tmp_path: Path) -> None:
    network = next(row for row in PLAN.rows if row.kind == "network")
    done = Measured(tmp_path, TroubledBench(network, digest="sha256:traced"))
    (row,) = [row for row in done.rows("network") if row["key"] == network.key]
    assert (row["digest"], row["digest_expected"]) == ("sha256:traced", network.digest)
    others = [row for row in done.rows("network") if row["key"] != network.key]
    assert {row["digest_expected"] for row in others} == {None}


GRAPH = PackedGraph(digest="sha256:traced", name="n", families=(), unsupported=0, contents=[])


def test_a_graph_is_written_once_before_the_first_row_that_has_it(tmp_path: Path) -> None:
    network = next(row for row in PLAN.rows if row.kind == "network")
    twice = replace(PLAN, rows=(network, replace(network, repeat=1)))
    done = Measured(tmp_path, TroubledBench(network, graph=GRAPH, digest="sha256:traced"), plan=twice)
    own = [row for row in done.rows() if row.get("digest") == "sha256:traced"]
    assert [row["kind"] for row in own] == ["graph", "network", "network"]
    assert own[0]["contents"] == GRAPH.columns()["contents"]


@pytest.mark.slow
def test_a_later_process_does_not_write_a_graph_of_the_same_file_again(tmp_path: Path) -> None:
    network = next(row for row in PLAN.rows if row.kind == "network")
    first = Measured(tmp_path, TroubledBench(network, graph=GRAPH, digest="sha256:traced"))
    (constants,) = (row for row in read_rows(first.folder).rows if isinstance(row, ConstantsRow))
    known = MeasurementRun(run_id="r", process=2, constants=constants, graphs=frozenset({"sha256:traced"}))
    both = Measured(tmp_path, TroubledBench(network, graph=GRAPH, digest="sha256:traced"), run=known)
    assert len(both.rows("graph")) == 1


def test_a_fault_of_our_own_is_told_apart_and_measured_again_later(tmp_path: Path, capfd: Any) -> None:
    class Broken(SimulatedBench):
        """Its sensor says nothing that a window can read: our own code stumbles over that."""

        def measure(self, prepared: Prepared, policy: Policy, counter: Any) -> Any:
            return replace(policy, longest_seconds=None) if prepared else failure_reason(None)  # type: ignore[arg-type]

    done = Measured(tmp_path, Broken("hopper", seed=0, faults={}), plan=replace(PLAN, rows=PLAN.rows[:1]))
    failures = [row for row in done.rows("failure") if not row["anchor"]]
    assert [row["reason"] for row in failures] == ["InternalError"]
    assert "Traceback" in capfd.readouterr().err
    assert History(read_rows(done.folder).rows).wants(PLAN.rows[0])


def test_a_first_network_that_is_slow_to_build_leaves_the_others_their_time(tmp_path: Path) -> None:
    plan = make_plan(HandmadeSuite(30, 200), PlanOptions(slices=("networks",)))
    done = Measured(tmp_path, TroubledBench(plan.rows[0], slow_seconds=40.0), plan=plan, seconds=200.0)
    assert done.ended == "budget"
    assert max(row["at_seconds"] for row in done.rows()) <= 200.0
    assert len(done.rows("network")) > 5


@pytest.mark.slow
def test_a_visitor_who_stays_long_does_not_make_a_row_overrun_its_time(tmp_path: Path) -> None:
    bench = SimulatedBench("hopper", seed=0, faults={"foreign-process": "100-125"})
    done = Measured(tmp_path, bench, plan=replace(PLAN, closing=()), seconds=126.0, closing=False)
    assert any(row.get("invalid_reason") == "foreign process" for row in done.rows())
    assert max(row["at_seconds"] for row in done.rows()) <= 128.0


@pytest.mark.slow
def test_a_network_that_could_not_be_traced_has_no_digest_of_its_own(tmp_path: Path) -> None:
    network = next(row for row in PLAN.rows if row.kind == "network")
    done = Measured(tmp_path, TroubledBench(network, digest=None, untraced_reason="it steers"))
    (row,) = [row for row in done.rows("network") if row["key"] == network.key]
    assert (row["digest"], row["digest_expected"]) == (None, network.digest)


def test_nothing_is_expected_of_a_digest_in_half_precision(tmp_path: Path) -> None:
    plan = make_plan(HandmadeSuite(1, 1), PlanOptions(slices=("networks",), precision="bf16"))
    done = Measured(tmp_path, TroubledBench(plan.rows[0], digest="sha256:half"), plan=plan)
    (row,) = [row for row in done.rows("network") if row["key"] == plan.rows[0].key]
    assert (row["digest"], row["digest_expected"]) == ("sha256:half", None)


def test_a_capped_card_is_seen_in_the_rows(tmp_path: Path) -> None:
    hungry = [replace(row, forward_joules=5000 * row.forward_seconds) for row in PLAN.rows if row.kind == "network"]
    done = Measured(tmp_path, SimulatedBench("volta", seed=0, faults={}), plan=replace(PLAN, rows=tuple(hungry)))
    rows = done.rows("network")
    assert {row["power_limit_watts"] for row in rows} == {300.0}
    assert any("sw_power_cap" in row["throttle_reasons"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [115.0, 130.0, 150.0])
def test_no_row_ends_after_its_time_and_the_anchors_close(tmp_path: Path, seconds: float) -> None:
    plan = make_plan(HandmadeSuite(30, 200), PlanOptions(slices=("networks", "layers")))
    done = Measured(tmp_path, SimulatedBench("hopper", seed=0, faults={}), plan=plan, seconds=seconds)
    assert done.ended == "budget"
    assert max(row["at_seconds"] for row in done.rows()) <= seconds
    assert [row["anchor"] for row in done.rows("layer")][-12:] == ["end"] * 12


def test_a_card_without_a_counter_is_measured_by_its_power_reading(tmp_path: Path) -> None:
    plan = replace(PLAN, rows=PLAN.rows[:2])
    done = Measured(tmp_path, SimulatedBench("maxwell", seed=0, faults={}), plan=plan)
    assert {row["method"] for row in done.rows("layer", "network")} == {"power"}


def test_a_row_that_nothing_can_have_measured_is_written_as_invalid_and_not_tried_again(tmp_path: Path) -> None:
    """Else who fits the rows refuses it, and every later process measures it once more."""
    done = Measured(tmp_path, TroubledBench(VICTIM, finite="no", peak_memory_bytes=-1))
    found = read_rows(tmp_path)
    assert (found.refused, found.damaged, done.ended) == ((), (), "complete")
    (row,) = (row for row in done.rows(VICTIM.kind) if row["key"] == VICTIM.key)
    assert (row["valid"], row["invalid_reason"]) == (False, "refused")
    says = 'finite is "no": give true or false; peak_memory_bytes is -1: give a whole number from 0'
    assert row["message"].startswith(says)
    assert not History(found.rows).wants(VICTIM)


def test_what_runs_too_long_for_a_meter_on_the_same_processor_passes_a_check_unmetered(tmp_path: Path) -> None:
    class Silent(SimulatedBench):
        def measure(self, prepared: Prepared, policy: Policy, counter: Any) -> Any:
            raise MeasurementError("no update", reason="CounterSilent")

    plan = make_plan(HandmadeSuite(3, 10), PlanOptions(slices=("smoke",)))
    done = Measured(tmp_path, Silent("hopper", seed=0, faults={}), plan=plan, policy=CHECK)
    found = read_rows(tmp_path)
    assert {(row["valid"], row["invalid_reason"]) for row in done.rows("layer", "network")} == {(False, "unmetered")}
    assert {each.figure for each in smoke(found.rows)} == {"it ran, unmeasured"}
    assert {each.name: each.outcome for each in judge(found)}["valid rows"] == "holds"
    assert not any(map(History(found.rows).wants, plan.rows))
