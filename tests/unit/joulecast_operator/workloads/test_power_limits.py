"""Test which power limit a workload's accelerators have: by its pods, by its nodes, or none."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import DEPLOYMENTS, NODES
from joulecast_operator.api.models import TargetReference
from joulecast_operator.api.products import PRODUCT_LABEL
from joulecast_operator.estimates.targets import facts_of
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import choice, discovery
from joulecast_operator.workloads.power_limits import NODE_LIMIT, POD_LIMIT, PowerLimit, invalid, power_limit
from joulecast_operator.workloads.verdict import verdict_on
from tests.unit.joulecast_operator.samples.workloads import H100, H200, deployment, estimate, row

BY_PODS, NOTHING = "podAnnotation", PowerLimit()


def limited(watts: str | None, **selector: str) -> dict[str, Any]:
    """Return a Deployment whose pod template asks for a limit."""
    found = deployment()
    template = found["spec"]["template"]
    template["spec"]["nodeSelector"] = selector
    if watts is not None:
        template["metadata"] = {"annotations": {POD_LIMIT: watts}}
    return found


def node(name: str, product: str, limit: str | None = None, **labels: str) -> dict[str, Any]:
    of_limit = {} if limit is None else {NODE_LIMIT: limit}
    return {"metadata": {"name": name, "labels": {PRODUCT_LABEL: product} | of_limit | labels}}


def test_the_pods_come_before_the_nodes() -> None:
    nodes = [node("a", H100, "400")]
    for each in (limited("350"), slim.workload(DEPLOYMENTS, limited("350"))):
        assert power_limit(each, nodes, [H100]) == PowerLimit(watts=350, source=BY_PODS)
    assert power_limit(limited(None), nodes, [H100]) == PowerLimit(watts=400, source="nodeLabel")
    assert power_limit(limited(""), [], [H100]) == NOTHING
    assert choice.wanted_by(limited(" 0350 "))["powerLimitWatts"] == ("350",)
    alike = [node("a", H100, "400"), node("b", H100, "0400")]
    assert power_limit(limited(None), alike, [H100]) == PowerLimit(watts=400, source="nodeLabel")


def test_only_nodes_that_may_run_the_pods_and_have_their_accelerators_count() -> None:
    nodes = [node("a", H100, "400", pool="x"), node("b", H100, "500", pool="y"), node("c", H200, "600", pool="x")]
    pods = limited(None, pool="x")
    assert power_limit(pods, nodes, [H100]) == PowerLimit(watts=400, source="nodeLabel")
    assert power_limit(pods, nodes, ["NVIDIA-L4"]) == NOTHING


@pytest.mark.parametrize(
    ("limits", "listed"), [(("400", None), "(400 W and none)"), (("1000", "400", "400"), "(400 W, 1000 W)")]
)
def test_no_limit_is_taken_of_nodes_that_differ(limits: tuple[str | None, ...], listed: str) -> None:
    nodes = [node(str(number), H100, limit) for number, limit in enumerate(limits)]
    found = power_limit(limited(None), nodes, [H100])
    assert isinstance(found, PowerLimit)
    assert (found.watts, found.source) == (None, None)
    assert listed in found.note
    assert found.note.endswith("name one in spec.workload.powerLimitWatts")


@pytest.mark.parametrize("written", ["0", "-1", "300W", "3.5", "١٠٠", "9" * 400])
def test_what_is_no_limit_is_told_with_the_way_out(written: str) -> None:
    by_pods = power_limit(limited(written), [], [H100])
    by_nodes = power_limit(limited(None), [node("n1", H100, written)], [H100])
    assert by_pods == invalid(limited(written))
    for found, where in ((by_pods, f"the annotation {POD_LIMIT} of"), (by_nodes, f"the label {NODE_LIMIT} of node n1")):
        assert isinstance(found, Wrong)
        assert (found.reason, found.message.startswith(where)) == ("InvalidPowerLimit", True)
        assert "give whole watts from 1 to 100000" in found.message


def test_a_changed_limit_is_a_changed_input_and_a_requirement_of_a_result() -> None:
    assert discovery.inputs_hash(limited("300")) != discovery.inputs_hash(limited("301"))
    assert choice.wanted_by(limited("300"))["powerLimitWatts"] == ("300",)
    assert "powerLimitWatts" not in choice.wanted_by(limited(None))


def test_a_workload_under_a_limit_takes_no_result_of_another_one() -> None:
    other = verdict_on(limited("300"), estimate(), "shop")
    assert other is not None
    assert (other.state, other.reason) == ("Failed", "PowerLimitNotEstimated")
    same = verdict_on(limited("300"), estimate(rows=[row(powerLimitWatts=300)]), "shop")
    assert same is not None
    assert same.state == "Ready"
    wrong = verdict_on(limited("much"), estimate(), "shop")
    assert wrong is not None
    assert wrong.reason == "InvalidPowerLimit"


def test_until_an_estimate_has_followed_a_changed_limit_its_forecast_is_being_made() -> None:
    own = estimate(rows=[row(powerLimitWatts=300)])
    own["spec"] = {"targetRef": {"kind": "Deployment", "name": "web"}}
    states = [found.state for watts in ("300", "301") if (found := verdict_on(limited(watts), own, "shop"))]
    assert states == ["Ready", "Pending"]


def test_the_cap_of_an_estimate_that_targets_it_takes_the_place_of_the_limit() -> None:
    for cap in ({"powerLimitWatts": 200}, {"clockMHz": 900}):
        own = estimate(rows=[row(**cap)])
        own["spec"] = {"targetRef": {"kind": "Deployment", "name": "web"}, "workload": cap}
        for written in ("300", "much"):
            found = verdict_on(limited(written), own, "shop")
            assert found is not None
            assert found.state == "Ready"


def test_the_status_names_the_limit_and_what_says_so() -> None:
    index, target = Index(), TargetReference.model_validate({"name": "web"})
    index.put(NODES, node("a", H100, "400"))
    index.put(DEPLOYMENTS, limited("350"))
    assert (facts_of(target, "shop", index) or {})["powerLimit"] == {"watts": 350, "source": BY_PODS}
    newer = limited(None)
    newer["metadata"]["resourceVersion"] = "2"
    index.put(DEPLOYMENTS, newer)
    assert (facts_of(target, "shop", index) or {})["powerLimit"] == {"watts": 400, "source": "nodeLabel"}
    index.put(NODES, node("b", H100, "500"))
    assert (facts_of(target, "shop", index) or {})["powerLimit"].keys() == {"message"}
