"""What the chart renders, with real Helm and no cluster."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from joulecast_operator.__main__ import COMMANDS
from joulecast_operator.api import crds
from joulecast_operator.api.kinds import ANNOTATED, CUSTOM, OFFERS
from joulecast_operator.calibrations.allowed import Allowed
from joulecast_operator.settings import PREFIX, Settings, load
from tests.harness import binaries
from tests.harness.environment import ROOT

CHART = ROOT / "charts" / "joulecast"
OUTSIDE = ("webhook.url=https://127.0.0.1:9443/admit",)
SECRET = ("webhook.certSecret=webhook-tls", "webhook.caBundle=Q0E=")
CERT_MANAGER = ("webhook.certManager.enabled=true",)
OWN: tuple[str, ...] = ()
"""Nothing: the controller makes the certificate."""

Object = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C reads the definitions in the chart ten times faster."""


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(binaries.program("helm")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@cache
def template(*values: str, release: str = "joulecast", namespace: str = "energy") -> subprocess.CompletedProcess[str]:
    sets = [part for value in values for part in ("--set", value)]
    return helm("template", release, str(CHART), "-n", namespace, *sets)


def documents(rendered: str) -> list[Object]:
    return [document for document in yaml.load_all(rendered, Loader=LOADER) if document]


def render(*values: str, **options: str) -> dict[tuple[str, str], Object]:
    """Everything rendered, by kind and name."""
    done = template(*values, **options)
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects), "two objects of one kind and name"
    return found


def pod_specs(objects: dict[tuple[str, str], Object]) -> list[Object]:
    templates = [each["spec"]["template"] for (kind, _), each in objects.items() if kind in ("Deployment", "Job")]
    return [each["spec"] for each in templates]


