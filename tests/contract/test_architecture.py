"""The functions that docs/architecture.md names exist, and a forecast calls those of its list in the page's order."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import joulecast
from tests import checkpoints, images, small_models
from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
WAYS = (
    "From a source to joules",
    "From a configuration to joules",
    "From an event to a status",
    "From a row to a profile",
)
PACKAGES = "joulecast|joulecast_calibration|joulecast_operator"


def names(text: str) -> list[str]:
    """Dotted names of this project in code marks, in their order."""
    return re.findall(rf"`((?:{PACKAGES})(?:\.\w+)+)`", text)


def steps(way: str) -> list[str]:
    """The first name of each numbered step under a heading."""
    section = PAGE.partition(f"\n## {way}\n")[2].partition("\n## ")[0]
    return [names(step)[0] for step in re.findall(r"^\d+\. .*$", section, re.MULTILINE)]


def found(name: str) -> Any:
    """What a dotted name stands for: a module, or what is inside one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise  # a module of the project lacks one that it imports
            continue
        for attribute in parts[length:]:
            value = getattr(value, attribute)
        return value
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", sorted(set(names(PAGE))))
def test_a_name_on_the_page_can_be_imported(name: str) -> None:
    assert found(name) is not None


@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_a_list_of_functions_and_classes(way: str) -> None:
    assert len(steps(way)) >= 12
    assert [name for name in steps(way) if not callable(found(name))] == []


def test_a_name_that_does_not_exist_is_found_out() -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        found("joulecast.counting.rows.no_such_function")
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        found("joulecast.no_such_module.count")


def test_a_forecast_calls_the_functions_of_its_way_in_their_order(tmp_path: Path) -> None:
    model = small_models.classifier(tmp_path / "model.onnx")
    images.write_layout(images.build([{"models/model.onnx": model.read_bytes()}]), tmp_path / "image")
    way = steps(WAYS[0])
    assert calls(way, lambda: joulecast.estimate(str(tmp_path / "image"), "NVIDIA-H200", batch_size=32)) == way


def test_a_forecast_of_generation_calls_the_functions_of_its_way_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(dict(checkpoints.CONFIG)))
    way = steps(WAYS[1])
    assert calls(way, lambda: joulecast.estimate_generation(tmp_path, "NVIDIA-H200")) == way


def calls(way: list[str], forecast: Callable[[], object]) -> list[str]:
    """The functions of ``way`` that ``forecast`` calls, in the order of their first calls."""
    code: dict[CodeType, str] = {inspect.unwrap(found(name)).__code__: name for name in way}
    called: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in code:
            called.setdefault(code[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        forecast()
    finally:
        sys.setprofile(before)
    return list(called)
