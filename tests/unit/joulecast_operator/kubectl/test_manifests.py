"""Manifests of files, directories and standard input."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.kubectl.manifests import Manifest, read

WEB = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
JOB = '{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}}'


def titles(found: list[Manifest]) -> list[str]:
    return [f"{each.kind}/{each.name}" for each in found]


def test_a_file_has_several_documents_and_empty_ones_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(f"---\n{WEB}---\n---\n# nothing\n---\n{JOB}\n")
    found = read([str(tmp_path / "all.yaml")], recursive=False)
    assert titles(found) == ["Deployment/web", "Job/once"]
    assert [each.namespace for each in found] == ["shop", None]


def test_a_directory_gives_its_manifests_in_order_and_those_below_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name, text in {"b.yaml": WEB, "a.json": JOB, "notes.txt": "no", "below/c.yml": JOB}.items():
        (tmp_path / name).write_text(text)
    assert titles(read([str(tmp_path)], recursive=False)) == ["Job/once", "Deployment/web"]
    assert len(read([str(tmp_path)], recursive=True)) == 3


def test_standard_input_and_lists_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f"apiVersion: v1\nkind: List\nitems:\n- {JOB}\n- {JOB}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    assert titles(read(["-"], recursive=False)) == ["Job/once", "Job/once"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "cannot be read"),
        ("just words", "document 1 of .* is no object of Kubernetes: it lacks apiVersion or kind"),
        (f"{JOB}\n---\nkind: Job\n", "document 2 of .* is no object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "has no metadata.name"),
        ("# nothing\n", "there is no object in it"),
        ("!!python/object/apply:os.getcwd []", "cannot be read"),
        ("x: " + "[" * 2_000, "cannot be read"),
    ],
)
def test_what_is_no_manifest_is_refused_by_file_and_document(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(JoulecastError, match=said):
        read([str(tmp_path / "wrong.yaml")], recursive=False)


def test_a_path_that_leads_nowhere_and_an_address_are_refused() -> None:
    with pytest.raises(JoulecastError, match=r"absent\.yaml is no file or directory"):
        read(["absent.yaml"], recursive=False)
    with pytest.raises(JoulecastError, match="is an address: fetch it first"):
        read(["https://example.com/web.yaml"], recursive=False)
