"""Test how fields of custom kinds are read, whatever stands in them."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.workloads.custom.reading import address, container_of, count, text, words


@pytest.mark.parametrize(
    ("uri", "reference"),
    [
        ("hf://org/name", "hf://org/name"),
        ("hf://org/name:main", "hf://org/name@main"),
        ("hf://org/name@main", "hf://org/name@main"),
        ("s3://bucket/folder/", "s3://bucket/folder"),
        ("oci://registry.example:5000/model:1", "registry.example:5000/model:1"),
    ],
)
def test_an_address_is_written_as_joulecast_writes_it(uri: str, reference: str) -> None:
    assert address(uri, "Kind") == (reference, "")


@pytest.mark.parametrize("uri", ["", "pvc://claim", "gs://bucket", "https://example.com/model.tar", "x" * 500])
def test_a_store_that_is_not_read_is_told(uri: str) -> None:
    model, problem = address(uri, "Kind")
    assert model == ""
    assert problem.startswith("the Kind takes the model from ")
    assert len(problem) < 400


@pytest.mark.parametrize(("value", "counted"), [(3, 3), (0, 0), (-1, 1), (True, 1), ("3", 1), (None, 1), (10**400, 1)])
def test_a_count_is_a_whole_number_of_zero_or_more(value: Any, counted: int) -> None:
    assert count({"replicas": value}, "replicas") == counted


def test_fields_of_another_type_are_taken_for_absent() -> None:
    assert text({"a": {"b": " x "}}, "a", "b") == "x"
    assert text({"a": 3}, "a", "b") == text({"a": {"b": 3}}, "a", "b") == ""
    assert words(["a", 3, None, "b"]) == ["a", "b"]
    assert words("a") == []
    assert container_of({"containers": [{"name": "a"}, {"name": "b"}]}, "b") == {"name": "b"}
    assert container_of({"containers": [{"name": "a"}]}, "b") == {"name": "a"}
    assert container_of({"containers": 3}, "b") == {}
