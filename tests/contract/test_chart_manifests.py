"""The chart renders what is kept in tests/chart/manifests, by Helm 3 and Helm 4 alike."""

from __future__ import annotations

import pytest
import yaml

from tests.chart.manifests import FOLDER, VALUES, file_of, kept, rendered
from tests.contract.test_chart import CHART, LOADER


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize("name", VALUES)
def test_it_renders_what_is_kept(name: str, helm: str) -> None:
    found = kept(rendered(name, helm))
    assert found == file_of(name).read_text(), "if this is what you want: python -m tests.chart.manifests"


def test_each_file_belongs_to_a_set_of_values() -> None:
    assert {path.stem for path in (FOLDER / "manifests").iterdir()} == VALUES.keys()


def test_every_template_has_an_object_in_some_set() -> None:
    templates = {path.relative_to(CHART).as_posix() for path in (CHART / "templates").rglob("*.yaml")}
    whole = "".join(rendered(name) for name in VALUES)
    assert [each for each in sorted(templates) if f"# Source: joulecast/{each}\n" not in whole] == []


def test_the_definitions_and_the_dashboard_are_all_that_is_not_kept() -> None:
    everything = yaml.load_all(rendered("default"), Loader=LOADER)
    names = {(each["kind"], each["metadata"]["name"]) for each in everything if each}
    present = yaml.load_all(file_of("default").read_text(), Loader=LOADER)
    left = names - {(each["kind"], each["metadata"]["name"]) for each in present}
    assert {kind for kind, _ in left} == {"CustomResourceDefinition", "ConfigMap"}
    assert [name for kind, name in left if kind == "ConfigMap"] == ["joulecast-dashboard"]
