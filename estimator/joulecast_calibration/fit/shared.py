"""Compute what cards have in common as shares of their limits, and the law of a card without joules of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.features import ARITHMETIC, Array
from joulecast.energy.generic import at_rest, chip_of_sheet, law_of
from joulecast.energy.physical import Chip
from joulecast.energy.profile import Law
from joulecast_calibration.fit.operators import PowerShares, fit_latency, fit_power, mean_shares
from joulecast_calibration.rows.operators import (
    CARDS,
    FP32_CARDS,
    METERED,
    OperatorRows,
    Rest,
    attention_latency,
    fp32_latency,
    gemm_latency,
    gemm_power,
    rest_power,
)

PRODUCT_PATHS = (
    "compute_efficiency.bf16",
    "memory_efficiency",
    "tile_edge.bf16",
    "depth",
    "sharpness",
    "tail_seconds",
)
_OUTSIDE_TENSOR_CORES = 0.75
"""Of the power limit that an arithmetic outside tensor cores fills at its peak, relative to one inside: a GPU's vector
units reach their peak below the limit. Fits of two cards with fp32 networks say 0.69 and 0.75."""
_Rows = TypeVar("_Rows")
BF16 = ARITHMETIC.index("bf16")

INSTRUCTIONS: Mapping[str, float] = {
    # contiguous rows load and store eight elements at once; broadcast ones work out the place of each; reductions take
    # several passes
    "other": 8.0,
    "broadcast": 32.0,
    "normalisation": 40.0,
    "softmax": 48.0,
    "depthwise": 8.0,  # of each MAC; no table tells, and libraries differ most here
}
"""Instructions of one thread for one element, in round numbers, because no table separates them from bandwidth."""

START: Mapping[str, Any] = {
    # where searches begin, and what stays where no table tells
    "compute_efficiency": {"fp32": 0.85, "tf32": 0.8, "fp16": 0.8, "bf16": 0.8},
    "tile_edge": {"fp32": 8.0, "tf32": 25.0, "fp16": 25.0, "bf16": 25.0},
    "depth": 150.0,
    "transposed_depth": {"fp32": 100.0},  # tensor cores read either way
    "family_compute": {
        "convolution": 0.6,
        "batched": 1.0,
        "recurrent": 0.5,
    },  # no table of these: implicit products fill tiles less well
    "memory_efficiency": 0.85,
    "family_memory": {"convolution": 0.6, "batched": 1.0},  # tensors change layout before and after
    "instructions": INSTRUCTIONS,
    "sharpness": 3.0,
    "tail_seconds": 2.5e-6,
    "flop_joules": {
        "fp32": 0.75,
        "tf32": 1.0,
        "fp16": 1.0,
        "bf16": 1.0,
    },  # a part that alone fills the limit at its full rate
    "instruction_joules": 0.8,
    "byte_joules": 1.1e-10,  # of stacked memory, J: HBM2 and HBM3 differ by less than cards do
    "static_watts": 0.15,
    "clock_watts": 0.05,
    "gap_watts": 0.15,
    "held_share": 0.97,  # no table tells: power controls step down from the limit
    "voltage_floor": 0.5,
    "voltage_exponent": 3.0,
}
"""Shares, in the form that ``generic.law_of`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Coefficients that cards share.

    - ``shares``: means over cards of other chips than those left out, as ``generic.law_of`` takes them.
    - ``laws``: law of each card with latency tables.
    - ``power``: power shares of each metered card.
    - ``rest``: power at rest of each card as a share of its limit.
    """

    shares: Mapping[str, Any]
    laws: Mapping[str, Law]
    power: Mapping[str, PowerShares]
    rest: Mapping[str, float]


def sheet_of(product: str) -> DataSheet | None:
    """Return the data sheet whose labels name ``product``."""
    return next((sheet for sheet in datasheets() if product in sheet.labels), None)


def shares_of_others(shared: Shared, sheet: DataSheet) -> Mapping[str, Any]:
    """Return ``shared.shares`` without the results of latency tables of the card's own chip."""
    laws = {p: law for p, law in shared.laws.items() if (s := sheet_of(p)) and s.architecture != sheet.architecture}
    return dict(shared.shares) | _mean_times(laws)


@cache
def shared_coefficients(folder: Path, *without: str) -> Shared:
    """Compute everything that the operator tables of ``folder`` give without a joule or watt of the products
    ``without``."""
    laws = {sheet.labels[0]: law for sheet in datasheets() if (law := _timed(folder, sheet.labels[0])) is not None}
    rest = {p: r for p, r in rest_power(folder).items() if p not in without and sheet_of(p) and not sheet_of(p).missing}  # type: ignore[union-attr]
    chips = {sheet.architecture for product in without if (sheet := sheet_of(product))}
    others = {p: law for p, law in laws.items() if (sheet := sheet_of(p)) and sheet.architecture not in chips}
    shares = dict(START) | _mean_times(others) | _rest_shares(rest)
    resting = {product: float(entry.watts[-1]) / _limit(product) for product, entry in rest.items()}
    typical = shares["gap_watts"] + shares["clock_watts"]
    power = {}
    for product in METERED:
        rows = gemm_power(folder, product) if product not in without else None
        if rows is not None:
            power[product] = fit_power(rows, _chip(product), BF16, resting.get(product, typical))
    if power:
        mean = mean_shares(power)
        bytes_of = [_byte_joules(product, found) for product, found in power.items()]
        shares |= {"flop_joules": _flop_shares(mean.compute), "byte_joules": float(np.mean(bytes_of))}
    return Shared(shares=shares, laws=laws, power=power, rest=resting)


def transferred_law(shared: Shared, sheet: DataSheet) -> Law:
    """Build a card's law from its own latency coefficients and rest where tables have them, else the shared ones."""
    product = sheet.labels[0]
    law = law_of(shared.shares, sheet)
    timed = shared.laws.get(product)
    if timed is not None:
        law = replace(law, **{name: _merged(getattr(law, name), getattr(timed, name)) for name in _TIME_FIELDS})
    if product in shared.power:
        power = shared.power[product]
        flops = law_of(dict(shared.shares) | {"flop_joules": _flop_shares(power.compute)}, sheet).flop_joules
        law = replace(law, flop_joules=flops, byte_joules=_byte_joules(product, power))
    return at_rest(law, sheet, shared.rest)


def _flop_shares(tensor: float) -> dict[str, float]:
    """Return the share of each arithmetic: ``tensor`` in tensor cores, less outside of them."""
    return {name: tensor * (_OUTSIDE_TENSOR_CORES if name == "fp32" else 1.0) for name in ARITHMETIC}


def _byte_joules(product: str, power: PowerShares) -> float:
    chip = _chip(product)
    return power.memory * chip.power_limit_watts / chip.bandwidth_bytes_per_second


_TIME_FIELDS = (
    "compute_efficiency",
    "memory_efficiency",
    "family_compute",
    "family_memory",
    "tile_edge",
    "depth",
    "transposed_depth",
    "sharpness",
    "tail_seconds",
)


def _merged(shared: Any, own: Any) -> Any:
    """Merge a card's own values over the shared ones; mappings are merged entry by entry."""
    return {**shared, **own} if isinstance(own, dict) else own


@cache
def _timed(folder: Path, product: str) -> Law | None:
    """Fit the latency coefficients of a card that tables of it, or of its chip, determine.

    The efficiencies of all others are left out.
    """
    sheet = sheet_of(product)
    if sheet is None or sheet.missing:
        return None
    products, families = _of_chip(folder, sheet, CARDS, gemm_latency), _of_chip(folder, sheet, FP32_CARDS, fp32_latency)
    if products is None and not families:
        return None
    law = replace(law_of(START, sheet), compute_efficiency={}, transposed_depth={}, family_compute={}, family_memory={})
    if products is not None:
        law = _same_for_tensor_cores(fit_latency(law, _chip(products[0]), products[1], PRODUCT_PATHS), sheet)
    attention = _of_chip(folder, sheet, CARDS, attention_latency)
    if attention is not None:
        law = fit_latency(law, _chip(attention[0]), attention[1], ("family_compute.attention",))
    return law if families is None else _with_fp32(law, *families)


_SAME_TABLE = {"softmax": "normalisation", "broadcast": "other"}
"""Families that a table does not distinguish, and the family that they are read as."""


def _with_fp32(law: Law, product: str, families: Mapping[str, OperatorRows]) -> Law:
    """Fit each family of ``law`` to the fp32 table of ``product``."""
    law = replace(law, transposed_depth=START["transposed_depth"])
    for family, rows in families.items():
        product_paths = ("compute_efficiency.fp32", "tile_edge.fp32", "transposed_depth.fp32")
        paths = product_paths if family == "matmul" else (f"family_memory.{family}",)
        law = fit_latency(law, _chip(product), rows, paths)
    same = {other: law.family_memory[family] for other, family in _SAME_TABLE.items() if family in families}
    return replace(law, family_memory={**law.family_memory, **same})


def _of_chip(
    folder: Path, sheet: DataSheet, cards: Iterable[str], read: Callable[[Path, str], _Rows | None]
) -> tuple[str, _Rows] | None:
    """Return the rows of the card, else of another card with its chip, and the name of the card they belong to."""
    names = [name for name in cards if (other := sheet_of(name)) and other.architecture == sheet.architecture]
    for name in sorted(names, key=lambda name: name not in sheet.labels):
        rows = read(folder, name)
        if rows:
            return name, rows
    return None


def _same_for_tensor_cores(law: Law, sheet: DataSheet) -> Law:
    """Copy bf16's share of its peak to fp16 and tf32, which run on the same units with the same supply of data."""
    names = [name for name in ("tf32", "fp16") if name in sheet.peaks]
    reached, edges = (dict.fromkeys(names, values["bf16"]) for values in (law.compute_efficiency, law.tile_edge))
    return replace(law, compute_efficiency={**law.compute_efficiency, **reached}, tile_edge={**law.tile_edge, **edges})


def _mean_times(laws: Mapping[str, Law]) -> dict[str, Any]:
    """Return geometric means over the cards whose tables determined a coefficient."""
    products = [asdict(laws[name]) for name in CARDS if name in laws]
    simple = [asdict(laws[name]) for name in FP32_CARDS if name in laws and "fp32" in laws[name].compute_efficiency]
    found: dict[str, Any] = {}
    if products:
        found = {
            name: _mean([law[name] for law in products]) for name in _TIME_FIELDS if isinstance(START[name], float)
        }
    for field in ("compute_efficiency", "tile_edge"):
        found[field] = dict(START[field])
        if products:
            found[field] |= dict.fromkeys(("tf32", "fp16", "bf16"), _mean([law[field]["bf16"] for law in products]))
        if simple:
            found[field]["fp32"] = _mean([law[field]["fp32"] for law in simple])
    for field in ("transposed_depth", "family_compute", "family_memory"):
        keys = sorted({key for law in (*products, *simple) for key in law[field]})
        values = {key: [law[field][key] for law in (*products, *simple) if key in law[field]] for key in keys}
        found[field] = dict(START[field]) | {key: _mean(entries) for key, entries in values.items()}
    return found


def _mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _rest_shares(rest: Mapping[str, Rest]) -> dict[str, float]:
    """Fit power at rest as g + c·x·(w + (1 − w)·x^q) of the limit.

    c and q come from the cards measured at several clocks, g from all of them.
    """
    curves = {product: entry for product, entry in rest.items() if entry.clock_mhz.size > 2}
    if not curves:
        return {}
    columns = [_curve(product, entry) for product, entry in curves.items()]
    clock, watts = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    card = np.repeat(np.arange(len(curves)), [entry.watts.size for entry in curves.values()])

    def residuals(vector: Array) -> Array:
        rising, exponent = np.exp(vector[:2]).tolist()
        off: Array = vector[2:][card] + rising * clock * (floor + (1 - floor) * clock**exponent) - watts
        return off

    floor = START["voltage_floor"]  # rest alone cannot tell it from a smaller c: 0.7 V against 1.0 V is the usual range
    start = np.concatenate([np.log([0.05, 3.0]), np.full(len(curves), 0.15)])
    lower = np.concatenate([np.log([0.005, 1.0]), np.zeros(len(curves))])
    upper = np.concatenate([np.log([0.5, 8.0]), np.ones(len(curves))])
    found = least_squares(residuals, start, bounds=(lower, upper)).x
    rising, exponent = np.exp(found[:2]).tolist()
    total = float(np.mean([entry.watts[-1] / _limit(product) for product, entry in rest.items()]))
    return {
        "clock_watts": rising,
        "voltage_exponent": exponent,
        "gap_watts": total - rising,
        "static_watts": total - rising,
    }


def _curve(product: str, entry: Rest) -> tuple[Array, Array]:
    sheet = sheet_of(product)
    boost = (sheet and sheet.boost_mhz) or float(entry.clock_mhz[-1])
    return entry.clock_mhz / boost, entry.watts / _limit(product)


def _chip(product: str) -> Chip:
    sheet = sheet_of(product)
    if sheet is None:
        raise ValueError(f"no data sheet of {product}")
    return chip_of_sheet(sheet)


def _limit(product: str) -> float:
    return _chip(product).power_limit_watts
