"""Write profiles from fits: what was fitted from which rows, under which licence, and how accurate it is.

``fit`` reads published sets, ``fit_measured`` the rows of ``joulecast measure``; ``write`` makes what is
shipped of both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from joulecast.accelerators.catalogue import find
from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import ARITHMETIC
from joulecast.energy.generic import GENERATIONS, chip_of_sheet
from joulecast.energy.model import Origin
from joulecast.energy.names import sheet_named
from joulecast.energy.profile import AcceleratorProfile, EnergyRows, FittedFrom, Host
from joulecast.units import rounded
from joulecast_calibration.files import write_together
from joulecast_calibration.fit.across.hosts import pace_of
from joulecast_calibration.fit.across.population import Population
from joulecast_calibration.fit.across.sets import CardSet, own_set, published_sets
from joulecast_calibration.fit.across.sources import of_other_cards, sources_of_all_cards, sources_of_card
from joulecast_calibration.fit.across.timed import with_seconds
from joulecast_calibration.fit.across.transfer import fitted_population, fitted_seconds, seconds_of_others, unseen
from joulecast_calibration.fit.cards import HOST, FittedCard, public_card
from joulecast_calibration.fit.heldout import OutOfFoldForecasts, figures, interval_of, leave_families_out
from joulecast_calibration.fit.journal import MeasuredRows, read
from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.fit.prior import PRIORS, Prior, known_of, prior_of
from joulecast_calibration.fit.search import SearchResult, search
from joulecast_calibration.fit.shared import shared_coefficients, sheet_of
from joulecast_calibration.fit.table import Table, table_of, table_of_set
from joulecast_calibration.rows.networks import find_sets, read_set

_TYPICAL = "NVIDIA-A100-SXM4-80GB"
"""Card whose interval stands for all that only their data sheets describe."""
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
"""Cards with a profile of their own: joules, operator power or latency tables say more of them than their data
sheet. Cards whose networks were timed have one, too, where the tables are at hand."""

PRODUCTS_OF_A_LAYER = ("MatMul", "Gemm", "FusedMatMul", "TransposeMatMul", "Attention", "MultiHeadAttention")


def fit(folder: Path, measured: Path | None = None) -> Mapping[str, str]:
    """Return the text of every file that a fit of ``folder`` writes, by name: profiles, and the shared coefficients.

    ``measured``: a folder with rows of this project, a subfolder for each card, from which other cards learn.

    Raises MeasurementError if ``folder`` is not a folder or a set in it lacks its columns.
    """
    read = [found for path in find_sets(folder) for found in read_set(path) if found.rows]
    sets = {sheet.labels[0]: found for found in read if (sheet := sheet_named(found.gpu))}
    networks = (*published_sets(folder), *_own_sets(measured))
    texts = {"generic": _generic(folder, networks)}
    timed = [each.product for each in with_seconds(folder) if fitted_seconds(folder, each.sheet, networks)]
    for product in dict.fromkeys((*SHIPPED, *timed)):
        sheet = sheet_of(product)
        if sheet is None:
            continue
        if product in sets:
            owner = f"the host that {sets[product].name} was measured on"
            card, figures = public_card(folder, sheet, sets[product], owner)
            texts[product] = _profile(folder, card, "public", figures).to_json()
        else:
            origin: Origin = "public" if product in shared_coefficients(folder).power else "transferred"
            texts[product] = _profile(folder, _unseen(folder, sheet, networks), origin, {}).to_json()
    return texts


def _own_sets(measured: Path | None) -> tuple[CardSet, ...]:
    """Return the networks that this project measured, by card."""
    folders = [] if measured is None else sorted(path for path in measured.iterdir() if any(path.glob("*.jsonl")))
    found = [own_set(folder.name, read([folder])) for folder in folders]
    return tuple(each for each in found if each is not None)


def _unseen(folder: Path, sheet: DataSheet, networks: Sequence[CardSet]) -> FittedCard:
    """Transfer the law to a card by networks of other cards, and by its own tables of operators and power at rest."""
    others = tuple(each for each in networks if each.sheet is not sheet)
    card = unseen(folder, sheet, others)
    timed = seconds_of_others(folder) if fitted_seconds(folder, sheet, others) else ()
    return FittedCard(
        sheet=sheet,
        fitted=Fitted(law=card.law, host=card.pace.host),
        interval=card.interval([each.table for each in others]),
        sources=tuple(of_other_cards(others, card.draws, timed, sheet)),
    )


def _profile(folder: Path, card: FittedCard, origin: Origin, figures: Mapping[str, float]) -> AcceleratorProfile:
    sheet, chip, own = card.sheet, chip_of_sheet(card.sheet), next(iter(card.donors), None)
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
        fitted_from=tuple(sources_of_card(folder, card)),
        unverified=sheet.unverified,
        held_out=figures,
        training_range=_range(table_of_set(own.rows, own.truth, lacks=sheet.lacks)) if own and figures else {},
    )
    return as_shipped(profile)


def as_shipped(profile: AcceleratorProfile) -> AcceleratorProfile:
    """Round every coefficient of ``profile`` to the digits that are shipped."""
    return AcceleratorProfile.from_json(json.dumps(rounded(json.loads(profile.to_json()), _DIGITS)))


def hosts(eager: Host) -> dict[str, Host]:
    """Return launch times by runtime.

    A CUDA graph is launched once; onnxruntime calls kernels without Python, at about half the cost. Only eager mode was
    measured; forecasts for the others are wider and say so.
    """
    forward = min(eager.forward_seconds, HOST.forward_seconds)  # no modules are called
    graph = replace(eager, kernel_seconds=0.0, view_seconds=0.0, module_call_seconds=0.0, forward_seconds=forward)
    compiled = replace(graph, kernel_seconds=eager.kernel_seconds / 2)
    return {"torch-eager": eager, "torch-cudagraph": graph, "onnxruntime-cuda": compiled}


def _energy_rows(card: FittedCard, origin: Origin) -> tuple[EnergyRows, ...]:
    """List the rows that have joules of this card as their origin."""
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


def _generic(folder: Path, networks: Sequence[CardSet]) -> str:
    """Return the coefficients of a card that only its data sheet describes; the interval is that of one such card."""
    shared = shared_coefficients(folder)
    population, draws = fitted_population(folder, networks, ())
    sheet = sheet_of(_TYPICAL)
    if sheet is None:
        raise ValueError(f"no data sheet of {_TYPICAL}")
    interval = unseen(folder, sheet, networks, tables=False).interval([each.table for each in networks])
    typical = replace(HOST, measured_on=pace_of(GENERATIONS[0], draws).host.measured_on)
    sources = sources_of_all_cards(folder, networks, draws)
    law = _moved(shared.shares, population)
    document = {
        "law": law,
        "rest": dict(shared.rest),
        "rest_factor": _resting(law) / _resting(shared.shares),
        "paces": {str(bus): math.exp(pace_of(bus, draws).log_mean) for bus in GENERATIONS},
        "hosts": {name: asdict(host) for name, host in hosts(typical).items()},
        "interval": asdict(interval),
        "fitted_from": [asdict(source) for source in sources],
    }
    return json.dumps(rounded(document, _DIGITS), indent=1, sort_keys=True) + "\n"


def _resting(shares: Mapping[str, Any]) -> float:
    return float(shares["gap_watts"] + shares["clock_watts"])


def _moved(shares: Mapping[str, Any], population: Population) -> dict[str, Any]:
    """Return ``shares`` with what networks say of all cards; shares of a peak stay below it."""
    found: dict[str, Any] = {name: dict(v) if isinstance(v, Mapping) else v for name, v in shares.items()}
    for path, shift in zip(population.paths, population.common.tolist(), strict=True):
        name, _, key = path.removeprefix("law.").partition(".")
        scale = math.exp(shift)
        if key:
            found[name][key] = found[name].get(key, 1.0) * scale
        else:
            found[name] *= scale
    for name, value in found["compute_efficiency"].items():
        found["compute_efficiency"][name] = min(value, 1.0)
    return found | {name: min(found[name], 1.0) for name in ("held_share", "voltage_floor")}


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRows:
    """Results of a fit.

    - ``profile``: the part that is kept.
    """

    journal: MeasuredRows
    table: Table
    prior: Prior
    found: SearchResult
    held: OutOfFoldForecasts
    profile: AcceleratorProfile


def fit_measured(
    paths: Sequence[Path],
    *,
    known: AcceleratorProfile | None = None,
    advanced: Callable[[float], None] = lambda _: None,
) -> FittedRows:
    """Fit the profile of the rows in ``paths``, journals or folders of journals.

    ``known``: the profile from before; the shipped one unless given. ``advanced`` is called with the share that is
    done.

    Raises MeasurementError for rows that cannot be fitted, UnknownAcceleratorError and NotCalibratedError for an
    accelerator without stated limits.
    """
    journal = read(paths)
    known = known or known_of(journal.product)
    table = table_of(journal, lacks=known.lacks)
    prior = prior_of(journal, table, known)
    found = search(prior, table)
    advanced(0.1)  # of the time: one search from the prior, and a short one for each family
    held = leave_families_out(prior, table, found, advanced=lambda share: advanced(0.1 + 0.9 * share))
    profile = _measured_profile(journal, table, prior, found, held)
    return FittedRows(journal=journal, table=table, prior=prior, found=found, held=held, profile=profile)


def _measured_profile(
    journal: MeasuredRows, table: Table, prior: Prior, found: SearchResult, held: OutOfFoldForecasts
) -> AcceleratorProfile:
    known = prior.profile
    eager = found.fitted.host
    owner = journal.hosts[0] if journal.hosts else "the host that was measured"
    if any(row.eager for row in table.rows) or prior.measured_host:
        eager = replace(eager, measured_on=owner)
    profile = replace(
        known,
        origin="measured",
        law=found.fitted.law,
        hosts=hosts(eager),
        interval=interval_of(held, known.interval),
        energy_rows=_measured_energy_rows(table),
        fitted_from=(_own_source(journal, table), *known.fitted_from),
        held_out=figures(held),
        training_range=_range(table),
        driver=journal.drivers[0] if journal.drivers else None,
        suite=journal.suite,
        simulated=journal.simulated,
    )
    return AcceleratorProfile.from_json(profile.to_json())


def _measured_energy_rows(table: Table) -> tuple[EnergyRows, ...]:
    """List the op types and arithmetics with joules of this accelerator: all op types where networks were measured."""
    seen = sorted({ARITHMETIC[kind] for kind in table.features.arithmetic.tolist() if kind >= 0})
    op_types = {"*"} if table.is_network.any() else {row.op_type for row in table.rows}
    return (EnergyRows(origin="measured", arithmetics=tuple(seen), op_types=tuple(sorted(op_types))),)


def _own_source(journal: MeasuredRows, table: Table) -> FittedFrom:
    networks = int(table.is_network.sum())
    cards = len({row.hold.split("|")[0] for row in table.rows})
    runs = len({row.hold for row in table.rows})
    made = "simulated device" if journal.simulated else "joulecast measure"
    return FittedFrom(
        name=made,
        what=f"joules of {networks} networks and {table.size - networks} layers, {runs} runs on {cards} cards",
        rows=table.size,
        origin="the rows given to joulecast fit",
        licence="of whoever measured them",
    )


def _range(table: Table) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest FLOPs and bytes of a fitted row; both 0 where no row had any."""
    columns = {"flops": table.features.flops, "bytes": table.features.bytes}
    positive = {name: values[values > 0] for name, values in columns.items()}
    return {
        name: (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        for name, values in positive.items()
    }


def fit_own(texts: Mapping[str, str], measured: Path) -> Mapping[str, str]:
    """Replace those ``texts`` of ``fit`` whose cards have rows in a subfolder of ``measured`` by fits on those rows.

    What was known of such a card before is written under ``priors/``: a fit starts there, so that no row is used twice.

    Raises MeasurementError for rows that cannot be fitted.
    """
    found = dict(texts)
    for folder in sorted(path for path in measured.iterdir() if any(path.glob("*.jsonl"))):
        product = folder.name
        known = AcceleratorProfile.from_json(texts[product]) if product in texts else find(product)
        profile = fit_measured([folder], known=known).profile
        found[product] = as_shipped(profile).to_json()
        found[f"{PRIORS}/{product}"] = known.to_json()
    return found


def write(folder: Path, target: Path, measured: Path | None = None) -> tuple[Path, ...]:
    """Write every file of ``fit(folder)`` and ``fit_own`` into ``target``, after all of them have been made."""
    texts = fit(folder, measured)
    texts = texts if measured is None else fit_own(texts, measured)
    contents = {target / f"{name}.json": text for name, text in sorted(texts.items())}
    write_together(contents)
    return tuple(contents)
