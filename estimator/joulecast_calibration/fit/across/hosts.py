"""How fast hosts launch kernels: draws from a population whose mean depends on the generation of the server."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.generic import chip_of_sheet, generation_of
from joulecast.energy.profile import Host, Law
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.cards import HOST

HOST_SPREAD = 0.35
"""Standard deviation of the logarithm of a host's pace about its generation's: two hosts differ by up to 2 ×."""
GENERATION_SPREAD = 0.35
"""The same of a generation about all: a server's processor is about as old as the bus that its cards need."""
_GENERATION, _INFERENCE = "quantised_eager", "co2_inference"
"""Folders of the two tables of eager decoding."""
_DECODERS = {"A800-SXM4-80GB": ("A800", 4), "A800-80GB": ("A800", 4), "RTX-4090-D": ("RTX 4090 D", 4),
             "RTX-5090": ("RTX 5090", 5)}  # fmt: skip
"""Cards of the eager decoding table: the machine that ran them, and its generation. Its T4 rows cannot be trusted."""
_DECODER_LAYER = (50.7, 25.0, 13.2)
"""Kernels, views and module calls of one layer of Qwen2-1.5B as counted; decoders of its kind launch as many."""
_OPT_PASS = (510.0, 266.0, 271.0)
"""The same of a whole pass of OPT-1.3B."""
_BOUND = 0.6
_TELLING = 3  # rows of a table of several cards that wait for their host before they tell of it (ADR 0165)
_NEW_TOKENS = 10  # of a query of the text generation rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One host: the logarithm of its launch times over those of ``HOST``.

    - ``table``: the folder of data whose rows tell, ``rows`` of them.
    """

    name: str
    table: str
    rows: int
    generation: int
    log_pace: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is known of a host that nobody measured: mean and spread of its log pace, and the hosts that tell."""

    log_mean: float
    log_spread: float
    hosts: tuple[str, ...]

    @property
    def host(self) -> Host:
        owner = f"{len(self.hosts)} hosts of others" if self.hosts else HOST.measured_on
        return replace(HOST, measured_on=owner).paced(math.exp(self.log_mean))


def draw_of(found: CardSet, law: Law) -> Draw | None:
    """Return the pace of a set's host: the median over networks that launches bound, or None where there are none.

    ``law``: of its card; launches bound a network whose kernels are forecast to take less than ``_BOUND`` of its time.
    """
    table = found.table
    kernels = table.compose(law, HOST, chip_of_sheet(found.sheet), found.clock_shares).busy.seconds
    launching = table.launch_seconds(HOST)
    bound = np.array([row.eager for row in table.rows]) & (table.networks.sum(kernels) < _BOUND * table.seconds)
    if found.source:  # of 1,400 networks some are slow for other reasons
        bound &= launching > _BOUND / 2 * table.seconds
    if bound.sum() < (_TELLING if found.source else 1):
        return None
    pace = np.log(table.seconds[bound] / launching[bound])
    return _draw(found.name, generation_of(found.sheet), found.source or found.name, pace)


def decoding_draws(folder: Path) -> Iterator[Draw]:
    """Yield a draw for each machine of the tables of eager decoding, whose host launches every step."""
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in _rows(folder / _GENERATION / "ecocompute.csv"):
        plain = row["quant"] == "fp16" and row["batch"] == "1" and row["usable"] == "yes"
        if plain and row["gpu"] in _DECODERS:
            seconds = float(row["ms_per_step"]) / 1e3 / float(row["layers"])
            found[*_DECODERS[row["gpu"]], _GENERATION].append(math.log(seconds / _launch(_DECODER_LAYER)))
    for row in _rows(folder / _INFERENCE / "co2_inference.csv"):
        if row["model"] == "facebook/opt-1.3b" and row["task"].startswith("textgen") and row["usable"] == "yes":
            step = float(row["seconds_per_query"]) / _NEW_TOKENS
            found["A100 cloud node", 4, _INFERENCE].append(math.log(step / (_launch(_OPT_PASS) + HOST.forward_seconds)))
    for (name, generation, table), paces in sorted(found.items()):
        yield _draw(name, generation, table, paces)


def _draw(name: str, generation: int, table: str, paces: Sequence[float] | Array) -> Draw:
    return Draw(name=name, table=table, rows=len(paces), generation=generation, log_pace=float(np.median(paces)))


def _launch(counts: Sequence[float]) -> float:
    kernels, views, modules = counts
    return HOST.kernel_seconds * kernels + HOST.view_seconds * views + HOST.module_call_seconds * modules


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as text:
            yield from csv.DictReader(text)


def pace_of(generation: int, draws: Sequence[Draw]) -> Pace:
    """Return what ``draws`` say of an unknown host of a generation.

    Hosts spread about the mean of their generation, and generations about a mean of which nothing else is known.
    """
    generations: dict[int, list[float]] = defaultdict(list)
    for draw in draws:
        generations[draw.generation].append(draw.log_pace)
    if not generations:
        return Pace(log_mean=0.0, log_spread=math.hypot(HOST_SPREAD, GENERATION_SPREAD), hosts=())
    weights = {g: 1 / (GENERATION_SPREAD**2 + HOST_SPREAD**2 / len(paces)) for g, paces in generations.items()}
    total = sum(weights.values())
    everywhere = sum(weights[g] * float(np.mean(paces)) for g, paces in generations.items()) / total
    mine = generations.get(generation, [])
    told = GENERATION_SPREAD**2 / (GENERATION_SPREAD**2 + HOST_SPREAD**2 / len(mine)) if mine else 0.0
    here = everywhere + told * (float(np.mean(mine)) - everywhere if mine else 0.0)
    left = GENERATION_SPREAD**2 * (1 - told) + (1 - told) ** 2 / total + HOST_SPREAD**2
    return Pace(log_mean=here, log_spread=math.sqrt(left), hosts=tuple(draw.name for draw in draws))
