"""Labels that every series about an object has."""

from __future__ import annotations

import pytest

from joulecast_operator.metrics.declaration import Metric, identity_of


def test_an_empty_family_has_the_declared_name_text_and_labels() -> None:
    family = Metric(name="joulecast_x_seconds", kind="gauge", labels=("a",), text="Seconds of x.").family()
    family.add_metric(("1",), 2.0)
    (sample,) = family.samples
    assert (family.documentation, sample.name, sample.labels) == ("Seconds of x.", "joulecast_x_seconds", {"a": "1"})


@pytest.mark.parametrize("metadata", [None, "text", {}])
def test_an_object_without_metadata_has_an_empty_identity(metadata: object) -> None:
    assert identity_of({"metadata": metadata}) == ("", "")


def test_namespace_comes_before_name() -> None:
    assert identity_of({"metadata": {"name": "a", "namespace": "shop"}}) == ("shop", "a")
