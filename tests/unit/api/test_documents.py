from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from joulecast.api import documents
from joulecast.errors import ModelFormatError, NotCalibratedError
from tests.unit.handmade import COSTLIER, ESTIMATE, PROFILE


def closed(schema: Any) -> Any:
    """The schema with every object closed, so that a field that the schema does not tell of fails."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {"additionalProperties": False} if "properties" in schema else {}
    return {key: closed(value) for key, value in schema.items()} | shut


def validate(document: dict[str, Any]) -> None:
    schema = closed(documents.schema(document["kind"]))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_a_profile_survives_the_way_through_json() -> None:
    text = json.dumps(documents.profile_document(PROFILE), allow_nan=False)
    assert documents.profile_from_document(json.loads(text)) == PROFILE


def test_a_profile_document_fulfils_its_schema() -> None:
    document = documents.profile_document(PROFILE)
    validate(document)
    assert document["totals"]["macs"] == 1_179_648
    assert document["coverage"] == {"flops": 1.0, "ops": 2 / 3, "unsupported": ["Exotic"], "upper_bounds": []}
    assert document["layers"][0]["contractions"] == [{"batch": 4, "m": 1024, "n": 8, "k": 36, "repeats": 1}]


def test_an_estimate_document_fulfils_its_schema() -> None:
    missing = {"NVIDIA-X1": NotCalibratedError("NVIDIA-X1 has no power limit")}
    document = documents.estimate_document([ESTIMATE, COSTLIER], model=PROFILE, unavailable=missing)
    validate(document)
    assert document["results"][0] == {
        "accelerator": "NVIDIA-H200", "runtime": "torch-eager", "precision": "default", "batch_size": 32,
        "parallel": 1,
        "joules_per_batch": 0.42, "joules_per_batch_lower": 0.39, "joules_per_batch_upper": 0.46,
        "joules_per_inference": 0.013125, "latency_seconds": 0.0012, "average_power_watts": 350.0, "gap_joules": 0.02,
        "origin": "public", "interval_level": 0.9, "interval_guaranteed": False,
        "coverage": {"flops": 1.0, "ops": 1.0, "unsupported": [], "upper_bounds": []},
        "reasons": ["no layer rows of this accelerator"],
    }  # fmt: skip
    assert document["unavailable"] == [
        {"accelerator": "NVIDIA-X1", "reason": "NotCalibrated", "message": "NVIDIA-X1 has no power limit"}
    ]
    assert [(row["result"], row["op_type"], row["joules"]) for row in document["layers"]] == [
        (0, "Conv", 0.3),
        (0, "Relu", 0.1),
    ]


def test_the_rows_and_the_gap_of_a_document_sum_to_the_batch() -> None:
    document = documents.estimate_document([ESTIMATE])
    rows = sum(row["joules"] for row in document["layers"])
    assert rows + document["results"][0]["gap_joules"] == pytest.approx(document["results"][0]["joules_per_batch"])
    assert document["model"] is None


def test_layers_can_be_left_out() -> None:
    document = documents.estimate_document([ESTIMATE], model=PROFILE, with_layers=False)
    validate(document)
    assert document["layers"] == []


def test_figures_are_rounded_to_six_digits() -> None:
    assert documents.layer_fields(ESTIMATE.layers[1])["joules"] == 0.1  # 0.04 + 0.01 + 0.05 is 0.1 only when rounded


def test_an_array_given_as_a_value_becomes_a_list() -> None:
    from dataclasses import replace

    import numpy

    workload = replace(PROFILE.workload, input_values={"sizes": numpy.array([1, 2]), "sr": numpy.int64(16_000)})
    document = documents.profile_document(replace(PROFILE, workload=workload))
    assert json.loads(json.dumps(document))["workload"]["input_values"] == {"sizes": [1, 2], "sr": 16_000}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "estimate"},
        {"schema_version": 1},
        {"schema_version": None},
        {"totals": None},
        {"layers": [{"name": "a"}]},
        {"layers": [{"name": "a", "op_type": "Conv", "kind": "counted", "macs": "many"}]},
        {"layers": [{"name": "a", "op_type": "Conv", "kind": "counted", "joules": 1}]},
        {"layers": 7},
        {"workload": {}},
        {"coverage": {"flops": "all", "ops": 1.0, "unsupported": []}},
    ],
)
def test_a_damaged_profile_document_is_refused(change: dict[str, Any]) -> None:
    document = documents.profile_document(PROFILE) | change
    with pytest.raises(ModelFormatError, match="joulecast profile MODEL -o json"):
        documents.profile_from_document(document)


LAYER = documents.profile_document(PROFILE)["layers"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"macs": -5},
        {"macs": None},
        {"macs": 7},  # not what its contractions sum to
        {"bytes_moved": -1},
        {"bytes_moved": 10**400},
        {"kind": "bogus"},
        {"dtype": "bogus"},
        {"kernels": {"torch-eager": "x"}},
        {"kernels": [1]},
        {"contractions": [LAYER["contractions"][0] | {"repeats": -1}]},
        {"input_shapes": [[1, "x"]]},
    ],
)
def test_a_row_that_no_kernel_can_have_is_refused(change: dict[str, Any]) -> None:
    document = documents.profile_document(PROFILE) | {"layers": [LAYER | change]}
    with pytest.raises(ModelFormatError, match=r"damaged .*joulecast profile MODEL -o json"):
        documents.profile_from_document(document)


@pytest.mark.parametrize(
    "change",
    [
        {"source": 5},
        {"workload": {"batch_size": 0, "input_shapes": {}, "input_values": {}}},
        {"workload": {"batch_size": 1, "input_shapes": {"x": [-1]}, "input_values": {}}},
        {"coverage": {"flops": float("nan"), "ops": 1.0, "unsupported": []}},
        {"coverage": {"flops": 1.5, "ops": 1.0, "unsupported": []}},
    ],
)
def test_impossible_figures_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFormatError, match=r"damaged .*joulecast profile MODEL -o json"):
        documents.profile_from_document(documents.profile_document(PROFILE) | change)


def test_a_missing_field_is_named() -> None:
    document = documents.profile_document(PROFILE)
    del document["digest"]
    with pytest.raises(ModelFormatError, match="'digest'"):
        documents.profile_from_document(document)


def test_every_field_of_a_schema_is_described() -> None:
    for kind in ("profile", "estimate"):
        for name, field in documents.schema(kind)["$defs"]["layer"]["properties"].items():
            assert field.keys() & {"description", "$ref", "items", "enum"}, name
