"""From fitted cards to the profiles that are shipped: what was fitted from what, under which licence, and how good it
is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.energy.features import ARITHMETIC
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.model import Origin
from joulecast.energy.names import sheet_named
from joulecast.energy.profile import AcceleratorProfile, EnergyRows, FittedFrom, Host
from joulecast_calibration.fit.cards import (
    HOST,
    Card,
    public_card,
    transferred_card,
    transferred_interval,
)
from joulecast_calibration.fit.shared import share, sheet_of
from joulecast_calibration.rows.networks import NetworkRow, find_sets, read_set, stacked
from joulecast_calibration.rows.operators import CARDS, FP32_CARDS

_DIGITS = 6  # significant digits of a shipped coefficient: beyond any error, and the same on every machine

SHIPPED = (
    "NVIDIA-A100-PCIE-40GB",
    "NVIDIA-A100-SXM4-80GB",
    "NVIDIA-A100-SXM4-40GB",
    "NVIDIA-A100-80GB-PCIe",
    "NVIDIA-H100-80GB-HBM3",
    "NVIDIA-H200",
    "NVIDIA-B200",
    "NVIDIA-GB200",
    "NVIDIA-L40S",
)
"""Cards with a profile of their own: joules, operator power or latency tables tell more of them than their data
sheet."""

PRODUCTS_OF_A_LAYER = ("MatMul", "Gemm", "FusedMatMul", "TransposeMatMul", "Attention", "MultiHeadAttention")

_OPERATORS = "NVIDIA aiconfigurator, operator benchmarks", "github.com/ai-dynamo/aiconfigurator", "Apache-2.0"
_NEUSIGHT = "NeuSight, operator latency", "github.com/sitar-lab/NeuSight", "MIT"
_LICENCES = {"energaizer": ("EnergAIzer, measured networks", "github.com/yifueve/energaizer-ispass26-artifact", "MIT")}


def fit(folder: Path) -> Mapping[str, str]:
    """Name to text of every file that a fit of ``folder`` writes: profiles by product, and the shared coefficients.

    Raises MeasurementError if ``folder`` is no folder or a set in it lacks its columns.
    """
    read = [found for path in find_sets(folder) for found in read_set(path) if found.rows]
    sets = {sheet.labels[0]: found for found in read if (sheet := sheet_named(found.gpu))}
    texts = {"generic": _generic(folder)}
    for product in SHIPPED:
        sheet = sheet_of(product)
        if sheet is None:
            continue
        if product in sets:
            owner = f"the host that {sets[product].name} was measured on"
            card, figures = public_card(folder, sheet, sets[product], owner)
            texts[product] = _profile(folder, card, "public", figures).to_json()
        else:
            origin: Origin = "public" if product in share(folder).power else "transferred"
            texts[product] = _profile(folder, transferred_card(folder, sheet, own_watts=True), origin, {}).to_json()
    return texts


def _profile(folder: Path, card: Card, origin: Origin, figures: Mapping[str, float]) -> AcceleratorProfile:
    sheet, chip = card.sheet, chip_of_sheet(card.sheet)
    profile = AcceleratorProfile(
        product=sheet.labels[0],
        origin=origin,
        architecture=sheet.architecture,
        peak_flops={name: sheet.peaks[name].value for name in ARITHMETIC if name in sheet.peaks},
        lacks=sheet.lacks,
        bandwidth_bytes_per_second=chip.bandwidth_bytes_per_second,
        power_limit_watts=chip.power_limit_watts,
        boost_clock_mhz=sheet.boost_mhz,
        multiprocessors=chip.multiprocessors,
        law=card.fitted.law,
        hosts=hosts(card.fitted.host),
        interval=card.interval,
        energy_rows=_energy_rows(card, origin),
        fitted_from=tuple(_sources(folder, card)),
        unverified=sheet.unverified,
        held_out=figures,
        training_range=_range(card) if figures else {},
    )
    return as_shipped(profile)


def as_shipped(profile: AcceleratorProfile) -> AcceleratorProfile:
    """Round every coefficient of ``profile`` to the digits that are shipped."""
    return AcceleratorProfile.from_json(json.dumps(_rounded(json.loads(profile.to_json()))))


def hosts(eager: Host) -> dict[str, Host]:
    """Launch times by runtime: a CUDA graph is launched once; onnxruntime calls kernels without Python, at about half
    the cost.

    Only eager mode was measured; forecasts for the others are wider and say so.
    """
    forward = min(eager.forward_seconds, HOST.forward_seconds)  # no modules are called
    graph = replace(eager, kernel_seconds=0.0, view_seconds=0.0, module_call_seconds=0.0, forward_seconds=forward)
    compiled = replace(graph, kernel_seconds=eager.kernel_seconds / 2)
    return {"torch-eager": eager, "torch-cudagraph": graph, "onnxruntime-cuda": compiled}


def _energy_rows(card: Card, origin: Origin) -> tuple[EnergyRows, ...]:
    """Which rows have joules of this card behind them."""
    if origin != "public":
        return ()
    if card.donors and sheet_named(card.donors[0].gpu) is card.sheet:
        seen = {row.precision for row in card.donors[0].rows}
        return (
            EnergyRows(
                origin="public",
                arithmetics=tuple(sorted({*seen, *({"tf32"} if "fp32" in seen else ())})),
                op_types=("*",),
            ),
        )
    return (EnergyRows(origin="public", arithmetics=("bf16",), op_types=PRODUCTS_OF_A_LAYER),)


def _sources(folder: Path, card: Card) -> Iterable[FittedFrom]:
    for donor in card.donors:
        name, origin, licence = _LICENCES.get(
            donor.name.split("_")[0], (donor.name, "a set of its own", "as its folder says")
        )
        yield FittedFrom(
            name=name,
            what=f"joules and seconds of whole networks on {donor.gpu}",
            rows=len(donor.rows),
            origin=origin,
            licence=licence,
        )
    product = card.sheet.labels[0]
    if product in CARDS or card.sheet.architecture == "Ampere GA100":
        yield FittedFrom(
            name=_OPERATORS[0],
            what="seconds of bf16 products and attention",
            rows=3000,
            origin=_OPERATORS[1],
            licence=_OPERATORS[2],
        )
    if share(folder).power:
        cards = ", ".join(share(folder).power)
        yield FittedFrom(
            name=_OPERATORS[0],
            what=f"upper mode of power of bf16 products over 0.1 ms on {cards}",
            rows=len(share(folder).power) * 40,
            origin=_OPERATORS[1],
            licence=_OPERATORS[2],
        )
    yield FittedFrom(
        name=_NEUSIGHT[0],
        what=f"seconds of fp32 operators on {len(FP32_CARDS)} cards",
        rows=3000,
        origin=_NEUSIGHT[1],
        licence=_NEUSIGHT[2],
    )


def _range(card: Card) -> dict[str, tuple[float, float]]:
    """Smallest and largest FLOPs and bytes of a row of the networks that were fitted."""
    rows: tuple[NetworkRow, ...] = card.donors[0].rows
    table = stacked(rows, lacks=card.sheet.lacks).table
    return {
        name: (float(values[values > 0].min()), float(values.max()))
        for name, values in (("flops", table.flops), ("bytes", table.bytes))
    }


def _generic(folder: Path) -> str:
    shared = share(folder)
    document = {
        "law": dict(shared.shares),
        "hosts": {name: asdict(host) for name, host in hosts(HOST).items()},
        "interval": asdict(transferred_interval(folder, shared, own=False)),
        "fitted_from": [
            {
                "name": _OPERATORS[0],
                "what": "seconds of bf16 products and attention, power of bf16 products",
                "rows": 3000 * len(CARDS),
                "origin": _OPERATORS[1],
                "licence": _OPERATORS[2],
            },
            {
                "name": _NEUSIGHT[0],
                "what": "seconds of fp32 operators",
                "rows": 3000 * len(FP32_CARDS),
                "origin": _NEUSIGHT[1],
                "licence": _NEUSIGHT[2],
            },
        ],
    }
    return json.dumps(_rounded(document), indent=1, sort_keys=True) + "\n"


def _rounded(value: Any) -> Any:
    """Every float of a document at ``_DIGITS`` significant digits."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float | np.floating) else value
