"""From the registry options of a command to a fetched model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess, fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.cli.options import ModelRequest

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
"""As in Kubernetes quantities, so that a budget reads the same in both places."""


def fetch_model(request: ModelRequest) -> FetchedModel:
    """Fetch the model that ``request`` names. Raises ModelReferenceError, ModelFetchError, ModelFormatError."""
    return fetch(
        request.source,
        path=request.path,
        budget=budget(request),
        access=access(request),
        platform=request.platform,
        verify=request.verify,
    )


def budget(request: ModelRequest) -> FetchBudget:
    limits: dict[str, Any] = {}
    if request.budget_bytes is not None:
        limits["fetched_bytes"] = byte_count(request.budget_bytes)
    if request.budget_seconds is not None:
        limits["wall_seconds"] = request.budget_seconds
    return FetchBudget(**limits)


def byte_count(text: str) -> int:
    """Parse ``512Mi`` or ``100000`` as a number of bytes."""
    match = re.fullmatch(r"([0-9]+)(|[kMG]|[KMG]i)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is not a number of bytes, such as 512Mi", param_hint="--budget-bytes")
    return int(match[1]) * _SUFFIXES[match[2]]


def access(request: ModelRequest) -> RegistryAccess:
    """Return what the user's docker login allows, together with what the options add."""
    user = RegistryAccess.of_user()
    return RegistryAccess.of_user(
        insecure_registries=(*user.insecure_registries, *(request.insecure_registry or ())),
        permitted_hosts=tuple(request.permit_host or ()),
        mirrors=_mirrors(request.mirror or ()),
        certificate_authority=str(request.ca_file) if request.ca_file else None,
    )


def _mirrors(options: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in options:
        host, separator, endpoint = text.partition("=")
        if not (host and separator and endpoint):
            raise typer.BadParameter(f"{text!r} is not of the form docker.io=mirror.example", param_hint="--mirror")
        found[host] = (*found.get(host, ()), endpoint)
    return found