def rules(objects: dict[tuple[str, str], Object], kind: str, name: str) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of a role."""
    return {
        (group, resource, verb)
        for rule in objects[kind, name]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted(group: str, resource: str, *verbs: str) -> set[tuple[str, str, str]]:
    return {(group, resource, verb) for verb in verbs}


def workloads(*verbs: str) -> set[tuple[str, str, str]]:
    """Return rights to the kinds of workloads that are annotated."""
    return {right for kind in ANNOTATED.values() for right in granted(kind.group, kind.plural, *verbs)}


REVIEWS = granted("authentication.k8s.io", "tokenreviews", "create") | granted(
    "authorization.k8s.io", "subjectaccessreviews", "create"
)
"""What asking who may get /metrics takes."""


@pytest.mark.parametrize("values", [OWN, OUTSIDE, SECRET, CERT_MANAGER, ("webhook.enabled=false",)])
def test_helm_finds_nothing_to_complain_of(values: tuple[str, ...]) -> None:
    done = helm("lint", "--strict", str(CHART), *[f"--set={value}" for value in values])
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("webhook.replicas=0", "/webhook/replicas"),
        ("watchNamespaces={Team A}", "/watchNamespaces/0"),
        ("watchNamespaces={a,a}", "/watchNamespaces"),
        ("statusOnly=yes", "/statusOnly"),
        ("webhook.url=http://plain", "/webhook/url"),
        ("hub.endpoint=http://plain", "/hub/endpoint"),
        ("hub.endpoint=https://user:password@hub.example", "/hub/endpoint"),
        ("objects.endpoint=http://plain", "/objects/endpoint"),
        ("objects.endpoint=https://user:password@s3.example", "/objects/endpoint"),
        ("objects.region=EU Central", "/objects/region"),
        ("image.digest=latest", "/image/digest"),
        ("webhok.enabled=true", "webhok"),
        ("controller.replicas=2", "replicas"),
        ("metrics.port=80", "/metrics/port"),
        ("webhook.certificate.days=7", "/webhook/certificate/days"),  # the alert comes a week before the end
        ("webhook.certificate.authorityDays=30", "/webhook/certificate/authorityDays"),
    ],
)
def test_a_wrong_value_is_named(value: str, named: str) -> None:
    done = template(*OUTSIDE, value)
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize("value", ["metrics.port=9443", "metrics.port=8081", "metrics.healthPort=9443"])
def test_one_port_for_two_listeners_is_refused(value: str) -> None:
    done = template(*OUTSIDE, value)
    assert done.returncode != 0
    assert f"{value.replace('=', ' is ')}, which" in done.stderr
    assert "give another port" in done.stderr


def test_the_schema_is_sound_and_knows_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def missing(value: Any, node: Object, path: str) -> list[str]:
        if not isinstance(value, dict) or "properties" not in node:
            return []
        unknown = [f"{path}.{key}" for key in value.keys() ^ node["properties"].keys() if f"{path}.{key}" != ".global"]
        shared = value.keys() & node["properties"].keys()
        return unknown + [
            each for key in shared for each in missing(value[key], node["properties"][key], f"{path}.{key}")
        ]

    parts, keys = ("webhook", "metrics"), ("group", "kind", "name")
    issuer = {f".{part}.certManager.issuerRef.{key}" for part in parts for key in keys}
    selector = {".webhook.namespaceSelector." + key for key in ("matchLabels", "matchExpressions")}
    assert set(missing(values, schema, "")) == issuer | selector  # empty by default


def test_every_value_is_explained_on_its_line_or_above_it() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    mute = [
        line
        for above, line, below in zip(["", *lines], lines, [*lines[1:], ""], strict=False)
        if re.match(r" *[A-Za-z]+:", line) and "#" not in line and not above.lstrip().startswith("#")
        if indent(below) <= indent(line)  # else it is the parent of those that are explained
    ]
    assert [line for line in mute if not line.lstrip().startswith(("requests:", "limits:"))] == []


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def test_the_webhook_may_read_estimates_and_plans_and_nothing_else() -> None:
    objects = render(*SECRET)
    expected = granted("joulecast.dev", "inferenceenergyestimates", "get", "list", "watch")
    expected |= granted("joulecast.dev", "energyplans", "get", "list", "watch")
    assert rules(objects, "ClusterRole", "joulecast-webhook") == expected | REVIEWS
    assert ("Role", "joulecast-webhook") not in objects


def test_the_controller_has_exactly_its_rights() -> None:
    objects = render(*SECRET)
    reads = ("get", "list", "watch")
    expected = granted("joulecast.dev", "inferenceenergyestimates", *reads, "create", "delete")
    expected |= granted("joulecast.dev", "acceleratorenergyprofiles", *reads)
    expected |= granted("joulecast.dev", "energyplans", *reads)
    expected |= granted("joulecast.dev", "inferenceenergyestimates/status", "patch")
    expected |= granted("joulecast.dev", "energyplans/status", "patch")
    expected |= granted("joulecast.dev", "acceleratorenergyprofiles/status", "patch")
    expected |= granted("joulecast.dev", "energysites", *reads) | granted(
        "joulecast.dev", "energysites/status", "patch"
    )
    expected |= granted("", "nodes", *reads) | granted("", "namespaces", *reads)
    expected |= granted("networking.k8s.io", "servicecidrs", "list")
    for kind in (*CUSTOM.values(), *OFFERS.values()):
        expected |= granted(kind.group, kind.plural, *reads)
    expected |= workloads(*reads, "patch")
    expected |= granted("", "events", "create")
    assert rules(objects, "ClusterRole", "joulecast-controller") == expected | REVIEWS
    insecure = render(*SECRET, "metrics.secure=false")
    assert rules(insecure, "ClusterRole", "joulecast-controller") == expected
    assert rules(objects, "Role", "joulecast-controller") == granted("", "configmaps", "get")
    calibrations = granted("joulecast.dev", "energycalibrations", *reads)
    calibrations |= granted("joulecast.dev", "energycalibrations/status", "patch")
    calibrations |= granted("joulecast.dev", "acceleratorenergyprofiles", "create", "patch")
    assert rules(objects, "ClusterRole", "joulecast-calibration") == calibrations
    runs = granted("batch", "jobs", "get", "create", "delete") | granted("", "pods", "list")
    runs |= granted("", "events", "list")
    runs |= granted("", "configmaps", "get", "create", "patch") | granted("", "serviceaccounts", "get", "create")
    runs |= granted("rbac.authorization.k8s.io", "roles", "get", "create")
    runs |= granted("rbac.authorization.k8s.io", "rolebindings", "get", "create")
    assert rules(objects, "Role", "joulecast-calibration") == runs
    assert objects["Role", "joulecast-calibration"]["metadata"]["namespace"] == "energy"
    assert objects["Role", "joulecast-controller"]["metadata"]["namespace"] == "energy"


def test_the_uninstall_job_has_exactly_its_rights() -> None:
    assert rules(render(*SECRET), "ClusterRole", "joulecast-uninstall") == workloads("list", "patch")


def test_only_who_is_bound_to_the_readers_role_may_get_the_metrics() -> None:
    reader = {"rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]}
    assert render(*SECRET)["ClusterRole", "joulecast-metrics-reader"].items() >= reader.items()
    assert ("ClusterRole", "joulecast-metrics-reader") not in render(*SECRET, "metrics.secure=false")


def test_a_pod_monitor_scrapes_with_a_token_of_its_own_account() -> None:
    plain = render(*SECRET)
    objects = render(*SECRET, "metrics.podMonitor.enabled=true")
    (endpoint,) = objects["PodMonitor", "joulecast"]["spec"]["podMetricsEndpoints"]
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", {"insecureSkipVerify": True})
    assert endpoint["authorization"]["credentials"] == {"name": "joulecast-scraper-token", "key": "token"}
    secret = objects["Secret", "joulecast-scraper-token"]
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "joulecast-scraper"}
    binding = objects["ClusterRoleBinding", "joulecast-scraper"]
    assert binding["roleRef"]["name"] == "joulecast-metrics-reader"
    assert [subject["name"] for subject in binding["subjects"]] == ["joulecast-scraper"]
    assert {kind for kind, _ in objects.keys() - plain.keys()} == {
        "PodMonitor",
        "ServiceAccount",
        "Secret",
        "ClusterRoleBinding",
    }
    own = render(*SECRET, "metrics.podMonitor.enabled=true", "metrics.podMonitor.tokenSecret.name=mine")
    assert own.keys() - plain.keys() == {("PodMonitor", "joulecast")}
    insecure = render(*SECRET, "metrics.podMonitor.enabled=true", "metrics.secure=false")
    assert "scheme" not in insecure["PodMonitor", "joulecast"]["spec"]["podMetricsEndpoints"][0]


@pytest.mark.parametrize(
    ("values", "secret"),
    [(("metrics.certSecret=mine",), "mine"), (("metrics.certManager.enabled=true",), "joulecast-metrics-tls")],
)
def test_the_certificate_of_the_metrics_may_come_from_a_secret(values: tuple[str, ...], secret: str) -> None:
    objects = render(*SECRET, *values, "metrics.podMonitor.enabled=true")
    for part in ("controller", "webhook"):
        pod = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        settings = load(container["args"][1:], environment(container))
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert settings.metrics_certfile == f"{mounts['metrics-tls']}/tls.crt"
        assert settings.metrics_keyfile == f"{mounts['metrics-tls']}/tls.key"
        assert volumes["metrics-tls"]["secret"] == {"secretName": secret}
    (endpoint,) = objects["PodMonitor", "joulecast"]["spec"]["podMetricsEndpoints"]
    if secret != "mine":
        certificate = objects["Certificate", "joulecast-metrics"]["spec"]
        assert certificate["secretName"] == secret
        assert certificate["dnsNames"] == [endpoint["tlsConfig"]["serverName"]]


def test_plain_metrics_are_announced_to_everybody() -> None:
    for values, announced in (((), None), (("metrics.secure=false",), "8443")):
        objects = render(*SECRET, *values)
        for part in ("controller", "webhook"):
            template = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]
            assert template["metadata"].get("annotations", {}).get("prometheus.io/port") == announced
            (container,) = template["spec"]["containers"]
            assert load(container["args"][1:], environment(container)).metrics_insecure is (announced is not None)


def test_the_api_servers_client_certificate_is_asked_for_where_its_authority_is_named() -> None:
    values = ("webhook.clientAuthority.secret=api-server", "webhook.clientAuthority.names={kube-apiserver}")
    pod = render(*SECRET, *values)["Deployment", "joulecast-webhook"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = load(container["args"][1:], environment(container))
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings.webhook_client_ca_file == f"{mounts['client-authority']}/ca.crt"
    assert settings.webhook_client_names == ("kube-apiserver",)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["client-authority"]["secret"] == {"secretName": "api-server"}


def test_users_get_our_kinds_through_the_clusters_own_roles() -> None:
    objects = render(*SECRET)
    reads = ("get", "list", "watch")
    writes = ("create", "update", "patch", "delete", "deletecollection")
    own = ("inferenceenergyestimates", "energyplans", "energycalibrations")
    of_the_cluster = ("acceleratorenergyprofiles", "energysites")
    seen = {right for kind in (*own, *of_the_cluster) for right in granted("joulecast.dev", kind, *reads)}
    statuses = (f"{kind}/status" for kind in (*own, *of_the_cluster))
    seen |= {right for status in statuses for right in granted("joulecast.dev", status, "get")}
    made = {right for kind in own for right in granted("joulecast.dev", kind, *reads, *writes)}
    assert rules(objects, "ClusterRole", "joulecast-view") == seen
    assert rules(objects, "ClusterRole", "joulecast-edit") == made
    assert aggregated(objects, "joulecast-view") == {"view", "edit", "admin"}
    assert aggregated(objects, "joulecast-edit") == {"edit", "admin"}
    left_out = render(*SECRET, "rbac.aggregateClusterRoles=false")
    assert objects.keys() - left_out.keys() == {("ClusterRole", "joulecast-view"), ("ClusterRole", "joulecast-edit")}


def aggregated(objects: dict[tuple[str, str], Object], name: str) -> set[str]:
    """The cluster's own roles that take a role's rules."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = objects["ClusterRole", name]["metadata"]["labels"]
    return {key.removeprefix(prefix) for key, value in labels.items() if key.startswith(prefix) and value == "true"}


