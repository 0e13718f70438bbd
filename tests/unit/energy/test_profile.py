"""The door of accelerator profiles: what prices nothing sound is refused with the field's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from joulecast.accelerators.catalogue import installed
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError
from joulecast_calibration.meter.simulated.presets import PRESETS

PROFILE = installed()["NVIDIA-A100-PCIE-40GB"]
"""Has everything that a profile can have."""


def changed(path: str, value: Any) -> str:
    """The profile as JSON with ``value`` at ``path``; … takes the field out."""
    document = json.loads(PROFILE.to_json())
    *inner, last = path.split(".")
    place = document
    for name in inner:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


def refusal(path: str, value: Any) -> str:
    with pytest.raises(NotCalibratedError) as caught:
        AcceleratorProfile.from_json(changed(path, value))
    assert caught.value.reason == "InvalidProfile"
    assert not caught.value.transient
    return str(caught.value)


LAW: dict[str, Any] = json.loads(PROFILE.to_json())["law"]
NUMBERS = [
    *(f"law.{name}" for name, value in LAW.items() if not isinstance(value, dict)),
    *(f"law.{name}.{key}" for name, value in LAW.items() if isinstance(value, dict) for key in value),
    *(f"hosts.torch-eager.{name}_seconds" for name in ("kernel", "view", "module_call", "forward")),
    *(f"interval.{name}" for name in ("level", "log_half_width", "groups", "coverage")),
    *(f"peak_flops.{name}" for name in PROFILE.peak_flops),
    *("bandwidth_bytes_per_second", "power_limit_watts", "boost_clock_mhz", "multiprocessors"),
    *("held_out.median_ape", "fitted_from.0.rows"),
]


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e300, 10**400, "1", True, [1]], ids=repr)
def test_no_number_is_negative_infinite_or_none(path: str, value: Any) -> None:
    told = path.replace(".0.", "[0].")
    assert f" {told} is " in refusal(path, value)


def test_the_message_names_the_field_its_value_and_its_bounds() -> None:
    said = refusal("law.byte_joules", -1)
    assert "law.byte_joules is -1: give a finite number from 0 to 1e-06 J" in said
    assert said.startswith("this is not an accelerator profile of schema version 3")
    with pytest.raises(NotCalibratedError, match=r"^/a/b\.json is not an accelerator profile"):
        AcceleratorProfile.from_json("{}", called="/a/b.json")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("origin", "foo", 'origin is "foo": give one of measured, public, transferred, datasheet'),
        ("energy_rows.0.origin", "foo", 'energy_rows[0].origin is "foo": give one of measured'),
        ("product", "", 'product is "": give text of 1 to 63 characters'),
        ("product", "Simulated-Hopper", "Simulated-Hopper does not exist"),
        ("hosts", {}, "hosts is an object of 0 entries: give an object of 1 or more entries"),
        ("peak_flops", {}, "peak_flops is an object of 0 entries"),
        ("law.byte_joule", 1, "law.byte_joule is unknown: is byte_joules meant?"),
        ("law.byte_joules", ..., "law.byte_joules is missing: give a finite number from 0 to 1e-06 J"),
        ("law.flop_joules.bf_16", 1e-12, "law.flop_joules.bf_16 is unknown: is bf16 meant?"),
        ("law.flop_joules.bf16", ..., "law.flop_joules lacks bf16, of which peak_flops states a rate"),
        ("law.compute_efficiency.fp32", ..., "law.compute_efficiency lacks fp32"),
        ("training_range", {"flops": [1, 2]}, "training_range has one of flops and bytes"),
        ("training_range.flops", [2, 1], "training_range.flops ends at 1, below its beginning 2"),
        ("schema_version", ..., "schema_version is missing"),
        ("schema_version", "3", "of schema version 3: schema_version is 3"),
        ("simulated", "no", 'simulated is "no": give true or false'),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(path: str, value: Any, said: str) -> None:
    assert said in refusal(path, value)


def test_a_chip_that_draws_nothing_is_refused() -> None:
    document = json.loads(PROFILE.to_json())
    document["law"] |= {"static_watts": 0, "clock_watts": 0}
    with pytest.raises(NotCalibratedError, match="both 0"):
        AcceleratorProfile.from_json(json.dumps(document))


def test_a_text_nested_without_end_is_no_profile() -> None:
    with pytest.raises(NotCalibratedError, match="nested too deeply"):
        AcceleratorProfile.from_json("[" * 200_000)


@pytest.mark.parametrize("profile", installed().values(), ids=lambda profile: profile.product)
def test_every_profile_there_is_passes_and_is_far_from_the_bounds(profile: AcceleratorProfile) -> None:
    """Ten times more or less is still read, so that a bound refuses no card to come."""
    document = json.loads(profile.to_json())
    for factor in (0.1, 10):
        law = dict(document["law"])
        for name in ("byte_joules", "instruction_joules", "tail_seconds", "gap_watts", "static_watts", "clock_watts"):
            law[name] *= factor
        law["flop_joules"] = {name: value * factor for name, value in law["flop_joules"].items()}
        AcceleratorProfile.from_json(json.dumps(document | {"law": law}))


@pytest.mark.parametrize("name", PRESETS)
def test_the_card_of_every_simulated_preset_passes(name: str) -> None:
    profile = installed()[PRESETS[name].product]
    assert AcceleratorProfile.from_json(profile.to_json()) == profile
