"""Write an evaluation as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from operator import attrgetter

import numpy as np

from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    LAYER_FITTED,
    LOOSE,
    MOST_GROUPS,
    SERVING,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
    Score,
    ScoredForecasts,
    repeat_distances,
    score,
    scores,
)
from joulecast_calibration.evaluate.report import cards, figures, served, timed
from joulecast_calibration.evaluate.report.listing import Listing
from joulecast_calibration.evaluate.report.meanings import STUDIES, described, labelled, meanings_of
from joulecast_calibration.evaluate.report.page import kin_sentence, noise_sentence, own_lines, reference, sets_of
from joulecast_calibration.evaluate.report.served import served_listings
from joulecast_calibration.evaluate.report.tables import (
    HEADER,
    bias_listing,
    cells,
    learning_listing,
    op_type_listing,
    power_listing,
    targets_listing,
    warning,
)
from joulecast_calibration.evaluate.report.targets import MEASURED_ROWS
from joulecast_calibration.evaluate.report.timed import timed_listings

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .6rem; text-align: right; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #555; font-size: 13px; }
.missed { color: #a00; }
.simulated { background: #a00; color: #fff; font-weight: bold; padding: .6rem 1rem; }
"""

_NO_LAYERS = (
    "This set holds whole networks alone. No layers were measured, so there is no error against the number of "
    "calibration layers, and none by op type."
)


def as_html(found: Evaluation) -> str:
    """Return the report as HTML. Raises JoulecastError without matplotlib."""
    body = "".join(_body(found))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f"<title>{_title(found)}</title><style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _title(found: Evaluation) -> str:
    return "Accuracy of joulecast" + ", simulated" * bool(found.simulated)


def _body(found: Evaluation) -> Iterator[str]:
    yield f"<h1>{_title(found)}</h1>"
    if found.simulated:
        yield f'<p class="simulated">{escape(warning(found))}</p>'
    yield (
        "<p>Absolute percentage errors of joules per batch. Coverage: share of rows inside the 90 % interval; "
        "half-width in percent of the forecast. Systems marked * are aggregate-fitted: on sums by layer type.</p>"
    )
    for name in sets_of(found):
        yield f"<h2>{escape(name)}</h2><p>{escape(described(found, name))}</p>"
        yield from _of_set(found, name)
    yield from _cards(found)
    yield from _listed(power_listing(found), level=2)
    if not found.measured:
        yield f"<h2>Targets on {MEASURED_ROWS}</h2><p>There are none yet.</p>"
        yield from _listed(targets_listing(found, MEASURED_ROWS))
    yield from _served(found)
    if found.unscored:
        yield "<h2>Not scored</h2>"
        yield _table(("set", "split", "rows", "why"), [(e.set, e.split, str(e.n), e.reason) for e in found.unscored])


def _cards(found: Evaluation) -> Iterator[str]:
    if found.cards.scores:
        yield f"<h2>{cards.TITLE}</h2><p>{escape(cards.INTRODUCTION)}</p>"
        for listing in cards.card_listings(found.cards):
            yield from _listed(listing)
        yield from _listed(cards.ranking_listing(found.cards), level=2)
    if found.cards.settings:
        yield from _listed(cards.setting_listing(found.cards), level=2)


def _served(found: Evaluation) -> Iterator[str]:
    if found.served.scores:
        yield f"<h2>{served.TITLE}</h2><p>{escape(served.INTRODUCTION)}</p>"
        for listing in served_listings(found.served):
            yield from _listed(listing)
    if found.timed.scores:
        yield f"<h2>{timed.TITLE}</h2><p>{escape(timed.INTRODUCTION)}</p>"
        for listing in timed_listings(found.timed):
            yield from _listed(listing)


def _of_set(found: Evaluation, name: str) -> Iterator[str]:
    lines = own_lines(found, name)
    yield from _listed(targets_listing(found, name))
    yield "<h3>Every system by task</h3>"
    for split, meaning in meanings_of(found, name).items():
        yield from _scores(split, meaning, _of(lines, name, split))
    yield from _pictures(found, name)
    yield from _studies(found, lines, name)
    yield from _layers(found, name)
    yield from _families(found, lines, name)


