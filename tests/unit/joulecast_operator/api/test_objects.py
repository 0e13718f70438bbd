"""Parts of objects whose shape is not certain."""

from __future__ import annotations

import pytest

from joulecast_operator.api.kinds import ESTIMATES, PROFILES
from joulecast_operator.api.objects import Key, camel, key_of, labels_of, mapping, mappings, version_of


def test_a_key_has_an_empty_namespace_for_a_kind_of_the_cluster() -> None:
    named = {"metadata": {"name": "a", "namespace": "shop"}}
    assert key_of(ESTIMATES, named) == Key(kind="InferenceEnergyEstimate", namespace="shop", name="a")
    assert key_of(PROFILES, {"metadata": {"name": "a"}}) == Key(kind="AcceleratorEnergyProfile", namespace="", name="a")


@pytest.mark.parametrize("resource", [{}, {"metadata": None}, {"metadata": {"name": None, "resourceVersion": None}}])
def test_an_object_without_metadata_has_an_empty_key_and_version(resource: dict[str, object]) -> None:
    assert key_of(ESTIMATES, resource) == Key(kind="InferenceEnergyEstimate", namespace="", name="")
    assert version_of(resource) == ""


def test_the_version_is_text() -> None:
    assert version_of({"metadata": {"resourceVersion": 7}}) == "7"


@pytest.mark.parametrize("odd", [None, "text", 3, ["list"]])
def test_what_is_not_a_mapping_is_read_as_an_empty_one(odd: object) -> None:
    assert mapping(odd) == {}
    assert mapping({"a": odd}) == {"a": odd}


@pytest.mark.parametrize("odd", [None, "text", 3, {"a": 1}])
def test_entries_that_are_not_mappings_are_left_out(odd: object) -> None:
    assert mappings(odd) == []
    assert mappings([{"a": 1}, "text", None, 3]) == [{"a": 1}]


def test_names_are_as_an_object_has_them() -> None:
    assert camel("joules_per_output_token_lower") == "joulesPerOutputTokenLower"
    assert camel("grams_co2e") == "gramsCo2e"


@pytest.mark.parametrize("metadata", [None, {}, {"labels": None}, {"labels": ["a"]}])
def test_an_object_without_labels_has_an_empty_mapping(metadata: object) -> None:
    assert labels_of({"metadata": metadata}) == {}
    assert labels_of({"metadata": {"labels": {"a": "b"}}}) == {"a": "b"}
