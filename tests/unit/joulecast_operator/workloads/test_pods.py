from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.workloads.pods import pod_spec


@pytest.mark.parametrize("kind", [{}, {"kind": "Deployment"}])
def test_the_pod_of_a_deployment_is_in_its_template(kind: dict[str, Any]) -> None:
    assert pod_spec(kind | {"spec": {"template": {"spec": {"containers": []}}}}) == {"containers": []}


@pytest.mark.parametrize(
    "broken", [{}, {"spec": None}, {"spec": {"template": []}}, {"spec": {"template": {"spec": 1}}}]
)
def test_an_object_without_a_pod_has_an_empty_one(broken: dict[str, Any]) -> None:
    assert pod_spec(broken) == {}
