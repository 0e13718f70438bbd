from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from joulecast.cli import output
from joulecast.cli.output import OutputFormat


def test_json_keeps_order_and_signs(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_document({"b": 1, "a": "µ"}, OutputFormat.JSON, [])
    text = capsys.readouterr().out
    assert text.endswith("}\n")
    assert "µ" in text
    assert list(json.loads(text)) == ["b", "a"]


def test_json_never_holds_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.write_document({"joules": float("nan")}, OutputFormat.JSON, [])


def test_yaml_reads_back_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"results": [{"accelerator": "NVIDIA-H200", "joules": 0.5}], "none": None, "word": "no"}
    output.write_document(document, OutputFormat.YAML, [])
    assert yaml.safe_load(capsys.readouterr().out) == document


def test_csv_has_a_header_and_nested_values_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_document(
        {}, OutputFormat.CSV, [{"name": "a,b", "shape": [1, 2], "gone": None}, {"name": "c", "shape": []}]
    )
    assert capsys.readouterr().out == 'name,shape,gone\n"a,b","[1, 2]",\nc,[],\n'


def test_csv_of_nothing_is_empty() -> None:
    assert output.csv_text([]) == ""


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    program = "from joulecast.cli.output import write\nimport typer\napp = typer.Typer()\n"
    program += "@app.command()\ndef go():\n    for _ in range(100000): write('x' * 100 + chr(10))\napp()\n"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=300) == 141


def test_tables_that_are_piped_are_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from joulecast.cli.tables.profiles import plain_table

    monkeypatch.delenv("COLUMNS", raising=False)
    table = plain_table("Title", ("name", False), ("figure", True))
    table.add_row("n" * 120, "1")
    output.show([table])
    assert "n" * 120 in capsys.readouterr().out


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("reading"):
        pass
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_progress_stands_on_the_terminal_of_standard_error() -> None:
    import pty

    program = "from joulecast.cli.output import progress\nimport time\nwith progress('reading x'): time.sleep(0.3)\n"
    main, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", program], stderr=terminal, stdout=subprocess.PIPE, check=True, timeout=60
    )
    os.close(terminal)
    assert b"reading x" in os.read(main, 65536)
    os.close(main)
    assert done.stdout == b""
