"""What the chart's NetworkPolicies let through, read as a network plugin reads them: what none names is dropped."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from joulecast.sources.registries.address import DENIED_NETWORKS
from tests.contract.test_chart import OUTSIDE, SECRET, Object, documents, egress, pod_spec, render, template

API_SERVER = ("networkPolicy.apiServer.cidrs={203.0.113.10/32}", "networkPolicy.apiServer.ports={6443}")
CONTROLLER = {
    "app.kubernetes.io/name": "joulecast",
    "app.kubernetes.io/instance": "joulecast",
    "app.kubernetes.io/component": "controller",
}
WEBHOOK = CONTROLLER | {"app.kubernetes.io/component": "webhook"}
UNINSTALL = CONTROLLER | {"app.kubernetes.io/component": "uninstall"}
CALIBRATION = {"app.kubernetes.io/managed-by": "joulecast", "app.kubernetes.io/component": "calibration"}


class Plugin:
    """Decides as networking.k8s.io/v1 has it, over the policies of one namespace."""

    def __init__(self, *values: str, namespace: str = "energy") -> None:
        done = template(*SECRET, *API_SERVER, *values)
        assert done.returncode == 0, done.stderr
        found = [each for each in documents(done.stdout) if each["kind"] == "NetworkPolicy"]
        self.policies = [each for each in found if each["metadata"]["namespace"] == namespace]

    def sends(self, pod: dict[str, str], address: str, port: int) -> bool:
        return self._passes(pod, "Egress", "to", address, port)

    def takes(self, pod: dict[str, str], address: str | None, port: str) -> bool:
        """``address``: None for a pod of the cluster."""
        return self._passes(pod, "Ingress", "from", address, port)

    def _passes(self, pod: dict[str, str], direction: str, peers: str, address: str | None, port: int | str) -> bool:
        mine = [each["spec"] for each in self.policies if self._selects(each["spec"], pod)]
        concerned = [each for each in mine if direction in each["policyTypes"]]
        rules = [rule for each in concerned for rule in each.get(direction.lower()) or ()]
        return not concerned or any(_holds_port(rule, port) and _holds_peer(rule.get(peers), address) for rule in rules)

    @staticmethod
    def _selects(spec: Object, pod: dict[str, str]) -> bool:
        return bool(spec["podSelector"]["matchLabels"].items() <= pod.items())


def _holds_port(rule: Object, port: int | str) -> bool:
    return not rule.get("ports") or port in [each["port"] for each in rule["ports"]]


def _holds_peer(peers: list[Object] | None, address: str | None) -> bool:
    return not peers or any(_is_peer(peer, address) for peer in peers)


def _is_peer(peer: Object, address: str | None) -> bool:
    if address is None:
        return peer == {"namespaceSelector": {}}
    if "ipBlock" not in peer:
        return False
    block = peer["ipBlock"]
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(each) for each in block.get("except") or ()
    )


@pytest.mark.parametrize(
    ("address", "port", "passes"),
    [
        ("203.0.113.10", 6443, True),  # the API server
        ("198.51.100.7", 443, True),  # a registry
        ("198.51.100.7", 5000, True),
        ("2001:db8::7", 443, True),
        ("10.20.0.7", 443, True),  # one inside the company
        ("10.96.0.10", 53, True),  # names
        ("169.254.169.254", 80, False),
        ("fd00:ec2::254", 80, False),
        ("10.96.0.77", 443, False),  # a Service
        ("10.244.3.4", 8080, False),  # a pod
    ],
)
def test_where_the_controller_may_go(address: str, port: int, passes: bool) -> None:
    assert Plugin().sends(CONTROLLER, address, port) is passes


@pytest.mark.parametrize("pod", [WEBHOOK, UNINSTALL, CALIBRATION])
def test_the_others_talk_to_the_api_server_alone(pod: dict[str, str]) -> None:
    plugin = Plugin()
    assert plugin.sends(pod, "203.0.113.10", 6443)
    for address, port in (("198.51.100.7", 443), ("203.0.113.10", 443), ("10.96.0.10", 53), ("169.254.169.254", 80)):
        assert not plugin.sends(pod, address, port)


def test_who_may_ask_what() -> None:
    plugin = Plugin()
    assert plugin.takes(WEBHOOK, "198.51.100.7", "https")
    assert plugin.takes(CONTROLLER, None, "metrics")
    assert plugin.takes(WEBHOOK, None, "metrics")
    for pod in (CONTROLLER, WEBHOOK):
        assert not plugin.takes(pod, "198.51.100.7", "metrics"), "nobody outside the cluster"
    for pod in (UNINSTALL, CALIBRATION):
        assert not plugin.takes(pod, None, "metrics")
        assert not plugin.takes(pod, None, "https")
    narrow = Plugin("networkPolicy.metricsFrom=null", "networkPolicy.webhookFrom[0].ipBlock.cidr=203.0.113.10/32")
    assert not narrow.takes(CONTROLLER, None, "metrics")
    assert not narrow.takes(WEBHOOK, "198.51.100.7", "https")
    assert narrow.takes(WEBHOOK, "203.0.113.10", "https")


def test_values_open_more() -> None:
    rule = "networkPolicy.extraEgress.{}[0].to[0].ipBlock.cidr=10.96.0.77/32"
    for part, pod in (("controller", CONTROLLER), ("webhook", WEBHOOK), ("calibration", CALIBRATION)):
        assert Plugin(rule.format(part)).sends(pod, "10.96.0.77", 5000)
    own = Plugin("networkPolicy.registries.cidrs={10.20.0.0/16}", "networkPolicy.registries.ports={443}")
    assert own.sends(CONTROLLER, "10.20.0.7", 443)
    assert not own.sends(CONTROLLER, "10.20.0.7", 80)
    assert not own.sends(CONTROLLER, "198.51.100.7", 443)
    assert not Plugin("networkPolicy.clusterRanges={10.20.0.0/16}").sends(CONTROLLER, "10.20.0.7", 443)


def test_the_proxys_port_is_open() -> None:
    assert not Plugin().sends(CONTROLLER, "10.244.3.4", 3128)
    assert Plugin("proxy.https=http://proxy.corp:3128").sends(CONTROLLER, "10.244.3.4", 3128)
    assert Plugin("proxy.http=http://proxy.corp").sends(CONTROLLER, "10.244.3.4", 80)


def test_what_fetchers_are_denied_is_denied_by_the_network_too() -> None:
    (blocks,) = [
        rule["to"] for rule in egress(render(*SECRET), "joulecast-controller") if "ipBlock" in str(rule.get("to"))
    ]
    excepted = {each for block in blocks for each in block["ipBlock"]["except"]}
    missing = [
        denied
        for denied in map(ipaddress.ip_network, DENIED_NETWORKS)
        if not any(_within(denied, ipaddress.ip_network(each)) for each in excepted)
    ]
    assert missing == [], "of DENIED_NETWORKS in the chart's networkPolicy.clusterRanges"


def _within(inner: Any, outer: Any) -> bool:
    return inner.version == outer.version and bool(inner.subnet_of(outer))


def test_calibrations_are_shut_in_wherever_they_run() -> None:
    plugin = Plugin("calibration.namespaces={lab}", namespace="lab")
    assert plugin.sends(CALIBRATION, "203.0.113.10", 6443)
    assert not plugin.sends(CALIBRATION, "198.51.100.7", 443)
    assert plugin.sends({"app": "others"}, "198.51.100.7", 443), "whoever else is in that namespace is free"


def test_policies_select_the_pods_that_the_chart_makes() -> None:
    objects = render(*SECRET)
    for part, labels in (("controller", CONTROLLER), ("webhook", WEBHOOK)):
        template_ = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]
        assert labels.items() <= template_["metadata"]["labels"].items()
        ports = [port["name"] for port in pod_spec(objects, part)["containers"][0]["ports"]]
        assert "metrics" in ports
        assert ("https" in ports) is (part == "webhook")
    assert UNINSTALL.items() <= objects["Job", "joulecast-uninstall"]["spec"]["template"]["metadata"]["labels"].items()


def test_without_them_none_is_rendered() -> None:
    assert [key for key in render(*SECRET, "networkPolicy.enabled=false") if key[0] == "NetworkPolicy"] == []
    assert ("NetworkPolicy", "joulecast-webhook") not in render(*OUTSIDE)
