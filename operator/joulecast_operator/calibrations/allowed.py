"""What a calibration may name that its pod then has: an image, a claim, a priority, tolerations, a queue.

The chart's `calibration.allowed` says it, to the controller here and to the API server in a ValidatingAdmissionPolicy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from joulecast_operator.api.calibrations import CalibrationSpec, Toleration

REASON: Final = "NotAllowed"
ANY: Final = "*"

_VALUE: Final = "calibration.allowed"
_NAME: Final = r"^([a-z0-9][-a-z0-9.]*)?\*?$"  # of an object of Kubernetes; a star at the end stands for any more
_IMAGE: Final = r"^[^\s\"\\*]+([/:@]\*)?$"  # a star only where a part ends: "registry.example*" is another's host too
_TOLERATION: Final = r"^(\*|[-A-Za-z0-9_./]+(=[-A-Za-z0-9_.]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?)$"

Names = tuple[Annotated[str, Field(min_length=1, pattern=_NAME)], ...]
Requested = tuple[str, str, bool]
"""Field of the spec with its value, key of ``Allowed``, whether that allows it."""


class Allowed(BaseModel):
    """Names, or beginnings of names with a ``*`` at the end. ``tolerations`` are written as `kubectl taint` takes
    taints: ``KEY[=VALUE][:EFFECT]``, where a part that is left out allows every value or effect; ``*`` allows all.

    What is not given has the chart's own default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    images: tuple[Annotated[str, Field(min_length=1, pattern=_IMAGE)], ...] = ()
    claims: Names = ()
    priority_classes: Names = ()
    runtime_classes: Names = ("nvidia",)
    queues: Names = (ANY,)
    tolerations: tuple[Annotated[str, Field(pattern=_TOLERATION)], ...] = ("nvidia.com/gpu",)


AllowedSetting = Annotated[Allowed, BeforeValidator(lambda text: json.loads(text) if isinstance(text, str) else text)]
"""JSON on the command line."""


def refusal_of(spec: CalibrationSpec, allowed: Allowed, default_image: str) -> str | None:
    """Say what the spec asks for that ``allowed`` does not hold, the first of it; None where all of it is allowed.

    ``default_image``: the chart's calibration.image, which is always allowed.
    """
    for what, key, is_allowed in (*_named(spec, allowed, default_image), *_tolerated(spec, allowed)):
        if not is_allowed:
            return (
                f"{what} is not allowed: leave it out, give one of the chart's {_VALUE}.{key}, or have it added there"
            )
    return None


def _named(spec: CalibrationSpec, allowed: Allowed, default_image: str) -> Iterator[Requested]:
    claim = spec.storage.claim_name if spec.storage else None
    for field, value, key, patterns in (
        ("image", spec.image, "images", (default_image, *allowed.images)),
        ("storage.claimName", claim, "claims", allowed.claims),
        ("priorityClassName", spec.priority_class_name, "priorityClasses", allowed.priority_classes),
        ("runtimeClassName", spec.runtime_class_name, "runtimeClasses", allowed.runtime_classes),
        ("queueName", spec.queue_name, "queues", allowed.queues),
    ):
        if value:
            yield f"spec.{field} {value!r}", key, _is_listed(value, patterns)


def _tolerated(spec: CalibrationSpec, allowed: Allowed) -> Iterator[Requested]:
    for toleration in spec.tolerations:
        is_allowed = any(_covers(pattern, toleration) for pattern in allowed.tolerations)
        yield f"spec.tolerations {_written(toleration)!r}", "tolerations", is_allowed


def _is_listed(value: str, patterns: Sequence[str]) -> bool:
    return any(
        value.startswith(pattern.removesuffix(ANY)) if pattern.endswith(ANY) else value == pattern
        for pattern in patterns
    )


def _covers(pattern: str, toleration: Toleration) -> bool:
    """Tell whether a pattern allows a toleration. Without key or effect it tolerates all, as the pattern must then."""
    if pattern == ANY:
        return True
    taint, _, effect = pattern.partition(":")
    key, has_value, value = taint.partition("=")
    same_value = not has_value or (toleration.operator != "Exists" and (toleration.value or "") == value)
    return toleration.key == key and same_value and (not effect or toleration.effect == effect)


def _written(toleration: Toleration) -> str:
    """Write a toleration as ``Allowed.tolerations`` has it."""
    if not toleration.key:
        return ANY
    value = "" if toleration.operator == "Exists" else f"={toleration.value or ''}"
    return f"{toleration.key}{value}" + (f":{toleration.effect}" if toleration.effect else "")
