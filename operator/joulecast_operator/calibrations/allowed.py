"""Check that a calibration names only allowed images, volume claims, priorities, runtime classes, queues, tolerations.

The pod of a calibration gets what its spec names. The chart's `calibration.allowed` lists what is allowed, for the
controller here and for the API server in a ValidatingAdmissionPolicy.
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
_NAME: Final = r"^([a-z0-9][-a-z0-9.]*)?\*?$"  # name of a Kubernetes object; a star at the end matches any rest
_IMAGE: Final = r"^[^\s\"\\*]+([/:@]\*)?$"  # a star only after / : or @, as "registry.example*" would match other hosts
_TOLERATION: Final = r"^(\*|[-A-Za-z0-9_./]+(=[-A-Za-z0-9_.]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?)$"

Names = tuple[Annotated[str, Field(min_length=1, pattern=_NAME)], ...]
"""Names, or beginnings of names with a ``*`` at the end."""

Requested = tuple[str, str, bool]
"""A field of the spec with its value, the key of ``calibration.allowed`` for it, and whether that allows the value."""


class Allowed(BaseModel):
    """What the specs of calibrations may name. A ``*`` at the end of a name stands for any rest.

    - ``images``: images that measure, beside the chart's calibration.image.
    - ``claims``: PersistentVolumeClaims of the measured rows.
    - ``priority_classes``, ``runtime_classes``: classes of the pod.
    - ``queues``: LocalQueues of Kueue.
    - ``tolerations``: taints as `kubectl taint` takes them, ``KEY[=VALUE][:EFFECT]``. A missing part allows every value
      or effect; ``*`` allows every toleration.

    The default values are those of the chart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    images: tuple[Annotated[str, Field(min_length=1, pattern=_IMAGE)], ...] = ()
    claims: Names = ()
    priority_classes: Names = ()
    runtime_classes: Names = ("nvidia",)
    queues: Names = (ANY,)
    tolerations: tuple[Annotated[str, Field(pattern=_TOLERATION)], ...] = ("nvidia.com/gpu",)


AllowedSetting = Annotated[Allowed, BeforeValidator(lambda text: json.loads(text) if isinstance(text, str) else text)]
"""An ``Allowed`` that is given as JSON on the command line."""


def refusal_of(spec: CalibrationSpec, allowed: Allowed, default_image: str) -> str | None:
    """Return a message about the first value of the spec that is not allowed; None if all are allowed.

    ``default_image``: the chart's calibration.image, which is always allowed.
    """
    for what, key, is_allowed in (*_named(spec, allowed, default_image), *_tolerated(spec, allowed)):
        if not is_allowed:
            return (
                f"{what} is not allowed: leave it out, give one of the chart's {_VALUE}.{key}, or ask an administrator"
                " to add it there"
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
    """Tell whether a pattern allows a toleration.

    A toleration without a key or an effect tolerates all of them, so only a pattern that allows all of them covers it.
    """
    if pattern == ANY:
        return True
    taint, _, effect = pattern.partition(":")
    key, has_value, value = taint.partition("=")
    same_value = not has_value or (toleration.operator != "Exists" and (toleration.value or "") == value)
    return toleration.key == key and same_value and (not effect or toleration.effect == effect)


def _written(toleration: Toleration) -> str:
    """Format a toleration like an entry of ``Allowed.tolerations``."""
    if not toleration.key:
        return ANY
    value = "" if toleration.operator == "Exists" else f"={toleration.value or ''}"
    return f"{toleration.key}{value}" + (f":{toleration.effect}" if toleration.effect else "")
