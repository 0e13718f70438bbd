from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import ModelReferenceError
from joulecast.sources.images.reference import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "target"),
    [
        ("resnet", "docker.io", "library/resnet", "latest"),
        ("team/resnet:v1", "docker.io", "team/resnet", "v1"),
        ("index.docker.io/resnet", "docker.io", "library/resnet", "latest"),
        ("localhost/resnet", "localhost", "resnet", "latest"),
        ("localhost:5000/resnet:2", "localhost:5000", "resnet", "2"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c", "latest"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        ("ghcr.io/o/m@" + DIGEST, "ghcr.io", "o/m", DIGEST),
        ("ghcr.io/o/m:t@" + DIGEST, "ghcr.io", "o/m", DIGEST),
        ("oci://ghcr.io/o/m:t", "ghcr.io", "o/m", "t"),
        ("my_team/a__b.c-d:T_1.x", "docker.io", "my_team/a__b.c-d", "T_1.x"),
    ],
)
def test_references(text: str, registry: str, repository: str, target: str) -> None:
    found = parse(text)
    assert (found.registry, found.repository, found.target) == (registry, repository, target)


@pytest.mark.parametrize(
    "text",
    ["", " ", "UPPER", "a//b", "a/../b", "a:", "a@sha256:xyz", "a@md5:" + "a" * 32, "a b", "http://x/y", "x/y?z",
     "a" * 600, "ghcr.io/", "a@" + DIGEST + "@" + DIGEST, "user:pass@host/repo", "a/b\n"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ModelReferenceError, match="write registry") as caught:
        parse(text)
    assert caught.value.reason == "InvalidModelReference"


@given(st.text(max_size=100))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        found = parse(text)
    except ModelReferenceError:
        return
    assert ".." not in found.repository
    assert found.repository.strip("/") == found.repository
