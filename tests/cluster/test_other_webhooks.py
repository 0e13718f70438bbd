"""Test that another mutating webhook, before or after joulecast's, does not make joulecast write in a loop."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tests.cluster.another_webhook import (
    AFTER,
    BEFORE,
    COPIED,
    COUNT,
    another_webhook,
    copying,
    counting,
    pinning,
    stripping,
)
from tests.cluster.controlled import Cluster, metrics
from tests.cluster.release import deployment
from tests.cluster.settled import PASSES, Shop
from tests.harness.environment import ROOT
from tests.harness.installation import NAMESPACE

RIVAL_EDITS = 14


def label(shop: Shop, value: str) -> None:
    """Update the Deployment as a user."""
    shop.cluster.plane.kubectl("label", "deployment/web", "-n", shop.namespace, "--overwrite", f"a={value}")


def late(shop: Shop) -> None:
    """Create the Deployment while joulecast's webhook is away, so that only the controller can annotate it."""
    shop.cluster.installation.webhook.kill()
    try:
        shop.cluster.plane.apply(deployment("web", shop.namespace, image=shop.image))
        shop.until_rolled_out()
    finally:
        shop.cluster.installation.webhook.start()


def other_annotations(shop: Shop) -> dict[str, str]:
    return {key: value for key, value in shop.annotations().items() if key.startswith("other.example/")}


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_a_webhook_that_edits_an_annotation_at_each_update_gets_no_write_a_sweep_more(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    """The policy denies the controller's write, in which the other webhook has changed another annotation, too."""
    with another_webhook(shop.cluster.plane, tmp_path, name, shop.namespace, counting()):
        late(shop)
        shop.cluster.until(lambda: shop.events("AnnotationsRefused"), "the refusal is told")
        before = shop.writes()
        shop.passed()
        assert shop.writes() - before <= PASSES + 1, "one try a sweep"
        (said,) = shop.events("AnnotationsRefused")
        assert "exempt joulecast's accounts from it, as docs/gitops.md shows" in said
        label(shop, "1")
        assert shop.is_right(), "joulecast's webhook writes at a user's update, whatever the order"
        assert COUNT in other_annotations(shop)
        version, before = shop.until_settled(), shop.writes()
        shop.passed()
        assert (shop.version(), shop.writes()) == (version, before)


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_a_webhook_that_exempts_the_controller_lets_its_writes_through(shop: Shop, tmp_path: Path, name: str) -> None:
    condition = documented_condition()
    with another_webhook(shop.cluster.plane, tmp_path, name, shop.namespace, counting(), conditions=[condition]):
        late(shop)
        shop.until_right()
        version, before = shop.until_settled(), shop.writes()
        shop.passed()
        assert (shop.version(), shop.writes()) == (version, before)
        assert shop.events("AnnotationsRefused") == []


def documented_condition() -> str:
    """Return the expression that the documentation gives to other webhooks, with the namespace of this release."""
    page = (ROOT / "docs" / "gitops.md").read_text()
    block = page.partition("matchConditions:")[2].partition("```")[0]
    (condition,) = yaml.safe_load(f"matchConditions:{block}")["matchConditions"]
    expression: str = condition["expression"]
    assert expression.count(":joulecast:") == 2
    return expression.replace(":joulecast:", f":{NAMESPACE}:")


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_a_webhook_that_copies_labels_into_annotations_is_no_rival(shop: Shop, tmp_path: Path, name: str) -> None:
    with another_webhook(shop.cluster.plane, tmp_path, name, shop.namespace, copying):
        shop.cluster.plane.apply(deployment("web", shop.namespace, image=shop.image))
        for value in ("1", "2"):
            label(shop, value)
            assert shop.is_right()
            assert other_annotations(shop)[COPIED + "a"] == value
        version, before = shop.until_settled(), shop.writes()
        shop.passed()
        assert (shop.version(), shop.writes()) == (version, before)


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_a_webhook_that_strips_annotations_gets_few_writes_and_is_told_of(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    with another_webhook(shop.cluster.plane, tmp_path, name, shop.namespace, stripping):
        late(shop)
        shop.cluster.until(lambda: shop.events("AnnotationsUndone"), "the strife is told")
        shop.passed()
        assert shop.writes() == 1, "a write that is stripped at once is not repeated before a pause"
        assert len(shop.events("AnnotationsUndone")) == 1
        assert contested(shop.cluster) >= 1
        label(shop, "1")
        assert shop.is_right(), "joulecast's webhook has the last word at a user's update"
        version, before = shop.until_settled(), shop.writes()
        shop.passed()
        assert (shop.version(), shop.writes()) == (version, before)


def contested(cluster: Cluster) -> float:
    (line,) = [
        line
        for line in metrics(cluster.installation.controller_url).splitlines()
        if line.startswith("joulecast_contested_workloads ")
    ]
    return float(line.rpartition(" ")[2])


def test_a_client_that_undoes_each_write_gets_a_few_and_its_name_is_told(shop: Shop) -> None:
    plane = shop.cluster.plane
    plane.apply(deployment("web", shop.namespace, image=shop.image))
    shop.until_right()
    shop.cluster.installation.webhook.kill()
    try:
        before = shop.writes()
        forged = json.dumps({"metadata": {"annotations": {"joulecast.dev/joules-per-batch": "0.001"}}})
        patch = ("patch", "deployment/web", "-n", shop.namespace, "--type=merge", "-p", forged, "--field-manager=rival")
        for _ in range(RIVAL_EDITS):
            plane.kubectl(*patch)
            shop.passed(1)
        (said,) = shop.events("AnnotationsUndone")
        assert '"rival"' in said
        assert shop.writes() - before < RIVAL_EDITS / 2, "without pauses it would be one for each edit"
    finally:
        shop.cluster.installation.webhook.start()
    shop.cluster.until(lambda: corrected(shop), "an update goes to the webhook, which is back")


def corrected(shop: Shop) -> bool:
    """Update the Deployment as a user, and tell whether the same request corrected its forecast."""
    label(shop, uuid4().hex[:8])
    return shop.is_right()


def test_an_image_that_a_later_webhook_replaces_is_forecast_as_replaced(shop: Shop, tmp_path: Path) -> None:
    """The webhook of joulecast is called again after the other one, and sees the image that will run."""
    with another_webhook(shop.cluster.plane, tmp_path, AFTER, shop.namespace, pinning(shop.image)):
        shop.cluster.plane.apply(deployment("web", shop.namespace, image="registry.invalid/alias:1"))
        assert shop.is_right()
        shop.until_settled()
        assert shop.writes() == 0
