"""Workloads by forecast power, and sums of it."""

from __future__ import annotations

from typing import Any

from joulecast_operator.kubectl.ranking import ranked, ranking_document
from joulecast_operator.kubectl.standing import Standing
from tests.unit.joulecast_operator.samples.workloads import A100, H200, generation, row


def standing(name: str, found: dict[str, Any] | None, *, pods: int | None = 2, rate: int | None = None) -> Standing:
    estimate = {"spec": {"workload": {} if rate is None else {"requestsPerSecond": rate}}}
    state = "Pending" if found is None else "Ready"
    return Standing(
        kind="Deployment",
        namespace="shop",
        name=name,
        state=state,
        sentence="",
        pods=pods,
        replicas=pods,
        estimate=estimate,
        row=found,
    )


RANKING = ranked(
    [
        standing("waits", None),
        standing("small", row(A100)),
        standing("large", row(H200), pods=5),
        standing("rated", generation(H200, joules=3.0, idlePowerWatts=0.0), rate=10),
        standing("busier", generation(H200, joules=3.0, idlePowerWatts=0.0), rate=20),
        standing("uncounted", row(A100), pods=None),
    ],
    {"Job": "it may not be read"},
)


def test_watts_at_a_load_come_first_then_the_power_of_pods_then_what_has_no_forecast() -> None:
    assert [each.name for each in RANKING.standings] == ["busier", "rated", "large", "small", "uncounted", "waits"]


def test_watts_at_a_load_and_watts_of_busy_pods_are_added_up_apart() -> None:
    total = RANKING.total
    assert (total.workloads, total.with_load, total.pods) == (5, 2, 2 + 5 + 2 + 2)
    assert total.watts == 180.0
    assert total.busy_watts == 2 * 341.2 + 5 * 341.2 + 2 * 2 * 1100.0


def test_sums_are_by_accelerator_the_most_power_first() -> None:
    sums = RANKING.by_accelerator
    assert list(sums) == [H200, A100]
    assert (sums[A100].workloads, sums[A100].with_load, sums[A100].busy_watts) == (2, 0, 2 * 341.2)
    assert sum(each.busy_watts for each in sums.values()) == RANKING.total.busy_watts


def test_the_document_has_all_of_it() -> None:
    found = ranking_document(RANKING)
    assert [each["name"] for each in found["workloads"]] == [each.name for each in RANKING.standings]
    assert found["total"]["watts"] == 180.0
    assert found["byAccelerator"][H200]["workloads"] == 3
    assert found["unread"] == {"Job": "it may not be read"}
    assert "watts" not in found["workloads"][2], "a figure that is not known is left out, and is no 0"