def test_each_role_is_bound_to_its_account_and_those_of_tenants_to_none() -> None:
    objects = render(*SECRET)
    bound = {}
    for (kind, _), each in objects.items():
        if kind in ("ClusterRoleBinding", "RoleBinding"):
            (subject,) = each["subjects"]
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "energy")
            bound[each["roleRef"]["kind"], each["roleRef"]["name"]] = subject["name"]
    roles = {key for key in objects if key[0] in ("ClusterRole", "Role")}
    free = ("pull-secrets", "model-configurations", "view", "edit", "metrics-reader")
    assert roles - bound.keys() == {("ClusterRole", f"joulecast-{name}") for name in free}
    accounts = {name: name for _, name in bound} | {"joulecast-calibration": "joulecast-controller"}
    assert all(accounts[name] == account for (_, name), account in bound.items())
    readable = granted("", "secrets", "get") | granted("", "serviceaccounts", "get")
    assert rules(objects, "ClusterRole", "joulecast-pull-secrets") == readable
    assert rules(objects, "ClusterRole", "joulecast-model-configurations") == granted("", "configmaps", "get")


def test_the_hub_is_off_until_its_address_is_set() -> None:
    def arguments(*values: str) -> list[str]:
        (container,) = render(*SECRET, *values)["Deployment", "joulecast-controller"]["spec"]["template"]["spec"][
            "containers"
        ]
        return [each for each in container["args"] if each.startswith("--hub")]

    assert arguments() == []
    assert arguments("hub.endpoint=https://hub.example/mirror") == ["--hub-endpoint=https://hub.example/mirror"]


