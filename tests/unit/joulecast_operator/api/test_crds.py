"""Test that the CRDs are up to date and bounded, and contain nothing that the API server refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from joulecast_operator.api import crds

REFUSED = ("exclusiveMinimum", "exclusiveMaximum", "const", "uniqueItems", "propertyNames", "$ref", "$defs", "title")


def schemas(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema inside ``node``, with its path."""
    if not isinstance(node, dict):
        return
    yield place, node
    for name, part in node.get("properties", {}).items():
        yield from schemas(part, f"{place}.{name}")
    for name in ("items", "additionalProperties"):
        yield from schemas(node.get(name), f"{place}.{name}")


def root(plural: str) -> dict[str, Any]:
    schema: dict[str, Any] = crds.definitions()[plural]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


PLURALS = sorted(crds.definitions())


def test_the_files_are_those_that_the_models_make() -> None:
    assert crds.drifted() == []


@pytest.mark.parametrize("plural", PLURALS)
def test_nothing_that_the_server_refuses(plural: str) -> None:
    for place, schema in schemas(root(plural)):
        assert not set(REFUSED) & set(schema), place
        assert not any(option == {"type": "null"} for option in schema.get("anyOf", [])), place
        assert not isinstance(schema.get("additionalProperties"), bool), place


@pytest.mark.parametrize("plural", PLURALS)
def test_every_list_map_and_string_of_a_spec_is_bounded(plural: str) -> None:
    for place, schema in schemas(root(plural)["properties"]["spec"]):
        if schema.get("type") == "array":
            assert "maxItems" in schema, place
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, place
        if schema.get("type") == "string" and "enum" not in schema:
            assert "maxLength" in schema, place
        assert schema.get("type") != "number", f"{place}: no floats in a spec"


@pytest.mark.parametrize("plural", PLURALS)
def test_columns_read_scalar_strings(plural: str) -> None:
    version = crds.definitions()[plural]["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    for column in version["additionalPrinterColumns"]:
        assert column["type"] in ("string", "date")
        assert not re.search(r"results|\[\*\]", column["jsonPath"])


@pytest.mark.parametrize(
    ("plural", "kind"),
    [
        ("inferenceenergyestimates", "Ready"),
        ("acceleratorenergyprofiles", "Usable"),
        ("energysites", "Ready"),
        ("energyplans", "Ready"),
    ],
)
def test_a_listing_says_why_beside_false_and_a_wide_one_at_length(plural: str, kind: str) -> None:
    columns = crds.definitions()[plural]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown[shown.index(kind) + 1] == "Reason"
    paths = {column["name"]: column["jsonPath"] for column in columns}
    assert paths["Reason"] == f'.status.conditions[?(@.type=="{kind}")].reason'
    assert paths["Message"] == f'.status.conditions[?(@.type=="{kind}")].message'
    assert "Message" not in shown


def test_a_listing_of_calibrations_says_why() -> None:
    columns = crds.definitions()["energycalibrations"]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown == ["Accelerator", "Phase", "Progress", "Rows", "Error", "Better", "Age", "Why"]
    assert columns[-2]["jsonPath"] == '.status.conditions[?(@.type=="Calibrated")].message'


def test_names() -> None:
    names = {plural: definition["spec"]["names"] for plural, definition in crds.definitions().items()}
    assert {tuple(each["shortNames"]) for each in names.values()} == {
        ("iee",),
        ("aep",),
        ("esite",),
        ("ecal",),
        ("eplan",),
    }
    assert all(each["categories"] == ["energy"] for each in names.values())


def test_the_charts_copies_are_kept_at_uninstall() -> None:
    copies = [text for path, text in crds.files().items() if "charts" in path.parts]
    assert len(copies) == len(PLURALS)
    assert all("helm.sh/resource-policy: keep" in text for text in copies)
    assert all(text.count("{{") == 2 for text in copies), "nothing is filled in, the definition is rendered or not"
