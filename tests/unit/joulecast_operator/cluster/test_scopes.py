"""Test what the processes watch when they are restricted to namespaces, and when they are not."""

from __future__ import annotations

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, NAMESPACES, NODES
from joulecast_operator.api.objects import Scope
from joulecast_operator.cluster.scopes import own_deployments, watched

KINDS = (NODES, NAMESPACES, DEPLOYMENTS)


def test_everything_is_watched_where_no_namespace_is_named() -> None:
    assert list(watched(KINDS, ())) == [Scope(kind=kind) for kind in KINDS]
    assert list(own_deployments(["controller"], "joulecast", ())) == []


def test_a_restricted_process_watches_its_namespaces_and_cluster_scoped_kinds() -> None:
    assert list(watched(KINDS, ("a", "b"))) == [
        Scope(kind=NODES),
        Scope(kind=NAMESPACES, name="a"),
        Scope(kind=NAMESPACES, name="b"),
        Scope(kind=DEPLOYMENTS, namespace="a"),
        Scope(kind=DEPLOYMENTS, namespace="b"),
    ]


def test_its_own_deployments_are_watched_one_by_one_unless_their_namespace_is() -> None:
    found = list(own_deployments(["controller", ""], "joulecast", ("a",)))
    assert found == [Scope(kind=DEPLOYMENTS, namespace="joulecast", name="controller")]
    assert found[0].selector == {"fieldSelector": "metadata.name=controller"}
    assert found[0].path == "/apis/apps/v1/namespaces/joulecast/deployments"
    assert list(own_deployments(["controller"], "a", ("a",))) == []


def test_a_scope_is_named_in_messages() -> None:
    assert str(Scope(kind=ESTIMATES, namespace="a")) == "inferenceenergyestimates of the namespace 'a'"
    assert str(Scope(kind=NAMESPACES, name="a")) == "namespaces 'a'"
    assert str(Scope(kind=NODES)) == "nodes"