def test_the_object_store_is_off_until_its_address_is_set() -> None:
    def arguments(*values: str) -> list[str]:
        (container,) = render(*SECRET, *values)["Deployment", "joulecast-controller"]["spec"]["template"]["spec"][
            "containers"
        ]
        return [each for each in container["args"] if each.startswith("--objects")]

    assert arguments() == arguments("objects.region=eu-central-1") == []
    set_ = arguments("objects.endpoint=https://s3.example", "objects.region=eu-central-1")
    assert set_ == ["--objects-endpoint=https://s3.example", "--objects-region=eu-central-1"]


def notes(*values: str, release: str = "joulecast", namespace: str = "energy") -> str:
    """Return what an installation with these values says."""
    sets = [part for value in (*SECRET, *values) for part in ("--set", value)]
    done = helm("install", release, str(CHART), "-n", namespace, "--dry-run=client", *sets)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def test_the_notes_of_an_installation_say_whether_an_object_store_is_asked() -> None:
    assert "No object store is asked, because objects.endpoint is not set" in notes()
    found = notes("objects.endpoint=https://s3.example")
    assert "Language models of the object store https://s3.example" in found
    assert "No object store is asked" not in found


def test_the_notes_of_an_installation_say_whether_a_hub_is_asked() -> None:
    assert "no hub is asked, because hub.endpoint is not set" in notes()
    found = notes("hub.endpoint=https://hub.example")
    assert "Language models of the hub https://hub.example" in found
    assert "no hub is asked" not in found


def test_every_pod_is_confined() -> None:
    for spec in pod_specs(render(*SECRET)):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= container["resources"].keys()
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
            assert {"name": "USER", "value": "joulecast"} in container["env"]


def test_what_serves_is_probed_where_it_answers() -> None:
    objects = render(*SECRET, "metrics.port=9090")
    for part in ("controller", "webhook"):
        (container,) = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == ({"https": 9443} if part == "webhook" else {}) | {"health": 8081, "metrics": 9090}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}


def test_the_processes_understand_the_arguments_they_are_given() -> None:
    objects = render(*SECRET)
    for part in ("controller", "webhook"):
        (container,) = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]["spec"]["containers"]
        command, *flags = container["args"]
        assert command == part
        settings = load(flags, environment(container))
        assert (settings.metrics_port, settings.health_port, settings.metrics_insecure) == (8443, 8081, False)
        if part == "webhook":
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert settings.webhook_certfile == f"{mounts['tls']}/tls.crt"
            assert settings.webhook_keyfile == f"{mounts['tls']}/tls.key"
            assert settings.webhook_port in [port["containerPort"] for port in container["ports"]]


