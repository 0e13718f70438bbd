"""The cluster of the user's KUBECONFIG: its name, the user's kubectl, and whether the demo can be a guest there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import yaml

from joulecast_operator.api.crds import definitions
from tests.harness import binaries

LABEL = "joulecast.dev/demo"
KINDS = ("namespaces", "clusterrolebindings", "clusterroles", "customresourcedefinitions")  # in the order of removal
COMMAND_SECONDS = 420.0  # more than any --timeout that is given

# what the demo does itself, and what it must have to give it to the controller
RIGHTS = (
    ("apiextensions.k8s.io", "customresourcedefinitions", ("get", "list", "create", "delete")),
    ("", "namespaces", ("get", "list", "watch", "create", "delete")),
    ("rbac.authorization.k8s.io", "clusterroles", ("list", "create", "delete")),
    ("rbac.authorization.k8s.io", "clusterrolebindings", ("list", "create", "delete")),
    ("rbac.authorization.k8s.io", "roles", ("create",)),
    ("rbac.authorization.k8s.io", "rolebindings", ("create",)),
    ("", "serviceaccounts", ("create",)),
    ("", "serviceaccounts/token", ("create",)),
    ("", "configmaps", ("create", "get")),
    ("", "events", ("create",)),
    ("", "nodes", ("get", "list", "watch")),
    ("networking.k8s.io", "servicecidrs", ("list",)),
    ("apps", "deployments", ("get", "list", "watch", "create", "patch")),
    ("apps", "statefulsets", ("get", "list", "watch", "patch")),
    ("apps", "daemonsets", ("get", "list", "watch", "patch")),
    ("batch", "jobs", ("get", "list", "watch", "patch")),
    ("batch", "cronjobs", ("get", "list", "watch", "patch")),
    ("joulecast.dev", "inferenceenergyestimates", ("get", "list", "watch", "create", "patch", "delete")),
    ("joulecast.dev", "inferenceenergyestimates/status", ("patch",)),
    ("joulecast.dev", "acceleratorenergyprofiles", ("get", "list", "watch")),
    ("joulecast.dev", "energysites", ("get", "list", "watch")),
)


class GuestError(RuntimeError):
    """The demo cannot be a guest of this cluster; the message says why and what to do."""


def check() -> None:
    """Raises GuestError if no cluster answers, if the user lacks rights there, or if joulecast is there already."""
    if missing := missing_rights():
        raise GuestError(
            f"your account may not {'; '.join(missing)} in the cluster {cluster_name()}; ask its administrator for"
            " these rights, or run `make demo`, which brings an API server of its own"
        )
    names = {definition["metadata"]["name"] for definition in definitions().values()}
    there = json.loads(kubectl("get", "customresourcedefinitions", "-o", "json").stdout)["items"]
    found = [each["metadata"] for each in there if each["metadata"]["name"] in names]
    if found:
        raise GuestError(refusal(found))


def refusal(found: Sequence[dict[str, Any]]) -> str:
    """Why a cluster that has these of joulecast's definitions is left alone, and what to do."""
    listed = ", ".join(each["name"] for each in found)
    start = f"the cluster {cluster_name()} has joulecast's CustomResourceDefinitions already ({listed})"
    if all(LABEL in each.get("labels", {}) for each in found):
        start += "; they are of another run of this demo: let it end, or if it was killed, "
        return start + f"`kubectl delete {','.join(KINDS)} -l {LABEL}`"
    return start + ", which the demo would remove with every forecast; choose another context, or run `make demo`"


def missing_rights() -> list[str]:
    """What the user may not do, such as "create, delete namespaces"."""
    asked = [(group, resource, verb) for group, resource, verbs in RIGHTS for verb in verbs]
    reviews = yaml.safe_dump_all(map(_review, asked))
    output = r'jsonpath={.status.allowed}{"\n"}'
    try:
        allowed = kubectl("create", "--validate=false", "-f", "-", "-o", output, stdin=reviews)
    except RuntimeError as error:
        raise GuestError(f"the cluster {cluster_name()} does not answer: {str(error).splitlines()[-1]}") from error
    refused: dict[str, list[str]] = {}
    for (group, resource, verb), yes in zip(asked, allowed.stdout.split(), strict=True):
        if yes != "true":
            refused.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    return [f"{', '.join(verbs)} {resource}" for resource, verbs in refused.items()]


def _review(asked: tuple[str, str, str]) -> dict[str, Any]:
    group, resource, verb = asked
    resource, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return kind | {"spec": {"resourceAttributes": attributes}}


def cluster_name() -> str:
    """The current context and the server's address. Raises GuestError if there is none."""
    try:
        view = json.loads(kubectl("config", "view", "--minify", "-o", "json").stdout)
    except RuntimeError as error:
        raise GuestError(f"CLUSTER=1 takes the cluster of KUBECONFIG, which names none: {error}") from error
    return f"{view['current-context']} ({view['clusters'][0]['cluster']['server']})"


def kubectl(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the user's kubectl with the user's kubeconfig. Raises RuntimeError with what it wrote if it fails."""
    program = shutil.which("kubectl") or binaries.program("kubectl")
    argv = [str(program), *arguments]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done
