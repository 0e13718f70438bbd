"""Test by which host a model's cache and queue go."""

from __future__ import annotations

import pytest

from joulecast_operator.estimates.hosts import Endpoints, host_of, queue_name_of

SET = Endpoints(hub="https://Hub.example:443/mirror", objects="https://s3.example")


@pytest.mark.parametrize("image", ["nginx", "team/model:1", "docker.io/team/model", "index.docker.io/library/nginx"])
def test_short_names_of_docker_hub_are_one_host(image: str) -> None:
    assert host_of(image) == "docker.io"
    assert host_of(f"registry.example:5000/{image}") == "registry.example:5000"


@pytest.mark.parametrize("host", ["registry.example", "Registry.EXAMPLE", "registry.example:443"])
def test_all_spellings_of_a_host_stand_in_one_line(host: str) -> None:
    assert queue_name_of(f"{host}/team/model:1") == "registry.example"


def test_what_is_no_image_is_a_host_of_its_own() -> None:
    assert host_of("no image/at all") == "no image/at all"


@pytest.mark.parametrize("address", ["hf://meta-llama/Llama-3.1-8B", "hf://somebody/else@main"])
def test_all_models_of_the_hub_stand_in_one_line(address: str) -> None:
    assert queue_name_of(address, SET) == "hub.example"


def test_an_image_by_its_address_is_that_of_its_registry() -> None:
    assert host_of("oci://registry.example/models/llama:1") == "registry.example"


def test_all_buckets_stand_in_one_line() -> None:
    for address in ("s3://one/model", "s3://other/model"):
        assert host_of(address, SET) == "s3.example"
