"""Forecast passes of decoders as they generate, by a fit on layers and forward passes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from joulecast.errors import JoulecastError
from joulecast_calibration.evaluate.contenders import PHYSICAL, Outcome, Trial
from joulecast_calibration.evaluate.evaluation import FAMILY, SERVING, Unscored
from joulecast_calibration.evaluate.folder import NamedJournal
from joulecast_calibration.fit.across.sets import network_row
from joulecast_calibration.fit.crossvalidation import by_group, widths_of_others
from joulecast_calibration.fit.prior import Prior
from joulecast_calibration.fit.search import SearchResult, forecast
from joulecast_calibration.fit.table import table_of


def serving_scores(found: NamedJournal, prior: Prior, whole: SearchResult) -> Iterator[Outcome]:
    """Yield the forecasts of the prefill and decode passes of ``found``, and why others are not scored.

    ``whole``: the law on all layers and forward passes, from ``prior``. The interval of each decoder comes from the
    errors on the others.
    """
    served, name = found.journal.served, f"{found.name} {SERVING}"
    if not served:
        return
    try:
        table = table_of(replace(found.journal, rows=served), lacks=prior.profile.lacks)
    except JoulecastError as error:
        yield Unscored(set=name, split=FAMILY, reason=str(error), n=len(served))
        return
    yield from (Unscored(set=name, split=FAMILY, reason=why, n=n) for why, n in sorted(table.left_out.items()))
    joules = forecast(prior, whole.fitted, table).joules
    decoders = np.array([row.name for row in table.rows])
    width = widths_of_others(by_group(np.log(joules / table.joules), decoders), set(decoders.tolist()))
    if not width:
        yield Unscored(set=name, split=FAMILY, reason="one decoder alone: no other tells an interval", n=table.size)
        return
    rows = tuple(network_row(row, row.batch_size) for row in table.rows)
    trial = Trial(found.name, rows, table.joules, table.is_network, ())
    yield trial.forecasts(FAMILY, PHYSICAL, joules, np.array([width[each] for each in decoders]), SERVING)