def environment(container: Object) -> dict[str, str]:
    return {each["name"]: each.get("value", "from-a-field") for each in container["env"]}


def test_the_environment_of_every_pod_is_known_settings_and_nothing_that_the_kubelet_makes_of_services() -> None:
    for pod in pod_specs(render(*SECRET)):
        assert pod["enableServiceLinks"] is False  # a Service of ours would set JOULECAST_WEBHOOK_PORT=tcp://…
        (container,) = pod["containers"]
        given = environment(container)
        named = {name for name in given if name.startswith(PREFIX)}
        assert named <= {PREFIX + field.upper() for field in Settings.model_fields}
        command, *flags = container["args"]
        assert command in COMMANDS
        settings = load(flags, given)
        assert settings.namespace == "from-a-field"
        assert settings.deployment == ("" if command == "webhook" else "joulecast-controller")


def test_further_arguments_and_variables_reach_their_process() -> None:
    extra = ("extraArgs[0]=--log-level=debug", "extraEnv[0].name=JOULECAST_PLATFORM", "extraEnv[0].value=linux/arm64")
    for part in ("controller", "webhook"):
        objects = render(*SECRET, *(f"{part}.{value}" for value in extra))
        (container,) = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]["spec"]["containers"]
        settings = load(container["args"][1:], environment(container))
        assert (settings.log_level, settings.platform) == ("debug", "linux/arm64")


def test_one_controller_and_two_webhooks_that_are_spread_and_kept() -> None:
    objects = render(*SECRET)
    controller = objects["Deployment", "joulecast-controller"]["spec"]
    assert (controller["replicas"], controller["strategy"]) == (1, {"type": "Recreate"})
    webhook = objects["Deployment", "joulecast-webhook"]["spec"]
    assert webhook["replicas"] == 2
    spread = webhook["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"].rpartition("/")[2] for each in spread] == ["zone", "hostname"]
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}, "one node is enough"
    assert all(each["labelSelector"] == webhook["selector"] for each in spread)
    budget = objects["PodDisruptionBudget", "joulecast-webhook"]["spec"]
    assert budget["maxUnavailable"] == 1
    selectors = (
        webhook["selector"],
        budget["selector"],
        {"matchLabels": objects["Service", "joulecast-webhook"]["spec"]["selector"]},
    )
    assert all(selector == webhook["selector"] for selector in selectors)
    assert webhook["selector"]["matchLabels"].items() <= webhook["template"]["metadata"]["labels"].items()


