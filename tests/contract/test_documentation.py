"""Every example in docs/cli.md, docs/python.md and docs/planning.md runs, and what it shows is what it prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.language_models import LLAMA_3_70B
from joulecast.api import documents
from tests import images, small_models
from tests.contract.command_line import CommandLine, Finished
from tests.harness.registry import Registry

DOCS = Path(__file__).parent.parent.parent / "docs"
STAND_IN = "registry.example"  # a name that exists nowhere; the examples run against a registry of this machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    classifier = small_models.classifier(folder / "model.onnx")
    small_models.speech(folder / "speech.onnx")
    images.write_layout(image(classifier), folder / "image")
    (folder / "site.yaml").write_text(blocks("planning.md", "yaml")[0])
    (folder / "Llama-3-70B").mkdir()
    (folder / "Llama-3-70B" / "config.json").write_text(json.dumps(dict(LLAMA_3_70B)))
    return folder


@pytest.fixture(scope="module")
def registry(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry.start(tmp_path_factory.mktemp("registry")) as started:
        started.push(folder / "image", "models/classifier", "1")
        yield started


def image(model: Path) -> images.Image:
    return images.build([{"models/model.onnx": model.read_bytes()}])


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of ``language`` on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[tuple[str, str]]:
    """Every command of ``page`` with the output shown under it, in the page's order, for they build on each other."""
    parts = [part for block in blocks(page, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def plain(text: str) -> list[str]:
    """Lines as they are compared: any run of blanks is one."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def assert_shown(shown: str, printed: str) -> None:
    """Every line shown is printed, in this order; ``…`` alone stands for any lines, within a line for any text."""
    lines = iter(plain(printed))
    for expected in plain(shown):
        if expected == "…":
            continue
        pattern = re.escape(expected).replace("…", ".*")
        assert any(re.fullmatch(pattern, line) for line in lines), f"{expected!r} is not printed (any more):\n{printed}"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "fewest"), [("cli.md", 20), ("planning.md", 3)])
def test_the_examples_of_the_command_line_run_as_shown(
    page: str,
    fewest: int,
    folder: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    joulecast = CommandLine(capsys, monkeypatch)
    assert len(commands(page)) > fewest
    for command, shown in commands(page):
        line = command.replace(STAND_IN, registry.host)
        done = in_shell(line) if re.search("[|>]", line) else joulecast(*shlex.split(line)[1:])
        assert done.code in (0, 141), f"$ {command}\n{done.err}"  # 141: `head` has read enough
        assert_shown(shown, done.out)


def in_shell(line: str) -> Finished:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=300, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "fewest"), [("python.md", 10), ("planning.md", 3)])
def test_the_examples_of_python_run(page: str, fewest: int, folder: Path, registry: Registry) -> None:
    program = "\n".join(blocks(page, "python")).replace(STAND_IN, registry.host)
    assert program.count("joulecast.") > fewest
    environment = {**os.environ, "DOCKER_CONFIG": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["profile", "estimate", "plan", "accelerators", "evaluate", "fit"])
def test_every_option_is_told_of(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = CommandLine(capsys, monkeypatch)(command, "--help").out
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", told)) - {"--help"}
    assert options
    page = (DOCS / "cli.md").read_text()
    assert [option for option in options if option not in page] == []


def test_plan_tells_its_own_default(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = " ".join(CommandLine(capsys, monkeypatch)("plan", "--help").out.split())
    assert "[default: (NVIDIA-H200)]" not in told
    assert "[default: (all with more behind them than a data sheet)]" in told


def fields(page: str, kind: str) -> set[str]:
    """The names in the first column of the table that a comment marks."""
    table = page.partition(f"<!-- fields: {kind} -->")[2].partition("\n\n")[0]
    return {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }


@pytest.mark.parametrize("kind", documents.KINDS)
def test_every_field_of_a_document_is_told_of(kind: str) -> None:
    page = (DOCS / "json.md").read_text()
    schema = documents.schema(kind)
    assert fields(page, kind) == set(schema["properties"]) - {"kind", "schema_version"}
    section = page.partition(f"## `{kind}`")[2].partition("\n## ")[0]
    for part in [schema, *schema.get("$defs", {}).values()]:
        for name in part.get("properties", {}):
            assert f"`{name}`" in section or name in ("kind", "schema_version", "flops", "ops", "unsupported"), name
