"""Scores of layer rows: errors by op type, errors by number of measured layers, and noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.generic import datasheet_profile
from joulecast_calibration.evaluate.evaluation import LearningScore, NoiseScore, OpTypeScore
from joulecast_calibration.evaluate.scores import repeat_distances
from joulecast_calibration.fit.heldout import percent_errors
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.fit.learning import learning
from joulecast_calibration.fit.prior import known_of, prior_of
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.fit.table import Table


def op_type_scores(name: str, system: str, table: Table, joules: Array) -> Iterator[OpTypeScore]:
    """Yield the error of each op type over layers with a forecast; ``joules`` (size,) is nan where there is none."""
    op_types = np.array([row.op_type for row in table.rows])
    kept = ~table.is_network & np.isfinite(joules)
    percent = 100 * percent_errors(joules, table.joules)
    for op_type in sorted(set(op_types[kept].tolist())):
        own = percent[kept & (op_types == op_type)]
        yield OpTypeScore(
            set=name,
            system=system,
            op_type=op_type,
            n=own.size,
            mean_ape=float(own.mean()),
            median_ape=float(np.median(own)),
            max_ape=float(own.max()),
            min_ape=float(own.min()),
        )


def learning_scores(name: str, journal: MeasuredRows, table: Table) -> Iterator[LearningScore]:
    """Yield the errors by number of fitted layers, from the card's data sheet, or its shipped profile without one."""
    sheet = sheet_of(journal.product)
    known = known_of(journal.product) if sheet is None or sheet.missing else datasheet_profile(sheet)
    for step in learning(prior_of(journal, table, known), table):
        yield LearningScore(
            set=name,
            layers=step.layers,
            on=step.on,
            n=step.rows,
            mean_ape=100 * step.mean_ape,
            median_ape=100 * step.median_ape,
        )


def noise_scores(name: str, table: Table) -> Iterator[NoiseScore]:
    """Yield the differences between repeated measurements of networks and of layers."""
    for on, kept in (("networks", table.is_network), ("layers", ~table.is_network)):
        configurations = np.array([row.configuration for row in table.rows])[kept]
        percent = repeat_distances(configurations.tolist(), table.joules[kept])
        if percent.size:
            median, largest = float(np.median(percent)), float(percent.max())
            yield NoiseScore(set=name, on=on, n=percent.size, median=median, max=largest)
