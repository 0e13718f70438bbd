"""Paths of the API server's resources."""

from __future__ import annotations

import pytest

from joulecast_operator.api.kinds import CONFIG_MAPS, DEPLOYMENTS, ESTIMATES, NODES, PROFILES, Kind


@pytest.mark.parametrize(
    ("kind", "arguments", "path"),
    [
        (CONFIG_MAPS, ("lab", "rows"), "/api/v1/namespaces/lab/configmaps/rows"),
        (DEPLOYMENTS, ("shop",), "/apis/apps/v1/namespaces/shop/deployments"),
        (DEPLOYMENTS, (), "/apis/apps/v1/deployments"),
        (NODES, (None, "n1"), "/api/v1/nodes/n1"),
        (
            ESTIMATES,
            ("shop", "detector", "status"),
            "/apis/joulecast.dev/v1alpha1/namespaces/shop/inferenceenergyestimates/detector/status",
        ),
        (PROFILES, ("shop", "p"), "/apis/joulecast.dev/v1alpha1/acceleratorenergyprofiles/p"),
    ],
)
def test_a_path_names_group_namespace_object_and_subresource(
    kind: Kind, arguments: tuple[str | None, ...], path: str
) -> None:
    assert kind.path(*arguments) == path


def test_the_core_group_has_no_name_in_a_version() -> None:
    assert NODES.api_version == "v1"
    assert DEPLOYMENTS.api_version == "apps/v1"
