"""The limits on the cost of reading one model, and the meter that enforces them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from joulecast.errors import ModelFetchError, ModelFormatError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

INFLATION_GRACE_BYTES = 256 * MIB
"""Below this much output the ratio is not checked, because small layers of zeros inflate a lot without harm."""
INFLATION_LIMIT = 2048
"""Output bytes per compressed byte. Deflate cannot exceed 1032:1 (zlib, "Technical Details"), so only crafted zstd gets
here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBudget:
    """The most that one model may cost to read.

    - ``fetched_bytes``: body bytes received, manifests and config included.
    - ``wall_seconds``: from the first request to the last byte.
    - ``skeleton_bytes``: what is kept of the model in memory.
    - ``decompressed_bytes``: output of a compressed layer, read or skipped.
    """

    fetched_bytes: int = 512 * MIB
    wall_seconds: float = 60.0
    skeleton_bytes: int = 64 * MIB
    decompressed_bytes: int = 32 * GIB


class Meter:
    """Counts what one fetch receives. ``subject``: the reference, for the messages."""

    def __init__(self, budget: FetchBudget, subject: str) -> None:
        self.budget = budget
        self.subject = subject
        self.fetched_bytes = 0
        self._started = time.monotonic()

    def receive(self, count: int) -> None:
        """Count ``count`` body bytes. Raises ModelFetchError (FetchBudgetExceeded)."""
        self.fetched_bytes += count
        if self.fetched_bytes > self.budget.fetched_bytes:
            raise _exceeded(
                f"{self.subject}: more than {self.budget.fetched_bytes:,} bytes had to be fetched before the "
                "model was read: "
                "name the model's path, put its layer and the graph first, leave that layer uncompressed, or "
                "raise the byte budget"
            )
        self.check_time()

    def remaining_seconds(self) -> float:
        return self.budget.wall_seconds - (time.monotonic() - self._started)

    def check_time(self) -> None:
        """Raise ModelFetchError (FetchBudgetExceeded) once the wall time is spent."""
        if self.remaining_seconds() <= 0:
            raise _exceeded(
                f"{self.subject}: reading the model took longer than {self.budget.wall_seconds:g} s: "
                "name the model's path, use a nearer registry, or raise the time budget"
            )

    def check_inflation(self, compressed_bytes: int, decompressed_bytes: int) -> None:
        """Raise ModelFormatError (DecompressionLimitExceeded) for a layer that expands beyond the limits."""
        self.check_time()
        excessive_ratio = decompressed_bytes > max(INFLATION_GRACE_BYTES, INFLATION_LIMIT * compressed_bytes)
        if excessive_ratio or decompressed_bytes > self.budget.decompressed_bytes:
            raise ModelFormatError(
                f"{self.subject}: a compressed layer unfolds from {compressed_bytes:,} to more than "
                f"{decompressed_bytes:,} bytes, "
                "which looks like a decompression bomb: store the model in a layer of its own",
                reason="DecompressionLimitExceeded",
            )


def _exceeded(message: str) -> ModelFetchError:
    return ModelFetchError(message, reason="FetchBudgetExceeded", transient=False)
