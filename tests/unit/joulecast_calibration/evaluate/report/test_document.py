"""The report in HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import FAMILY, IN_SAMPLE, TRANSFERRED, Evaluation
from joulecast_calibration.evaluate.report.document import as_html
from joulecast_calibration.evaluate.report.figures import predicted_against_measured
from tests.unit.joulecast_calibration.evaluate.forecasts import evaluated, evaluation, forecasts

pytestmark = pytest.mark.slow

PICTURES = {
    "distribution", "architectures", "batches", "intervals", "scatter-leave-architecture-out",
    "residuals-leave-architecture-out", "scatter-transferred", "residuals-transferred", "noise", "training",
    "zero-shot",
}  # fmt: skip


@pytest.fixture(scope="module")
def report() -> str:
    return as_html(evaluation())


def test_every_picture_is_there_and_drawn(report: str) -> None:
    root = ElementTree.fromstring(report.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314, our own
    figures = {figure.attrib["id"].removeprefix("a_set:"): figure for figure in root.iter("figure")}
    assert set(figures) == PICTURES
    for name, figure in figures.items():
        drawn = [*figure.iter("{http://www.w3.org/2000/svg}path"), *figure.iter("{http://www.w3.org/2000/svg}use")]
        assert len(drawn) > 10, name


def test_the_pictures_name_every_system(report: str) -> None:
    distribution = report.partition('id="a_set:distribution"')[2].partition("</figure>")[0]
    for system in SYSTEMS:
        assert distribution.count(f">{system}<") == 2  # legend of the histogram, axis of the violins


def test_the_file_needs_nothing_else(report: str) -> None:
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', report) == []
    assert "@import" not in report
    assert "<script" not in report


def test_every_part_has_its_section(report: str) -> None:
    class Headings(HTMLParser):
        found: list[str] = []  # noqa: RUF012
        inside = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.inside = tag in ("h2", "h3", "h4")

        def handle_data(self, text: str) -> None:
            if self.inside:
                self.found.append(text)
                self.inside = False

    reader = Headings()
    reader.feed(report)
    for wanted in (
        "a_set", "Targets", "Every system by task", "Errors over all architectures", "Errors by architecture",
        "Errors by batch size", "Intervals of physical", "Noise floor", "Trained balanced, and trained on vision",
        "Language models, trained without any", "Layers", "Strict and loose family splits", "Not scored",
        "data sheet alone", "by batch size",
    ):  # fmt: skip
        assert wanted in reader.found


def test_text_of_a_folder_is_no_markup(report: str) -> None:
    assert "no graph of &lt;unheard&gt;" in report


@pytest.mark.slow
def test_two_sets_have_pictures_of_their_own() -> None:
    pair = [replace(forecasts(PHYSICAL, TRANSFERRED), set=name) for name in ("a_set", "b_set")]
    names = re.findall('<figure id="([^"]*)"', as_html(evaluated(*pair)))
    assert len(names) == len(set(names)) == 2 * 3


def test_what_the_rows_cannot_tell_is_said(report: str) -> None:
    assert "No layers were measured" in report
    assert "1 rows repeat another one" in report


def test_a_set_of_which_little_is_known_has_a_report() -> None:
    some = as_html(evaluated(forecasts(PHYSICAL, IN_SAMPLE), forecasts(PHYSICAL, FAMILY)))
    assert "noise of these measurements is not known" in some
    assert "<figure" not in some
    nothing = as_html(Evaluation(results=(), unscored=()))
    assert re.findall("<h2>([^<]*)", nothing) == ["Targets on rows measured by this project"]
    assert "no rows" in nothing


@pytest.mark.slow
def test_the_same_figures_are_the_same_picture() -> None:
    first, second = (predicted_against_measured(forecasts(PHYSICAL, TRANSFERRED)) for _ in range(2))
    assert first == second
