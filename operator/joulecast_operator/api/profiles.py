"""The custom resource AcceleratorEnergyProfile of joulecast.dev/v1alpha1."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from joulecast.energy.profile import POWER_LIMIT_WATTS
from joulecast_operator.api.parts import (
    OBJECT_NAME_CHARACTERS,
    Accelerator,
    Conditions,
    Name,
    Part,
    Runtime,
    StatusText,
    rules,
)


class ConfigMapReference(Part):
    """A key of a ConfigMap in joulecast's own namespace, and the digest of its content."""

    name: Name
    key: str = Field("profile.json", min_length=1, max_length=OBJECT_NAME_CHARACTERS)
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$", max_length=71, description="sha256 of the key's content.")


class ProfileSpec(Part):
    """A calibrated model of one accelerator under one runtime."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.coefficients) != has(self.configMapRef)", "give exactly one of coefficients and configMapRef")
        )
    )

    product: Accelerator = Field(description="Product name as in the node label nvidia.com/gpu.product.")
    runtime: Runtime = "torch-eager"
    power_limit_watts: int | None = Field(
        None,
        ge=int(POWER_LIMIT_WATTS.low),
        le=int(POWER_LIMIT_WATTS.high),
        description="The power limit that it was calibrated at, in watts.",
    )
    coefficients: str | None = Field(
        None, min_length=2, max_length=262_144, description="The profile as JSON, as `joulecast` writes it."
    )
    config_map_ref: ConfigMapReference | None = None


class ProfileSummary(Part):
    """The profile as text, for columns and people."""

    origin: StatusText
    error: StatusText


class ProfileStatus(Part):
    """Whether the profile can price models."""

    observed_generation: int | None = Field(None, json_schema_extra={"format": "int64"})
    held_out_error: float | None = Field(None, description="Median relative error on held-out models, 0 to 1.")
    calibrated_at: StatusText | None = None
    digest: StatusText | None = Field(None, description="sha256 of the profile in use.")
    summary: ProfileSummary | None = None
    conditions: Conditions | None = None


class AcceleratorEnergyProfile(Part):
    """Takes the place of the shipped profile of an accelerator."""

    spec: ProfileSpec
    status: ProfileStatus | None = None