def _listed(listing: Listing, *, level: int = 3, picture: str = "") -> Iterator[str]:
    """Yield the table under its title and ``picture``, or nothing for a table without rows."""
    if listing.rows:
        yield f"<h{level}>{listing.title}</h{level}>" + (f"<p>{escape(listing.note)}</p>" if listing.note else "")
        yield picture + _table(listing.header, listing.rows)


def _families(found: Evaluation, lines: Sequence[Score], name: str) -> Iterator[str]:
    yield f"<h3>Strict and loose family splits</h3><p>{escape(kin_sentence(found, name))}</p>"
    loose = _of(lines, f"{name} {LOOSE}")
    title, meaning = "strict" if loose else "strict = loose", meanings_of(found, name)[FAMILY]
    yield from _scores(title, meaning, _of(lines, name, FAMILY))
    yield from _scores(LOOSE, STUDIES[LOOSE], loose)


def _pictures(found: Evaluation, name: str) -> Iterator[str]:
    split = found.headline(name)
    left_out = _chosen(found, name, split)
    if left_out:
        held = _HELD[split]
        yield "<h3>Errors over all architectures</h3>"
        yield _figure(f"{name}:distribution", figures.error_distribution(left_out), f"Histogram and violins, {held}.")
        yield from _by_architecture(name, left_out, held)
        yield "<h3>Errors by batch size</h3>"
        yield _figure(f"{name}:batches", figures.error_by_batch(left_out), f"Median errors, {held}.")
        lines = [line for own in left_out for line in _by_batch(own)]
        yield from _scores("by batch size", meanings_of(found, name)[split], lines)
    yield from _of_physical(found, name)


_HELD = {ARCHITECTURE: "each architecture by a fit of the others", FAMILY: "each family by a fit of the others"}


def _by_architecture(name: str, left_out: Sequence[ScoredForecasts], held: str) -> Iterator[str]:
    yield "<h3>Errors by architecture</h3>"
    if np.unique(left_out[0].architectures).size <= MOST_GROUPS:
        picture = figures.errors_by_group(left_out, attrgetter("architectures"), label=attrgetter("system"))
        yield _figure(f"{name}:architectures", picture, f"Median errors, {held}.")
        return
    yield _figure(f"{name}:architectures", figures.sorted_errors(left_out), f"Architectures in order, {held}.")
    own = [line for line in scores(left_out[0]) if line.set != name]
    rows = [cells(line, line.set.removeprefix(name).strip()) for line in own]
    yield f"<details><summary>{left_out[0].system}, every architecture</summary>{_table(HEADER, rows)}</details>"


def _by_batch(own: ScoredForecasts) -> Iterator[Score]:
    batches = np.array([row.batch_size for row in own.rows])
    for batch in np.unique(batches).tolist():
        yield score(own, batches == batch, suffix=f" batch {batch}")


def _of_physical(found: Evaluation, name: str) -> Iterator[str]:
    splits = (found.headline(name), TRANSFERRED)
    own = [each for split in splits for each in _chosen(found, name, split, only=PHYSICAL)]
    if own:
        yield "<h3>Intervals of physical</h3>"
        yield _figure(f"{name}:intervals", figures.intervals(own), "Coverage (wanted: the band) and half-width.")
    for each in own:
        yield f"<h3>physical, {each.split}: forecast against measured, and residuals</h3>"
        bars = "Bars: the 90 % interval."
        yield _figure(f"{name}:scatter-{each.split}", figures.predicted_against_measured(each), bars)
        yield _figure(f"{name}:residuals-{each.split}", figures.residuals(each), "Signed errors.")
        shown = bias_listing(each)
        yield _table(shown.header, shown.rows)
    if _chosen(found, name):
        yield f"<h3>Noise floor</h3><p>{escape(noise_sentence(found, name))}</p>"
        noise = repeat_distances(reference(found, name).rows, reference(found, name).truth)
        if noise.size and own:
            yield _figure(f"{name}:noise", figures.repeat_distances(noise, own[0]), "Repeats beside errors.")


