"""Which of several profiles prices estimates."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.objects import Key
from joulecast_operator.profiles.usable import Candidate, Override, UsableProfiles, calibrated_at

EAGER = "torch-eager"


def key(name: str) -> Key:
    return Key(kind="AcceleratorEnergyProfile", namespace="", name=name)


def candidate(name: str, at: str = "", *, product: str = "a", runtime: str = EAGER) -> Candidate:
    override = Override(product=product, runtime=runtime, digest=f"sha256:{name}", document="{}")
    return Candidate(key=key(name), override=override, calibrated_at=at)


def holding(*candidates: Candidate) -> UsableProfiles:
    found = UsableProfiles()
    for each in candidates:
        assert found.hold(each.key, each)
    return found


def test_the_one_calibrated_last_is_in_use() -> None:
    old, new, unknown = candidate("x", "2026-01-01"), candidate("y", "2026-02-01"), candidate("a")
    found = holding(old, new, unknown)
    assert found.in_use("a", EAGER) == new
    assert found.hold(new.key, None)
    assert found.in_use("a", EAGER) == old


def test_names_decide_between_those_calibrated_at_one_time() -> None:
    assert holding(candidate("y", "2026-01-01"), candidate("x", "2026-01-01")).in_use("a", EAGER) == candidate(
        "x", "2026-01-01"
    )


def test_each_product_and_runtime_has_its_own() -> None:
    others = candidate("x", product="b"), candidate("y", runtime="onnxruntime-cuda")
    found = holding(candidate("z"), *others)
    assert found.in_use("b", EAGER) == others[0]
    assert found.in_use("b", "onnxruntime-cuda") is None
    assert [each.key.name for each in found.all_in_use()] == ["y", "z", "x"]


def test_only_a_difference_is_a_change() -> None:
    found = holding(candidate("x"))
    assert not found.hold(key("x"), candidate("x"))
    assert found.hold(key("x"), candidate("x", "2026-01-01"))
    assert found.hold(key("x"), None)
    assert not found.hold(key("x"), None)
    assert found.get(key("x")) is None


@pytest.mark.parametrize(
    ("said", "created", "time"),
    [
        ("2026-01-02T05:04:05+02:00", "2026-01-01T00:00:00Z", "2026-01-02T03:04:05Z"),
        (None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("yesterday", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", None, ""),
        (None, None, ""),
    ],
)
def test_a_time_is_the_annotations_else_the_objects_own(said: str | None, created: str | None, time: str) -> None:
    metadata: dict[str, Any] = {"name": "p"} | ({"creationTimestamp": created} if created else {})
    if said:
        metadata["annotations"] = {"joulecast.dev/calibrated-at": said}
    assert calibrated_at({"metadata": metadata}) == time


def test_a_document_is_not_printed() -> None:
    assert "SECRET" not in repr(Override(product="a", runtime=EAGER, digest="d", document="SECRET"))
