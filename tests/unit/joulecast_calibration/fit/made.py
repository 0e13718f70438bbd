"""The same rows with joules and seconds that a law of the tests' choice gives them: a truth that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.search import forecast


def made_by(fitted: FittedRows, factor: float) -> FittedRows:
    """By the prior's law, but that a byte costs ``factor`` times as much; at the clocks as measured."""
    law = replace(fitted.prior.laws.law, byte_joules=fitted.prior.laws.law.byte_joules * factor)
    clock = fitted.prior.clock_shares(fitted.table)
    found = fitted.table.compose(law, fitted.prior.laws.host, fitted.prior.uncapped, clock)
    return replace(fitted, table=replace(fitted.table, joules=found.joules, seconds=found.seconds))


def made_at_boost(fitted: FittedRows, factor: float) -> FittedRows:
    """As ``made_by``, from boost and under the power limit, as a forecast is; clocks are those that it chose."""
    law = replace(fitted.prior.laws.law, byte_joules=fitted.prior.laws.law.byte_joules * factor)
    found = forecast(fitted.prior, Fitted(law=law, host=fitted.prior.laws.host), fitted.table)
    boost = fitted.prior.profile.boost_clock_mhz or np.nan
    table = replace(fitted.table, joules=found.joules, seconds=found.seconds, clock_mhz=found.clock * boost)
    return replace(fitted, table=table)
