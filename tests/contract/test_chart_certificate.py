"""Where the webhook's certificate comes from, as the chart renders it: one source at a time, and its exact rights."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.settings import load
from tests.contract.test_chart import (
    CERT_MANAGER,
    OUTSIDE,
    OWN,
    SECRET,
    environment,
    granted,
    pod_spec,
    render,
    rules,
    template,
)

NAME = "joulecast-webhook-certificate"
ALL_SOURCES = [OWN, SECRET, CERT_MANAGER, OUTSIDE, ("webhook.enabled=false",)]


def settings_of(values: tuple[str, ...], part: str) -> Any:
    (container,) = pod_spec(render(*values), part)["containers"]
    return load(container["args"][1:], environment(container))


def volume(values: tuple[str, ...], part: str, name: str) -> Any:
    return next((each for each in pod_spec(render(*values), part)["volumes"] if each["name"] == name), None)


def test_without_any_value_the_controller_makes_it() -> None:
    chosen = settings_of(OWN, "controller")
    assert (chosen.webhook_secret, chosen.webhook_configuration) == (NAME, "joulecast-webhook")
    assert chosen.webhook_names == ("joulecast-webhook.energy.svc", "joulecast-webhook.energy.svc.cluster.local")
    assert (chosen.webhook_certificate_days, chosen.webhook_authority_days) == (90, 365)
    assert settings_of(("webhook.certificate.days=60",), "controller").webhook_certificate_days == 60
    assert settings_of(("webhook.certificate=null",), "controller").webhook_certificate_days == 90
    assert settings_of(OWN, "webhook").webhook_await_certificate is True


def test_the_webhook_mounts_the_certificate_without_the_authoritys_key() -> None:
    mounted = volume(OWN, "webhook", "tls")["secret"]
    assert mounted["secretName"] == NAME
    assert mounted["optional"] is True, "pods start before the certificate is there"
    assert {item["key"] for item in mounted["items"]} == {"tls.crt", "tls.key"}


def test_the_secret_is_the_releases_and_empty() -> None:
    """So an uninstall takes it away and an upgrade has nothing to put into it."""
    secret = render(*OWN)["Secret", NAME]
    assert (secret["type"], secret["metadata"]["namespace"]) == ("Opaque", "energy")
    assert not {"data", "stringData"} & secret.keys()


def test_the_controller_may_write_that_secret_and_that_configuration() -> None:
    objects = render(*OWN)
    (named, made) = objects["Role", NAME]["rules"]
    assert named == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["get", "patch"]}
    assert made == {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    (configuration,) = objects["ClusterRole", NAME]["rules"]
    assert configuration["resourceNames"] == ["joulecast-webhook"]
    assert rules(objects, "ClusterRole", NAME) == granted(
        "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "get", "patch"
    )
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        (subject,) = objects[kind, NAME]["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": "joulecast-controller", "namespace": "energy"}
    for part in ("joulecast-controller", "joulecast-webhook"):
        assert rules(objects, "ClusterRole", part) == rules(render(*SECRET), "ClusterRole", part)


def test_a_policy_narrows_the_right_to_the_bundle() -> None:
    objects = render(*OWN)
    policy = objects["ValidatingAdmissionPolicy", "joulecast-ca-bundle-only"]["spec"]
    assert policy["failurePolicy"] == "Fail"
    (condition,) = policy["matchConditions"]
    assert condition["expression"].endswith('"system:serviceaccount:energy:joulecast-controller"')
    binding = objects["ValidatingAdmissionPolicyBinding", "joulecast-ca-bundle-only"]["spec"]
    assert binding == {"policyName": "joulecast-ca-bundle-only", "validationActions": ["Deny"]}


@pytest.mark.parametrize("values", ALL_SOURCES[1:])
def test_another_source_leaves_no_right_secret_or_policy(values: tuple[str, ...]) -> None:
    objects = render(*values)
    assert [key for key in objects if NAME in key[1] or "ca-bundle" in key[1]] == []
    assert settings_of(values, "controller").webhook_secret == ""
    expressions = [
        rule["expression"]
        for rule in objects["ValidatingAdmissionPolicy", "joulecast-controller-kinds"]["spec"]["validations"]
    ]
    assert not [text for text in expressions if "secrets" in text or "mutatingwebhook" in text]


@pytest.mark.parametrize(("values", "secret"), [(SECRET, "webhook-tls"), (CERT_MANAGER, "joulecast-webhook-tls")])
def test_a_certificate_of_another_source_is_shown_to_the_controller_without_its_key(
    values: tuple[str, ...], secret: str
) -> None:
    mounted = volume(values, "controller", "webhook-tls")["secret"]
    assert mounted == {"secretName": secret, "optional": True, "items": [{"key": "tls.crt", "path": "tls.crt"}]}
    chosen = settings_of(values, "controller")
    assert (chosen.webhook_public_certfile, chosen.webhook_deployment) == ("/webhook-tls/tls.crt", "joulecast-webhook")
    assert volume(values, "webhook", "tls")["secret"] == {"secretName": secret}
    assert settings_of(values, "webhook").webhook_await_certificate is False


@pytest.mark.parametrize("values", [OUTSIDE, ("webhook.enabled=false",)])
def test_a_webhook_elsewhere_is_nothing_to_the_controller(values: tuple[str, ...]) -> None:
    assert volume(values, "controller", "webhook-tls") is None
    chosen = settings_of(values, "controller")
    assert (chosen.webhook_public_certfile, chosen.webhook_deployment) == ("", "")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((*CERT_MANAGER, "webhook.certSecret=mine"), "/webhook/certSecret"),
        ((*CERT_MANAGER, *OUTSIDE), "/webhook/url"),
        ((*CERT_MANAGER, "webhook.caBundle=Q0E="), "/webhook/caBundle"),
        ((*OUTSIDE, "webhook.certSecret=mine"), "/webhook/certSecret"),
        (("webhook.caBundle=Q0E=",), "/webhook/caBundle"),
    ],
)
def test_values_that_contradict_each_other_are_refused_by_name(values: tuple[str, ...], named: str) -> None:
    done = template(*values)
    assert done.returncode != 0
    assert f"at '{named}': value must be ''" in done.stderr
