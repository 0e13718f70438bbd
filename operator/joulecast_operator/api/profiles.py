"""Define the custom resource AcceleratorEnergyProfile of joulecast.dev/v1alpha1."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from joulecast.energy.profile import POWER_LIMIT_WATTS
from joulecast_operator.api.parts import (
    OBJECT_NAME_CHARACTERS,
    Accelerator,
    Conditions,
    Name,
    ObservedGeneration,
    Part,
    Runtime,
    StatusText,
    rules,
)


class ConfigMapReference(Part):
    """Refers to a key of a ConfigMap in joulecast's own namespace."""

    name: Name = Field(description="Name of the ConfigMap.")
    key: str = Field(
        "profile.json",
        min_length=1,
        max_length=OBJECT_NAME_CHARACTERS,
        description="Key of the ConfigMap whose content is the profile as JSON.",
    )
    digest: str = Field(
        pattern="^sha256:[0-9a-f]{64}$",
        max_length=71,
        description="sha256 of the key's content; other content is refused.",
    )


class ProfileSpec(Part):
    """The energy profile of one accelerator under one runtime: inline, or in a ConfigMap."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.coefficients) != has(self.configMapRef)", "give exactly one of coefficients and configMapRef")
        )
    )

    product: Accelerator = Field(description="Product name as in the node label nvidia.com/gpu.product.")
    runtime: Runtime = Field("torch-eager", description="The runtime whose forecasts are made with this profile.")
    power_limit_watts: int | None = Field(
        None,
        ge=int(POWER_LIMIT_WATTS.low),
        le=int(POWER_LIMIT_WATTS.high),
        description="The power limit at which the accelerator was calibrated, in watts.",
    )
    coefficients: str | None = Field(
        None,
        min_length=2,
        max_length=262_144,
        description="The profile as JSON, as `joulecast fit` writes it. Give either this or configMapRef.",
    )
    config_map_ref: ConfigMapReference | None = Field(
        None,
        description="The key of a ConfigMap in joulecast's own namespace that holds the profile. Give either this or"
        " coefficients.",
    )


class ProfileSummary(Part):
    """The facts of the profile as text, which `kubectl get` prints in columns."""

    origin: StatusText = Field(
        description="Where the coefficients come from: measured, public, transferred, datasheet."
    )
    error: StatusText = Field(description="Median relative error on held-out models, in percent; or unknown.")


class ProfileStatus(Part):
    """Whether forecasts are made with the profile, and if not, why."""

    observed_generation: ObservedGeneration = None
    held_out_error: float | None = Field(None, description="Median relative error on held-out models, 0 to 1.")
    calibrated_at: StatusText | None = Field(
        None, description="When the profile was calibrated, or created where nothing else is known (RFC 3339)."
    )
    digest: StatusText | None = Field(None, description="sha256 of the profile in use.")
    summary: ProfileSummary | None = Field(None, description="The facts above as text.")
    conditions: Conditions | None = Field(None, description="Usable: whether forecasts are made with the profile.")


class AcceleratorEnergyProfile(Part):
    """The energy profile of an accelerator, used for its forecasts in place of the one that joulecast ships."""

    spec: ProfileSpec = Field(description="The accelerator, the runtime and the profile, inline or in a ConfigMap.")
    status: ProfileStatus | None = Field(None, description="Whether forecasts are made with the profile.")
