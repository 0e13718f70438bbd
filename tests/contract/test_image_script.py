"""What `scripts/image` asks of the builder, which a program that writes its arguments down stands in for."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("BASE", "BUILD_BASE", "SOURCE")}
    command = [str(ROOT / "scripts" / "image"), *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=False)


def asked(builder: Path, *arguments: str, **environment: str) -> list[str]:
    """The arguments that reach the builder."""
    done = run(*arguments, BUILDER=str(builder), **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def labels(options: list[str]) -> dict[str, str]:
    pairs = [value.split("=", 1) for name, value in pairwise(options) if name == "--label"]
    return {name.removeprefix("org.opencontainers.image."): value for name, value in pairs}


@pytest.fixture(params=["buildah", "docker"])
def builder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    program = tmp_path / str(request.param)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return program


def test_the_image_says_its_version_its_revision_and_when_its_source_was_made(builder: Path) -> None:
    found = labels(asked(builder, "operator", SOURCE_DATE_EPOCH="1700000000", SOURCE="https://code.example/joulecast"))
    assert found["version"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found["revision"])
    assert found["created"] == "2023-11-14T22:13:20Z"
    assert found["source"] == "https://code.example/joulecast"


def test_what_is_made_at_one_time_is_the_commits_unless_said(builder: Path) -> None:
    log = subprocess.run(
        ["git", "log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"],
        cwd=ROOT,
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = labels(asked(builder, "operator"))
    assert found["created"] == log.stdout.strip()
    assert "source" not in found


def test_options_after_the_target_reach_the_builder(builder: Path) -> None:
    options = asked(builder, "calibration", "--tag", "a:1", "--platform", "linux/arm64")
    assert options[options.index("--target") + 1] == "calibration"
    assert options[-5:] == ["--tag", "a:1", "--platform", "linux/arm64", "."]


def test_a_name_after_the_target_is_the_images(builder: Path) -> None:
    assert asked(builder, "operator", "a:1", "--no-cache")[-4:] == ["--tag", "a:1", "--no-cache", "."]


def test_one_base_serves_both_stages_unless_two_are_named(builder: Path) -> None:
    assert {"BASE=a", "BUILD_BASE=a"} <= set(asked(builder, "operator", BASE="a"))
    assert {"BASE=a", "BUILD_BASE=b"} <= set(asked(builder, "operator", BASE="a", BUILD_BASE="b"))
    assert not [option for option in asked(builder, "operator") if "BASE=" in option]


def test_pips_configuration_and_the_authorities_are_handed_over_as_secrets(builder: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("")
    (tmp_path / "ca.crt").write_text("")
    options = asked(builder, "operator", PIP_CONF=f"{tmp_path}/pip.conf", CA_FILE=f"{tmp_path}/ca.crt")
    assert {f"id=pip,src={tmp_path}/pip.conf", f"id=ca,src={tmp_path}/ca.crt"} <= set(options)


@pytest.mark.parametrize("name", ["PIP_CONF", "CA_FILE"])
def test_a_secret_that_cannot_be_read_is_named(builder: Path, tmp_path: Path, name: str) -> None:
    done = run("operator", **{"BUILDER": str(builder), name: f"{tmp_path}/absent"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {name} names {tmp_path}/absent, which cannot be read\n"


def test_a_builder_that_is_not_there_is_named() -> None:
    done = run("operator", BUILDER="no-such-builder")
    assert done.returncode == 1
    assert done.stderr == "error: missing: no-such-builder, to build an image; or BUILDER=PATH\n"


def test_without_a_target_it_says_how_to_name_one(builder: Path) -> None:
    done = run(BUILDER=str(builder))
    assert done.returncode == 1
    assert done.stderr.startswith("error: no target; ")
