"""An evaluation as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from joulecast.calibration.evaluate import figures
from joulecast.calibration.evaluate.biases import biases
from joulecast.calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast.calibration.evaluate.page import (
    BIAS_HEADER,
    MEANINGS,
    STUDIES,
    bias_cells,
    described,
    kin_sentence,
    own_lines,
    reference,
    sets_of,
)
from joulecast.calibration.evaluate.protocol import ARCHITECTURE, FAMILY, VISION_TRAINED, ZERO_SHOT, Evaluation
from joulecast.calibration.evaluate.repeats import repeats
from joulecast.calibration.evaluate.report import HEADER, cells
from joulecast.calibration.evaluate.scores import Forecasts, Score, score
from joulecast.calibration.evaluate.targets import targets
from joulecast.calibration.evaluate.transfer import DATASHEET, TRANSFERRED
from joulecast.calibration.systems.catalogue import LAYER_WISE
from joulecast.energy.features import Array

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .6rem; text-align: right; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #555; font-size: 13px; }
.missed { color: #a00; }
"""

_NO_LAYERS = (
    "These sets hold whole networks alone. No layers were measured, so there is no error against the number of "
    "calibration layers, and none by op type."
)


def as_html(found: Evaluation) -> str:
    """The report. Raises JoulecastError without matplotlib."""
    body = "".join(_body(found))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f"<title>Accuracy of joulecast</title><style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _body(found: Evaluation) -> Iterator[str]:
    yield "<h1>Accuracy of joulecast</h1>"
    yield (
        "<p>Absolute percentage errors of joules per batch. Coverage: share of rows inside the 90 % interval; "
        "half-width in percent of the forecast. Systems marked * are aggregate-fitted: on sums by layer type.</p>"
    )
    for name in sets_of(found):
        yield f"<h2>{escape(name)}</h2><p>{escape(described(name))}</p>"
        yield from _of_set(found, name)
    if found.unscored:
        yield "<h2>Not scored</h2>"
        yield _table(("set", "split", "rows", "why"), [(e.set, e.split, str(e.n), e.reason) for e in found.unscored])


def _of_set(found: Evaluation, name: str) -> Iterator[str]:
    lines = own_lines(found, name)
    yield from _targets(lines, name)
    yield "<h3>Every system by task</h3>"
    for split, meaning in MEANINGS.items():
        yield from _scores(split, meaning, [line for line in lines if line.split == split and line.set == name])
    yield from _pictures(found, name)
    yield from _studies(found, lines, name)
    own = reference(found, name)
    yield f"<h3>Layers</h3><p>{_NO_LAYERS}</p>"
    yield f"<h3>Strict and loose family splits</h3><p>{escape(kin_sentence(own))}</p>"
    yield from _scores(
        "strict = loose", MEANINGS[FAMILY], [line for line in lines if line.split == FAMILY and line.set == name]
    )


def _targets(lines: Sequence[Score], name: str) -> Iterator[str]:
    known = list(targets(lines, name))
    if known:
        rows = [(each.name, each.wanted, each.found, each.verdict.replace("*", "")) for each in known]
        yield "<h3>Targets</h3>" + _table(("target", "wanted", "found", ""), rows)


def _pictures(found: Evaluation, name: str) -> Iterator[str]:
    left_out = _chosen(found, name, ARCHITECTURE)
    if left_out:
        held = "each architecture by a fit of the others"
        yield "<h3>Errors over all architectures</h3>"
        yield _figure(f"{name}:distribution", figures.error_distribution(left_out), f"Histogram and violins, {held}.")
        yield "<h3>Errors by architecture</h3>"
        by_architecture = figures.errors_by_group(left_out, _architectures, label=_system)
        yield _figure(f"{name}:architectures", by_architecture, f"Median errors, {held}.")
        yield "<h3>Errors by batch size</h3>"
        yield _figure(f"{name}:batches", figures.error_by_batch(left_out), f"Median errors, {held}.")
        yield from _scores(
            "by batch size", MEANINGS[ARCHITECTURE], [line for own in left_out for line in _by_batch(own)]
        )
    yield from _of_physical(found, name)


