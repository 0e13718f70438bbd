"""docs/kubernetes.md agrees with the code and the chart."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from joulecast_operator.api import annotations
from joulecast_operator.profiles.usable import CALIBRATED_AT
from joulecast_operator.workloads.power_limits import NODE_LIMIT
from tests.contract.test_chart import CHART, SECRET, helm, render, rules
from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if re.match(r"\$ helm (install|upgrade) ", line)
]
"""The documented commands that render the chart, each in one line."""
CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def test_every_annotation_is_explained_and_none_else() -> None:
    explained = set(re.findall(r"`(joulecast\.dev/[a-z-]+)`", PAGE))
    assert explained == annotations.INPUT_KEYS | annotations.OUTPUT_KEYS | {
        annotations.REST_UNTIL,
        annotations.RESTING_UNTIL,
        CALIBRATED_AT,
        annotations.WRITTEN_LABEL,
        NODE_LIMIT,
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_renders_as_a_shell_reads_it(tmp_path: Path, command: str) -> None:
    """A shell expands {a,b} where it is not quoted."""
    (tmp_path / "corp.pem").write_text(CERTIFICATE)
    spoken = ["bash", "-c", f"printf '%s\\n' {command.replace('BASE64', 'Q0E=')}"]
    words = subprocess.run(spoken, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    release, chart, *options = [word for word in words[2:] if word not in OF_A_CLUSTER]
    assert ROOT / chart == CHART
    found = [word.replace("corp.pem", str(tmp_path / "corp.pem")) for word in options]
    done = helm("template", release, str(CHART), *found)
    assert done.returncode == 0, done.stderr
    assert f"namespace: {options[options.index('-n') + 1]}" in done.stdout


OF_A_CLUSTER = ("--install", "--create-namespace", "--reset-then-reuse-values")
"""Options that `helm template` does not have."""


def test_there_are_ways_to_install_and_to_change() -> None:
    assert sum(command.startswith("helm install ") for command in COMMANDS) == 5
    assert sum(command.startswith("helm upgrade ") for command in COMMANDS) >= 6
    assert "--set image.repository=" in COMMANDS[0], "what is copied first pulls the image that was pushed"


def test_every_value_that_is_named_exists() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    names = re.findall(r"`((?:webhook|metrics|uninstall|dashboard|calibration)\.[A-Za-z.]+)(?:=[a-z]+)?`", PAGE)
    assert len(names) > 5
    for name in names:
        found = values
        for part in name.split("."):
            assert part in found or found == {}, name
            found = found.get(part, {})


def test_the_rights_name_every_verb_of_each_account() -> None:
    objects = render(*SECRET)
    for account in ("controller", "webhook", "uninstall"):
        row = re.search(rf"^\| `joulecast-{account}` \| (.+) \|$", PAGE, re.MULTILINE)
        assert row
        verbs = {verb for _, _, verb in rules(objects, "ClusterRole", f"joulecast-{account}")}
        assert {verb for verb in verbs if verb not in row[1]} == set()


def test_the_rights_for_the_webhooks_certificate_are_named() -> None:
    objects, name = render(), "joulecast-webhook-certificate"
    row = re.search(
        r"^\| `joulecast-controller`, where it makes the webhook's certificate \| (.+) \|$", PAGE, re.MULTILINE
    )
    assert row
    granted = rules(objects, "ClusterRole", name) | rules(objects, "Role", name)
    assert {verb for _, _, verb in granted} == {verb for verb in ("get", "patch", "create") if verb in row[1]}
    for named in (name, "joulecast-webhook", "caBundle"):
        assert f"`{named}`" in row[1]


def test_the_rights_for_calibrations_are_named() -> None:
    objects = render(*SECRET)
    row = re.search(r"^\| `joulecast-controller`, for calibrations \| (.+) \|$", PAGE, re.MULTILINE)
    assert row
    granted = rules(objects, "ClusterRole", "joulecast-calibration") | rules(objects, "Role", "joulecast-calibration")
    assert {verb for _, _, verb in granted if verb not in row[1]} == set()
    for resource in ("Jobs", "ConfigMaps", "ServiceAccounts", "Roles", "RoleBindings", "pods", "events", "profiles"):
        assert resource in row[1]
        assert resource.lower() in " ".join(name for _, name, _ in granted)
