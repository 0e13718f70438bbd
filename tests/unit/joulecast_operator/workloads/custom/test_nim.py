"""Test what is understood of a NIMService."""

from __future__ import annotations

from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.pods import pod_spec
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import kept


def test_secrets_and_claims_of_a_nim_are_those_of_its_pods() -> None:
    image = {"repository": "nvcr.io/nim/meta/llama-3.1-8b-instruct", "tag": "1", "pullSecrets": ["ngc", 3]}
    found = kept(custom.nim_service(image=image, draResources=[{"resourceClaimTemplateName": "cards"}]))
    assert discovery.pull_secrets(found) == ("ngc",)
    assert placement.claims(pod_spec(found)) == [(True, "cards")]