def _by_batch(own: Forecasts) -> Iterator[Score]:
    batches = np.array([row.batch_size for row in own.rows])
    for batch in np.unique(batches).tolist():
        yield score(own, batches == batch, suffix=f" batch {batch}")


def _of_physical(found: Evaluation, name: str) -> Iterator[str]:
    own = [each for split in (ARCHITECTURE, TRANSFERRED) for each in _chosen(found, name, split, only=PHYSICAL)]
    if own:
        yield "<h3>Intervals of physical</h3>"
        yield _figure(f"{name}:intervals", figures.intervals(own), "Coverage (wanted: the band) and half-width.")
    for each in own:
        yield f"<h3>physical, {each.split}: forecast against measured, and residuals</h3>"
        bars = "Bars: the 90 % interval."
        yield _figure(f"{name}:scatter-{each.split}", figures.predicted_against_measured(each), bars)
        yield _figure(f"{name}:residuals-{each.split}", figures.residuals(each), "Signed errors.")
        yield _table(BIAS_HEADER, [bias_cells(bias) for bias in biases(each)])
    noise = repeats(reference(found, name).rows, reference(found, name).truth)
    yield f"<h3>Noise floor</h3><p>{escape(str(noise))}</p>"
    if noise.percent.size and own:
        yield _figure(f"{name}:noise", figures.repeat_distances(noise.percent, own[0]), "Repeats beside errors.")


def _studies(found: Evaluation, lines: Sequence[Score], name: str) -> Iterator[str]:
    vision, balanced = _chosen(found, name, ARCHITECTURE, VISION_TRAINED), _chosen(found, name, ARCHITECTURE)
    if vision and balanced:
        yield "<h3>Trained balanced, and trained on vision</h3>"
        pairs = [each for system in SYSTEMS for each in (*balanced, *vision) if each.system == system]
        picture = figures.errors_by_group(pairs, _tasks, label=lambda own: f"{own.system} {own.study or 'balanced'}")
        yield _figure(f"{name}:training", picture, "Median errors by task.")
        yield from _scores("balanced", MEANINGS[ARCHITECTURE], _of(lines, name, ARCHITECTURE))
        yield from _scores(VISION_TRAINED, STUDIES[VISION_TRAINED], _of(lines, f"{name} {VISION_TRAINED}"))
    yield from _scores(DATASHEET, STUDIES[DATASHEET], _of(lines, f"{name} {DATASHEET}"))
    unseen = _chosen(found, name, FAMILY, ZERO_SHOT)
    if unseen:
        yield "<h3>Language models, trained without any</h3>"
        yield _figure(
            f"{name}:zero-shot", figures.errors_by_group(unseen, _architectures, label=_system), "Median errors."
        )
        each = [line for line in lines if line.set.startswith(f"{name} {ZERO_SHOT}")]
        yield from _scores(ZERO_SHOT, STUDIES[ZERO_SHOT], each)


def _of(lines: Sequence[Score], name: str, split: str = "") -> Sequence[Score]:
    return [line for line in lines if line.set == name and split in ("", line.split)]


def _chosen(found: Evaluation, name: str, split: str, study: str = "", *, only: str = "") -> list[Forecasts]:
    wanted = name, split, study
    return [
        each for each in found.forecasts
        if (each.set, each.split, each.study) == wanted and only in ("", each.system)
    ]  # fmt: skip


def _architectures(own: Forecasts) -> Array:
    return own.architectures


def _tasks(own: Forecasts) -> Array:
    return np.array([str(task) for task in own.tasks])


def _system(own: Forecasts) -> str:
    return own.system


def _scores(title: str, meaning: str, lines: Sequence[Score]) -> Iterator[str]:
    if not lines:
        return
    yield f"<h4>{escape(title)}</h4><p>{escape(meaning)}</p>"
    rows = [(line.system + "*" * (line.system in LAYER_WISE), *cells(line, line.set)) for line in lines]
    yield _table(("system", *HEADER), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n"


def _cell(text: str) -> str:
    return f'<td class="missed">{escape(text)}</td>' if text.startswith("missed") else f"<td>{escape(text)}</td>"


def _figure(name: str, svg: str, caption: str) -> str:
    return f'<figure id="{escape(name)}">{svg}<figcaption>{escape(caption)}</figcaption></figure>\n'
