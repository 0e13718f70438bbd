"""What a machine needs to run a node, and what of it the node's namespaces hide."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path

import pytest

from tests.harness import binaries
from tests.harness.node import isolation, network, prerequisites
from tests.harness.steps import StepError


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Linux machine with all programs, whose root this is."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def test_a_complete_machine_passes() -> None:
    prerequisites.check()


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ("runc", "unshare", "setpriv")
    monkeypatch.setattr(shutil, "which", lambda name: None if name in missing else name)
    with pytest.raises(StepError) as raised:
        prerequisites.check()
    assert str(raised.value) == (
        "missing: runc, setpriv, unshare; on Debian: apt-get install --no-install-recommends runc util-linux"
    )


def test_somebody_else_than_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StepError, match="needs root"):
        prerequisites.check()


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(StepError, match="Linux alone, and this is Darwin"):
        prerequisites.check()


@pytest.mark.parametrize("folder", ["/var/cache/joulecast", "/run/user/0"])
def test_a_folder_below_a_private_layer_is_hidden(folder: str) -> None:
    assert isolation.is_hidden(Path(folder))


def test_other_folders_are_not_hidden() -> None:
    assert not isolation.is_hidden(Path("/home/somebody/.cache/joulecast"))


def test_pods_get_addresses_beside_the_nodes(tmp_path: Path) -> None:
    network.write_plugins(tmp_path / "network")
    (file,) = (tmp_path / "network").iterdir()
    bridge, _ = json.loads(file.read_text())["plugins"]
    ((addresses,),) = bridge["ipam"]["ranges"]
    assert addresses == {"subnet": network.NODE_NETWORK, "rangeStart": network.FIRST_POD_ADDRESS}
    assert bridge["bridge"] == network.BRIDGE


def test_programs_of_a_node_are_not_among_those_of_every_test() -> None:
    assert set(binaries.NODE_PROGRAMS) & set(binaries.PROGRAMS) == set()
