"""Every error joulecast raises on purpose.

    JoulecastError
    ├── ModelReferenceError       the reference itself cannot be understood
    ├── ModelFetchError           the bytes could not be had (transient unless said otherwise)
    ├── ModelFormatError          the bytes are not the model they claim to be
    ├── WorkloadError             the workload contradicts the model or is malformed
    ├── UnsupportedOperatorError  an operator that could carry MACs has no counting rule
    ├── UnresolvedShapeError      a shape depends on something the workload does not say
    ├── UnknownAcceleratorError   no accelerator of that name is known
    ├── NotCalibratedError        the accelerator is known, but nothing prices this precision or runtime on it
    ├── DocumentError             a document lacks a field, or one is of another type or out of bounds
    ├── MeasurementError          a measurement could not be made or must not be trusted
    └── InternalInconsistencyError  two stages of joulecast disagree: a defect of joulecast, not of the model

``reason`` is a CamelCase word that becomes a Kubernetes condition's reason; ``transient`` says whether trying again
later may help. The message is one sentence that names the input, the problem and the way out.
"""

from __future__ import annotations

from typing import ClassVar


class JoulecastError(Exception):
    """Base of all errors.

    - ``reason``: CamelCase word, which becomes the condition's reason.
    - ``transient``: whether a later try may succeed.
    """

    default_reason: ClassVar[str] = "Error"
    default_transient: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str | None = None, transient: bool | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.transient = self.default_transient if transient is None else transient


class ModelReferenceError(JoulecastError):
    """The reference cannot be understood."""

    default_reason = "InvalidModelReference"


class ModelFetchError(JoulecastError):
    """The bytes cannot be fetched."""

    default_reason = "FetchFailed"
    default_transient = True


class ModelFormatError(JoulecastError):
    """The bytes are not a valid model of their format."""

    default_reason = "InvalidModelFormat"


class WorkloadError(JoulecastError):
    """The workload contradicts the model or is malformed."""

    default_reason = "InvalidWorkload"


class UnsupportedOperatorError(JoulecastError):
    """An operator that could carry MACs has no counting rule."""

    default_reason = "UnsupportedOperator"


class UnresolvedShapeError(JoulecastError):
    """A shape depends on something that the workload does not say.

    - ``options``: the command-line options, as in the message, that would say all of it; or none.
    """

    default_reason = "UnresolvedShape"

    def __init__(
        self, message: str, *, reason: str | None = None, transient: bool | None = None, options: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, reason=reason, transient=transient)
        self.options = options


class UnknownAcceleratorError(JoulecastError):
    """No accelerator of that name is known."""

    default_reason = "UnknownAccelerator"


class NotCalibratedError(JoulecastError):
    """The accelerator is known, but its profile covers neither this precision nor this runtime."""

    default_reason = "NotCalibrated"


class DocumentError(JoulecastError):
    """A document lacks a field, or a field has another type or is out of bounds; the reader adds which document."""

    default_reason = "InvalidDocument"


class MeasurementError(JoulecastError):
    """A measurement could not be made or is not reliable."""

    default_reason = "MeasurementFailed"


class InternalInconsistencyError(JoulecastError):
    """Two stages of joulecast disagree about a model: a defect of joulecast, not of the model."""

    default_reason = "InternalError"