def test_admission_can_only_help() -> None:
    webhook, warning = render(*SECRET)["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]
    differing = {key for key in webhook if webhook[key] != warning[key]}
    assert differing == {"name", "namespaceSelector", "clientConfig"}
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"], webhook["sideEffects"]) == ("Ignore", 2, "None")
    rule, *others = webhook["rules"]
    assert (rule["apiGroups"], rule["resources"]) == (["apps"], ["deployments", "statefulsets", "daemonsets"])
    for each in (rule, *others):
        assert sorted(each["operations"]) == ["CREATE", "UPDATE"]
        assert not [name for name in each["resources"] if "/" in name or "*" in name]
    expression, label = webhook["namespaceSelector"]["matchExpressions"]
    assert label == {"key": "joulecast.dev/annotations", "operator": "NotIn", "values": ["none"]}
    assert expression["operator"] == "NotIn"
    assert set(expression["values"]) == {"energy", "kube-system"}
    condition, annotated = webhook["matchConditions"]
    assert 'startsWith("joulecast.dev/")' in annotated["expression"]
    for part in ("controller", "uninstall"):
        assert f'"system:serviceaccount:energy:joulecast-{part}"' in condition["expression"]
    assert "joulecast-webhook" not in condition["expression"]


def test_further_namespaces_can_be_left_alone() -> None:
    values = (
        *SECRET,
        "webhook.excludedNamespaces={infra,kube-system}",
        "webhook.namespaceSelector.matchLabels.energy=yes",
    )
    for webhook in render(*values)["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]:
        selector = webhook["namespaceSelector"]
        assert selector["matchExpressions"][0]["values"] == ["energy", "kube-system", "infra"]
        assert selector["matchLabels"] == {"energy": "yes"}


@pytest.mark.parametrize(
    ("values", "client", "inside"),
    [
        (OUTSIDE, {"url": "https://127.0.0.1:9443/admit"}, False),
        ((*OUTSIDE, "webhook.caBundle=Q0E="), {"url": "https://127.0.0.1:9443/admit", "caBundle": "Q0E="}, False),
        (SECRET, {"service": ..., "caBundle": "Q0E="}, True),
        (CERT_MANAGER, {"service": ...}, True),
        (OWN, {"service": ...}, True),
    ],
)
def test_the_bundle_is_there_only_when_it_is_set(values: tuple[str, ...], client: Object, inside: bool) -> None:
    objects = render(*values)
    webhook, warning = objects["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]
    assert webhook["clientConfig"].get("caBundle") == warning["clientConfig"].get("caBundle")
    service = {"namespace": "energy", "name": "joulecast-webhook", "path": "/admit", "port": 443}
    assert webhook["clientConfig"] == {key: service if value is ... else value for key, value in client.items()}
    assert (("Deployment", "joulecast-webhook") in objects) is inside
    assert ("ServiceAccount", "joulecast-webhook") in objects


def test_cert_manager_signs_for_the_service_and_injects() -> None:
    objects = render(*CERT_MANAGER)
    certificate = objects["Certificate", "joulecast-webhook"]["spec"]
    assert "joulecast-webhook.energy.svc" in certificate["dnsNames"]
    assert certificate["issuerRef"] == {"kind": "Issuer", "name": "joulecast-webhook"}
    (tls,) = [
        volume
        for volume in objects["Deployment", "joulecast-webhook"]["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "tls"
    ]
    assert tls["secret"]["secretName"] == certificate["secretName"]
    annotations = objects["MutatingWebhookConfiguration", "joulecast-webhook"]["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": "energy/joulecast-webhook"}
    own = render(
        *CERT_MANAGER, "webhook.certManager.issuerRef.name=corp", "webhook.certManager.issuerRef.kind=ClusterIssuer"
    )
    assert ("Issuer", "joulecast-webhook") not in own


def test_without_a_webhook_nothing_of_it_is_rendered() -> None:
    assert [name for _, name in render("webhook.enabled=false") if "webhook" in name] == []


def test_the_policy_binds_both_writers_and_denies() -> None:
    objects = render(*SECRET)
    policy = objects["ValidatingAdmissionPolicy", "joulecast-annotations-only"]["spec"]
    assert policy["failurePolicy"] == "Fail"
    condition, jobs = policy["matchConditions"]
    assert jobs["name"] == "no-job-of-a-calibration"
    for part in ("controller", "uninstall"):
        assert f'"system:serviceaccount:energy:joulecast-{part}"' in condition["expression"]
    binding = objects["ValidatingAdmissionPolicyBinding", "joulecast-annotations-only"]["spec"]
    assert binding == {"policyName": "joulecast-annotations-only", "validationActions": ["Deny"]}


def test_the_uninstall_job_is_a_hook_and_can_be_left_out() -> None:
    job = render(*SECRET)["Job", "joulecast-uninstall"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "joulecast-uninstall"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["null-outputs"]
    without = render(*SECRET, "uninstall.enabled=false")
    assert [name for _, name in without if "uninstall" in name] == []


def test_the_test_is_a_hook_and_can_be_left_out() -> None:
    objects = render(*SECRET)
    ours = {
        kind: each["metadata"].get("annotations") for (kind, name), each in objects.items() if name == "joulecast-test"
    }
    assert ours.keys() == {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Job"}
    assert ours.pop("Job")["helm.sh/hook"] == "test"
    assert set(ours.values()) == {None}, "an uninstallation takes away what is no hook"
    without = render(*SECRET, "test.enabled=false")
    assert {name for _, name in objects.keys() - without.keys()} == {"joulecast-test"}


@pytest.mark.parametrize("values", [SECRET, (*SECRET, "statusOnly=true")])
def test_no_hook_is_left_behind_however_it_ends(values: tuple[str, ...]) -> None:
    hooks = [each for each in render(*values).values() if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert {each["kind"] for each in hooks} >= {"Job"}
    for each in hooks:
        policies = each["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(",")
        assert sorted(policies) == ["before-hook-creation", "hook-failed", "hook-succeeded"]
    for job in (each for each in hooks if each["kind"] == "Job"):
        assert "hook-failed" in job["metadata"]["annotations"]["helm.sh/hook-output-log-policy"], "its log is shown"
        assert job["spec"]["activeDeadlineSeconds"] < 300, "within what Helm waits unasked"
        assert job["spec"]["ttlSecondsAfterFinished"] == 300, "where Helm itself was stopped"


def test_the_test_asks_for_a_model_of_the_chart_and_may_do_nothing_else() -> None:
    objects = render(*SECRET)
    first, *others = objects["Role", "joulecast-test"]["rules"]
    assert (first["verbs"], first["resources"]) == (["create"], ["inferenceenergyestimates"])
    assert [(each["verbs"], each["resources"]) for each in others] == [
        (["get", "delete"], ["inferenceenergyestimates"]),
        (["get"], ["configmaps"]),
    ]
    configuration = objects["ConfigMap", "joulecast-test"]
    assert {name for each in others for name in each["resourceNames"]} == {configuration["metadata"]["name"]}
    job = objects["Job", "joulecast-test"]["spec"]
    assert job["backoffLimit"] == 0
    (container,) = job["template"]["spec"]["containers"]
    settings = load(container["args"][1:], environment(container))
    assert settings.trial_seconds < job["activeDeadlineSeconds"]
    assert settings.trial_name == configuration["metadata"]["name"]
    assert json.loads(configuration["data"]["config.json"])["model_type"] == "llama"


@pytest.mark.parametrize(
    ("values", "command"),
    [
        ((), "helm test gpu --namespace ops"),
        (("test.enabled=false",), "kubectl --namespace ops rollout status deployment/gpu-joulecast-controller"),
    ],
)
def test_the_notes_say_the_next_command_with_the_names_of_the_release(values: tuple[str, ...], command: str) -> None:
    assert f"\n\n  {command}\n" in notes(*values, release="gpu", namespace="ops")


def test_the_notes_speak_of_annotations_only_where_they_are_written() -> None:
    assert "look at its annotations" in notes()
    assert "joulecast works in" not in notes()
    found = notes("statusOnly=true", "webhook.enabled=false", "webhook.certSecret=", "webhook.caBundle=")
    assert "joulecast itself annotates no Deployment, because statusOnly is set" in found
    assert "look at its annotations" not in found
    assert "The webhook is off: `kubectl apply` prints no warnings" in found
    assert "\n\njoulecast works in team-a, team-b alone: ask there.\n" in notes("watchNamespaces={team-a,team-b}")


def test_the_definitions_are_the_generated_ones_and_outlive_the_release() -> None:
    objects = render(*SECRET)
    for definition in crds.definitions().values():
        found = objects["CustomResourceDefinition", definition["metadata"]["name"]]
        assert found["spec"] == definition["spec"]
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_no_resource_of_our_kinds_is_in_the_chart() -> None:
    assert [key for key, each in render(*SECRET).items() if each["apiVersion"].startswith("joulecast.dev/")] == []


def test_names_follow_the_release_and_the_namespace() -> None:
    objects = render(*SECRET, release="gpu", namespace="ops")
    assert ("Deployment", "gpu-joulecast-controller") in objects
    policy = objects["ValidatingAdmissionPolicy", "gpu-joulecast-annotations-only"]["spec"]
    assert "system:serviceaccount:ops:gpu-joulecast-controller" in policy["matchConditions"][0]["expression"]
    accounts = {name for kind, name in objects if kind == "ServiceAccount"}
    assert {spec["serviceAccountName"] for spec in pod_specs(objects)} <= accounts


def test_a_digest_takes_the_place_of_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    images = {spec["containers"][0]["image"] for spec in pod_specs(render(*SECRET, f"image.digest={digest}"))}
    assert images == {f"joulecast@{digest}"}


def test_calibrations_run_where_the_values_say_and_nowhere_without_them() -> None:
    done = template(*SECRET, "calibration.namespaces={lab,energy}", "calibration.image=registry.example/torch:1")
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    for kind in ("Role", "RoleBinding"):
        found = [each["metadata"] for each in objects if each["kind"] == kind]
        assert {each["namespace"] for each in found if each["name"] == "joulecast-calibration"} == {"lab", "energy"}
    (controller,) = [
        each
        for each in objects
        if each["metadata"]["name"] == "joulecast-controller" and "replicas" in each.get("spec", {})
    ]
    settings = load(controller["spec"]["template"]["spec"]["containers"][0]["args"][1:], {})
    assert settings.calibration
    assert settings.calibration_namespaces == ("lab", "energy")
    assert settings.calibration_image == "registry.example/torch:1"

    without = render(*SECRET, "calibration.enabled=false")
    assert [key for key in without if "calibration" in key[1]] == [
        ("CustomResourceDefinition", "energycalibrations.joulecast.dev")
    ]
    (container,) = without["Deployment", "joulecast-controller"]["spec"]["template"]["spec"]["containers"]
    assert load(container["args"][1:], {}).calibration is False


def test_monitoring_is_optional() -> None:
    assert "PodMonitor" not in {kind for kind, _ in render(*SECRET)}
    objects = render(*SECRET, "metrics.podMonitor.enabled=true")
    assert objects["PodMonitor", "joulecast"]["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True


def test_what_calibrations_may_name_is_told_to_the_controller() -> None:
    objects = render(*SECRET, "calibration.allowed.images={a.example/*}", "calibration.allowed.queues=null")
    (container,) = pod_spec(objects, "controller")["containers"]
    allowed = load(container["args"][1:], {}).calibration_allowed
    assert (allowed.images, allowed.queues) == (("a.example/*",), ())
    (container,) = pod_spec(render(*SECRET), "controller")["containers"]
    assert load(container["args"][1:], {}).calibration_allowed == Allowed(), "the same with the chart and without it"


@pytest.mark.parametrize(
    "value", ["images={registry.example*}", "images={*}", "claims={a b}", "tolerations={a b}", "secrets={x}"]
)
def test_what_would_allow_more_than_it_says_is_no_value(value: str) -> None:
    done = template(*SECRET, f"calibration.allowed.{value}")
    assert done.returncode != 0
    assert "/calibration/allowed" in done.stderr


def egress(objects: dict[tuple[str, str], Object], name: str) -> list[Object]:
    rules_: list[Object] = objects["NetworkPolicy", name]["spec"]["egress"]
    return rules_


def ports_of(rules_: list[Object]) -> list[Object]:
    return [port for rule in rules_ for port in rule.get("ports", [])]


def pod_spec(objects: dict[tuple[str, str], Object], part: str) -> Object:
    found: Object = objects["Deployment", f"joulecast-{part}"]["spec"]["template"]["spec"]
    return found


def test_the_proxy_is_the_controllers_alone() -> None:
    values = (
        "proxy.https=http://proxy:3128",
        "proxy.http=http://proxy:3129",
        "proxy.noProxy={.corp.example,10.0.0.0/8}",
    )
    objects = render(*SECRET, *values)
    (container,) = pod_spec(objects, "controller")["containers"]
    wanted = {
        "HTTPS_PROXY": "http://proxy:3128",
        "HTTP_PROXY": "http://proxy:3129",
        "NO_PROXY": ".corp.example,10.0.0.0/8",
    }
    assert wanted.items() <= environment(container).items()
    assert not wanted.keys() & environment(pod_spec(objects, "webhook")["containers"][0]).keys()
    assert not wanted.keys() & environment(pod_spec(render(*SECRET), "controller")["containers"][0]).keys()
    assert {"3128", "3129"} <= {str(port["port"]) for port in ports_of(egress(objects, "joulecast-controller"))}
    assert "/proxy/https" in template(*SECRET, "proxy.https=socks5://proxy:1080").stderr


def test_a_private_authority_is_mounted_where_the_controller_reads_it() -> None:
    pem = "-----BEGIN CERTIFICATE-----"
    for values, name in ((f"registry.caBundle={pem}", "joulecast-registry-ca"), ("registry.caConfigMap=corp", "corp")):
        objects = render(*SECRET, values)
        spec = pod_spec(objects, "controller")
        (container,) = spec["containers"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        path = load(container["args"][1:], {}).registry_ca_file
        folder, _, file = path.rpartition("/")
        (volume,) = [each for each in spec["volumes"] if each["name"] == mounts[folder]]
        assert volume["configMap"] == {"name": name, "items": [{"key": "ca.crt", "path": file}]}
    assert render(*SECRET, f"registry.caBundle={pem}")["ConfigMap", "joulecast-registry-ca"]["data"] == {"ca.crt": pem}
    both = template(*SECRET, f"registry.caBundle={pem}", "registry.caConfigMap=corp")
    assert "registry.caConfigMap are both set" in both.stderr
    assert "/registry/caBundle" in template(*SECRET, "registry.caBundle=Q0E=").stderr


def test_further_volumes_reach_their_process() -> None:
    for part in ("controller", "webhook"):
        values = (f"{part}.extraVolumes[0].name=x", f"{part}.extraVolumeMounts[0].name=x")
        spec = pod_spec(render(*SECRET, *values, f"{part}.extraVolumeMounts[0].mountPath=/x"), part)
        assert {"name": "x"} in spec["volumes"]
        assert {"name": "x", "mountPath": "/x"} in spec["containers"][0]["volumeMounts"]
