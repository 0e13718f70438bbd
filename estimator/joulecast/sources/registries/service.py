"""The server that a model is read from, as messages call it: a registry, a hub, an object store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from joulecast.errors import ModelFetchError
from joulecast.sources.images import manifest


class Authority(Protocol):
    """What authorises requests at one server, and explains a refusal."""

    def headers(self) -> dict[str, str]:
        """Return the headers to send to the server itself, and to no other."""

    def answer(self, header: str) -> bool:
        """Prepare ``headers`` for a ``WWW-Authenticate`` challenge; False if there is nothing to answer it with."""

    def refused(self, what: str) -> ModelFetchError:
        """Return the error for a 401 or 403."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A kind of server and its ``host[:port]``."""

    kind: Literal["registry", "hub", "object store"] = "registry"
    host: str

    @property
    def label(self) -> str:
        return f"{self.kind} {self.host}"

    def misbehaved(self, problem: str) -> ModelFetchError:
        """Return the error for an answer that the protocol does not allow."""
        if self.kind == "registry":
            return manifest.misbehaved(self.label, problem)
        return ModelFetchError(
            f"{self.label} {problem}: check the address of the {self.kind}, or ask who runs it",
            reason="SourceMisbehaved",
        )

    def unavailable(self, problem: str) -> ModelFetchError:
        """Return the error for a server that cannot be asked."""
        message = f"{self.label} {problem}: check that it is up and reachable"
        if self.kind == "registry":
            return ModelFetchError(message, reason="RegistryUnavailable")
        return ModelFetchError(message, reason="SourceUnavailable")

    def absent(self, what: str) -> ModelFetchError:
        """Return the error for a 404."""
        hint = "name and tag" if self.kind == "registry" else "name and revision" if self.kind == "hub" else "name"
        return ModelFetchError(
            f"{what} does not exist in {self.label}: check its {hint}", reason="NotFound", transient=False
        )

    def elsewhere(self, what: str, region: str) -> ModelFetchError:
        """Return the error for an object whose bucket is in another region."""
        return ModelFetchError(
            f"{what} is not in {self.label}: its bucket is in region {region}, so name that region and its address",
            reason="WrongRegion",
            transient=False,
        )

    def unreachable(self) -> ModelFetchError:
        """Return the one error for every unusable server, where a longer message would tell what listens there."""
        message = (
            f"{self.label} cannot be used: it does not answer as a {self.kind} should, or it is not open to joulecast; "
            "check its name, address and certificate, or ask the administrator, whose log has the reason"
        )
        if self.kind == "registry":
            return ModelFetchError(message, reason="RegistryUnavailable")
        return ModelFetchError(message, reason="SourceUnavailable")
