"""List the values of the labels ``reason``. A failure with a reason that is not listed is counted as ``Other``.

Otherwise a worker that a model has taken over could create any number of time series, by answering with new words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from joulecast.errors import JoulecastError
from joulecast_operator.workers.pool import WorkerError

RefusalReason = Literal["certificate", "rate", "size", "slow", "malformed"]
REFUSALS: Final[tuple[RefusalReason, ...]] = ("certificate", "rate", "size", "slow", "malformed")
"""Why the webhook refuses a request before it decides about a review."""

OTHER: Final = "Other"

API_REASONS: Final = ("ApiUnavailable", "ApiRefused")

_OF_LANGUAGE_MODELS: Final = (
    "Changed", "ConfigMapForbidden", "DoesNotFit", "EngineNotSupported", "InvalidEndpoint", "InvalidModelSecret",
    "ModelSecretForbidden", "ModelSecretNotFound", "SourceDisabled", "SourceMisbehaved", "SourceUnavailable",
    "UnknownArchitecture", "UnknownModel", "UnsupportedOnAccelerator", "UnsupportedQuantisation", "WrongRegion",
)  # fmt: skip
_OF_REGISTRIES: Final = (
    "AmbiguousModel", "CacheFailed", "DecompressionLimitExceeded", "FetchBudgetExceeded", "ForbiddenAddress",
    "ForbiddenRegistry", "ImageChanged", "InvalidCertificateAuthority", "InvalidCredentials", "InvalidProxy",
    "MissingDependency", "ModelNotFound", "ModelTooLarge", "NotFound", "PlatformNotFound", "RegistryMisbehaved",
    "RegistryUnavailable", "TooLong", "Truncated", "Unauthorized", "Unreadable", "UnsupportedFormat",
    "UnsupportedMediaType", "UntrustedCertificate",
)  # fmt: skip
_OF_PRICES: Final = (
    "AmbiguousAccelerator", "ClockOutOfRange", "ConfigMapKeyNotFound", "ConfigMapNotFound", "ConfigMapRefused",
    "DigestMismatch", "InvalidProfile", "MigSlice", "NotFinite", "NothingPriced", "PowerLimitNotPriced",
    "PowerLimitOutOfRange", "ProductMismatch", "RuntimeMismatch", "SimulatedProfile", "Superseded",
)  # fmt: skip
_OF_SPECS: Final = (
    "ClaimNotFound", "ContainerServesNoModel", "InvalidPowerLimit", "InvalidPullSecret", "InvalidSchedule",
    "InvalidSpec", "NamespaceNotAllowed", "NameTaken", "PullSecretForbidden", "PullSecretNotFound", "SharedAccelerator",
    "SeveralAccelerators", "TargetForbidden", "TargetHasNoImage", "TargetKindNotServed", "TargetKindNotSupported",
    "TargetNotFound", "TooManyCandidates",
    "TooManyResults", "UnknownTensorParallel",
)  # fmt: skip
_OF_SITES: Final = (
    "ConfigMapUnread", "InvalidSite", "SeveralDefaultSites", "SiteForbidden", "SiteNotFound", "SiteNotUsable",
)  # fmt: skip
_OF_RUNS: Final = (
    "Forbidden", "InvalidResult", "NoImage", "NoProfile", "NoResult", "ProfileTooLarge", "RequestRefused", "RunFailed",
)  # fmt: skip
_OF_WORKERS: Final = (
    "FetcherKilled", "FetcherOutOfMemory", "FetcherTimeout", "ProfilerKilled", "ProfilerOutOfMemory",
    "ProfilerTimeout", "QueueFull",
)  # fmt: skip


def counted(reason: str) -> str:
    """Return the value of the label: ``reason`` if it is listed in ``REASONS``, else ``Other``."""
    return reason if reason in REASONS else OTHER


def _defaults(kind: type[JoulecastError]) -> Iterator[str]:
    yield kind.default_reason
    for derived in kind.__subclasses__():
        yield from _defaults(derived)


REASONS: Final = frozenset(
    {
        *_defaults(JoulecastError),
        WorkerError.default_reason,
        *API_REASONS,
        *_OF_LANGUAGE_MODELS,
        *_OF_REGISTRIES,
        *_OF_PRICES,
        *_OF_SPECS,
        *_OF_SITES,
        *_OF_RUNS,
        *_OF_WORKERS,
    }
)
