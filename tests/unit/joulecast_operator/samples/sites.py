"""Make EnergySites as the API server returns them."""

from __future__ import annotations

from typing import Any

_WHEN = {"message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}

STATUS = {
    "pricePerKilowattHour": 0.21,
    "currency": "EUR",
    "gramsCo2ePerKilowattHour": 363.0,
    "powerUsageEffectiveness": 1.15,
    "carbonSource": "codecarbon 3: Germany, 2023",
    "estimates": 4,
    "plans": 2,
    "conditions": [
        {"type": "Default", "status": "True", "reason": "Default", **_WHEN},
        {"type": "Ready", "status": "True", "reason": "Valid", **_WHEN},
    ],
}

COST = {
    "site": "here",
    "per": "inference",
    "currency": "EUR",
    "money": {"mean": 2e-6, "lowest": 1e-6, "highest": 3e-6},
    "moneyPerHour": {"mean": 0.1, "lowest": 0.1, "highest": 0.1},
    "gramsCo2e": {"mean": 0.003, "lowest": 0.003, "highest": 0.003},
    "gramsCo2ePerHour": {"mean": 120.0, "lowest": 120.0, "highest": 120.0},
}
"""The cost in the status of an estimate, as far as it is served."""


def site(name: str = "falkenstein", *, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a site; with no ``spec`` it has a price, a PUE and a carbon of one value each."""
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
    given = spec or {
        "pricePerKilowattHour": ["0.25"],
        "currency": "EUR",
        "powerUsageEffectiveness": ["1.2"],
        "gramsCo2ePerKilowattHour": [400],
        "carbonSource": "the operator's contract",
    }
    found = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergySite", "metadata": metadata, "spec": given}
    return found | ({} if status is None else {"status": status})