def _studies(found: Evaluation, lines: Sequence[Score], name: str) -> Iterator[str]:
    split = found.headline(name)
    vision, balanced = _chosen(found, name, split, VISION_TRAINED), _chosen(found, name, split)
    if vision and balanced:
        yield "<h3>Trained balanced, and trained on vision</h3>"
        pairs = [each for system in SYSTEMS for each in (*balanced, *vision) if each.system == system]
        picture = figures.errors_by_group(
            pairs, attrgetter("tasks"), label=lambda own: f"{own.system} {own.study or 'balanced'}"
        )
        yield _figure(f"{name}:training", picture, "Median errors by task.")
        meaning = meanings_of(found, name)[split]
        yield from _scores("balanced", meaning, _of(lines, name, split))
        yield from _scores(VISION_TRAINED, STUDIES[VISION_TRAINED], _of(lines, f"{name} {VISION_TRAINED}"))
    yield from _scores(LAYER_FITTED, STUDIES[LAYER_FITTED], _of(lines, f"{name} {LAYER_FITTED}"))
    yield from _scores(SERVING, STUDIES[SERVING], _of(lines, f"{name} {SERVING}"))
    yield from _scores(DATASHEET, STUDIES[DATASHEET], _of(lines, f"{name} {DATASHEET}"))
    unseen = _chosen(found, name, FAMILY, ZERO_SHOT)
    if unseen:
        yield "<h3>Language models, trained without any</h3>"
        yield _figure(
            f"{name}:zero-shot",
            figures.errors_by_group(unseen, attrgetter("architectures"), label=attrgetter("system")),
            "Median errors.",
        )
        each = [line for line in lines if line.set.startswith(f"{name} {ZERO_SHOT}")]
        yield from _scores(ZERO_SHOT, STUDIES[ZERO_SHOT], each)


def _layers(found: Evaluation, name: str) -> Iterator[str]:
    op_types = [each for each in found.op_types if each.set == name]
    steps = [each for each in found.learning if each.set == name]
    if not op_types and not steps:
        yield f"<h3>Layers</h3><p>{_NO_LAYERS}</p>"
    if op_types:
        shown = op_type_listing(op_types)
        yield f"<h3>{shown.title}</h3><p>{escape(shown.note)}</p>"
        caption = "Median errors of the most frequent ones (number of layers)."
        yield _figure(f"{name}:op-types", figures.error_by_op_type(op_types), caption)
        yield f"<details><summary>every op type</summary>{_table(shown.header, shown.rows)}</details>"
    if steps:
        picture = _figure(f"{name}:learning", figures.error_by_layers(steps), f"Errors on {steps[0].on}.")
        yield from _listed(learning_listing(found, name), picture=picture)


def _of(lines: Sequence[Score], name: str, split: str = "") -> Sequence[Score]:
    return [line for line in lines if line.set == name and split in ("", line.split)]


def _chosen(found: Evaluation, name: str, split: str = "", study: str = "", *, only: str = "") -> list[ScoredForecasts]:
    return [
        each for each in found.forecasts
        if (each.set, each.study) == (name, study) and split in ("", each.split) and only in ("", each.system)
    ]  # fmt: skip


def _scores(title: str, meaning: str, lines: Sequence[Score]) -> Iterator[str]:
    if not lines:
        return
    yield f"<h4>{escape(title)}</h4><p>{escape(meaning)}</p>"
    yield _table(("system", *HEADER), [(labelled(line.system, title), *cells(line, line.set)) for line in lines])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n"


def _cell(text: str) -> str:
    missed = ' class="missed"' if text.startswith("**missed**") else ""
    return f"<td{missed}>{escape(text.replace('**missed**', 'missed'))}</td>"


def _figure(name: str, svg: str, caption: str) -> str:
    return f'<figure id="{escape(name)}">{svg}<figcaption>{escape(caption)}</figcaption></figure>\n'
