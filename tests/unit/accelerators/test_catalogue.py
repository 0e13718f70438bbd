"""Names of accelerators, and which of them can be priced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from joulecast.accelerators.catalogue import accelerator_named, find, installed, normalise_product
from joulecast.energy.datasheets import UNVERIFIED, datasheets, sources
from joulecast.energy.profile import SCHEMA_VERSION, AcceleratorProfile
from joulecast.errors import NotCalibratedError, UnknownAcceleratorError

REQUIRED = (
    "NVIDIA-A100-SXM4-80GB",
    "NVIDIA-A100-PCIE-40GB",
    "NVIDIA-H100-80GB-HBM3",
    "NVIDIA-H200",
    "NVIDIA-B200",
    "NVIDIA-L40S",
)


@pytest.mark.parametrize(
    ("label", "product"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA-H200-SHARED", "NVIDIA-H200"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB"),
        ("NVIDIA GeForce RTX 4090 (rev. 2)", "NVIDIA-GeForce-RTX-4090-rev.-2"),
        ("  NVIDIA-L4 ", "NVIDIA-L4"),
    ],
)
def test_labels_are_made_as_the_device_plugin_makes_them(label: str, product: str) -> None:
    assert normalise_product(label) == product


def test_a_slice_of_a_card_is_refused_by_name() -> None:
    with pytest.raises(NotCalibratedError, match=r"1g\.5gb.*price NVIDIA-A100-SXM4-80GB instead") as caught:
        find("NVIDIA-A100-SXM4-80GB-MIG-1g.5gb")
    assert caught.value.reason == "MigSlice"


@pytest.mark.parametrize(
    "spelling",
    [
        "NVIDIA-L40S", "NVIDIA L40S", "nvidia-l40s", "NVIDIA-L40S-SHARED", "nvidia-l40s-shared", "L40S", "l40s",
    ],
)  # fmt: skip
def test_a_card_has_one_name_however_it_is_spelt(spelling: str) -> None:
    assert normalise_product(spelling) == "NVIDIA-L40S"


def test_older_drivers_names_are_the_newer_ones_and_a_name_of_two_cards_is_neither() -> None:
    assert normalise_product("a100-sxm4-80gb") == "NVIDIA-A100-SXM4-80GB"
    assert normalise_product("Orin") == "Orin"
    assert normalise_product("ACME-X1") == "ACME-X1"


def test_a_slice_is_refused_in_any_case_and_names_the_whole_card() -> None:
    with pytest.raises(NotCalibratedError, match=r"1g\.5gb.*price NVIDIA-A100-SXM4-80GB instead"):
        normalise_product("nvidia-a100-sxm4-80gb-mig-1g.5gb")


@pytest.mark.parametrize("product", REQUIRED)
def test_required_accelerators_ship_a_profile_better_than_a_data_sheet(product: str) -> None:
    profile = find(product)
    assert profile.product == product
    assert profile.origin in ("measured", "public", "transferred")
    assert profile.fitted_from


def test_older_drivers_names_are_known() -> None:
    assert find("A100-SXM4-80GB") is find("NVIDIA-A100-SXM4-80GB")


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownAcceleratorError, match="NVIDIA-H200"):
        find("NVIDIA-H20O")


@pytest.mark.parametrize("name", ["h100", "H100", "NVIDIA H100"])
def test_a_name_of_several_says_which(name: str) -> None:
    with pytest.raises(UnknownAcceleratorError) as caught:
        find(name)
    said = str(caught.value)
    assert "NVIDIA-H100-PCIe (350 W, 1755 MHz), NVIDIA-H100-80GB-HBM3 (700 W, 1830 MHz) or NVIDIA-H100-NVL" in said
    assert said.endswith(": write its name in full")
    assert caught.value.reason == "AmbiguousAccelerator"


def test_a_name_like_no_other_says_where_to_look() -> None:
    with pytest.raises(UnknownAcceleratorError, match="joulecast accelerators"):
        find("%%%")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotCalibratedError, match="a power limit"):
        find("NVIDIA-GH200-480GB")
    (sheet,) = (each for each in datasheets() if each.key == "L4")
    assert sheet.missing == ()
    assert replace(sheet, bandwidth_bytes_per_second=None).missing == ("a memory bandwidth",)


def test_a_label_that_two_share_is_refused() -> None:
    with pytest.raises(NotCalibratedError, match=r"Orin-64GB and Jetson-Orin-NX-16GB.*: give a profile of your own"):
        find("Orin")


def test_a_runtime_without_launch_times_is_refused() -> None:
    with pytest.raises(NotCalibratedError, match="torch-eager"):
        find("NVIDIA-H200", "tensorrt")


def test_every_complete_data_sheet_is_installed() -> None:
    shared = {
        label for sheet in datasheets() for label in sheet.labels if sum(label in s.labels for s in datasheets()) > 1
    }
    expected = {sheet.labels[0] for sheet in datasheets() if not sheet.missing and sheet.labels[0] not in shared}
    assert set(installed()) == expected
    assert len(expected) >= 36


def test_every_fact_has_a_source_that_is_spelled_out() -> None:
    for sheet in datasheets():
        facts = [
            *sheet.peaks.values(),
            sheet.bandwidth_bytes_per_second,
            sheet.power_limit_watts,
            sheet.boost_clock_mhz,
        ]
        for fact in facts:
            assert fact is None or fact.value > 0
            assert fact is None or (fact.sources and set(fact.sources) <= set(sources()))


def test_a_value_that_one_unread_source_vouches_for_is_unverified() -> None:
    sheets = {sheet.key: sheet for sheet in datasheets()}
    assert sheets["A40"].peaks["bf16"].sources == (UNVERIFIED,)
    assert "peak bf16" in sheets["A40"].unverified
    assert sheets["H100-SXM5-80GB"].unverified == ()


@pytest.mark.parametrize("profile", installed().values(), ids=lambda profile: profile.product)
def test_profiles_survive_json(profile: AcceleratorProfile) -> None:
    assert AcceleratorProfile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', "\x80"])
def test_anything_else_is_no_profile(text: str) -> None:
    with pytest.raises(NotCalibratedError, match=f"schema version {SCHEMA_VERSION}"):
        AcceleratorProfile.from_json(text)


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("L4", "NVIDIA-L4"),
        ("l40s", "NVIDIA-L40S"),
        ("T4", "Tesla-T4"),
        ("H200", "NVIDIA-H200"),
        ("H100 PCIe", "NVIDIA-H100-PCIe"),
    ],
)
def test_an_accelerator_may_have_a_shorter_name_that_is_its_own(name: str, product: str) -> None:
    assert accelerator_named(name).product == product


def test_a_file_that_is_no_accelerator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownAcceleratorError, match=r"absent\.json does not exist: check the path"):
        accelerator_named(str(tmp_path / "absent.json"))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(NotCalibratedError, match="not an accelerator profile"):
        accelerator_named(str(tmp_path / "other.json"))
