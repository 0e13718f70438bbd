"""``joulecast.profile`` and ``joulecast.estimate`` of a module."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

import joulecast
from joulecast.errors import JoulecastError, ModelReferenceError, UnsupportedOperatorError, WorkloadError

MODULE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
IMAGES = torch.zeros(4, 3, 8, 8)
MACS = 4 * (36 * 8 * 27 + 288 * 10)


@pytest.mark.parametrize(
    "inputs", [IMAGES, (IMAGES,), [IMAGES], {"input": IMAGES}], ids=["one", "tuple", "list", "map"]
)
def test_a_module_is_counted_exactly(inputs: Any) -> None:
    profile = joulecast.profile(MODULE, inputs)
    assert (profile.totals.macs, profile.totals.params, profile.totals.mac_rows) == (MACS, 3114, 2)
    assert (profile.source, profile.format, profile.verification) == ("Sequential", "torch-module", None)
    assert profile.input_shapes == {"input": (4, 3, 8, 8)}
    assert profile.workload.batch_size == 4
    assert [row.scope for row in profile.layers if row.macs] == ["0", "3"]
    assert profile.coverage.ops == 1.0


def test_its_document_survives() -> None:
    profile = joulecast.profile(MODULE, IMAGES)
    document = json.loads(json.dumps(joulecast.profile_document(profile)))
    assert joulecast.profile_from_document(document) == profile


def test_the_batch_size_may_be_said() -> None:
    recurrent = nn.LSTM(3, 4)
    assert joulecast.profile(recurrent, torch.zeros(10, 2, 3), batch_size=2).workload.batch_size == 2
    with pytest.raises(WorkloadError, match="batch size 0"):
        joulecast.profile(recurrent, torch.zeros(10, 2, 3), batch_size=0)


def test_a_module_is_priced_by_the_batch_that_it_is_given() -> None:
    forecast = joulecast.estimate(MODULE, example_inputs=IMAGES)
    assert forecast.batch_size == 4
    assert forecast.joules_per_batch == joulecast.estimate(joulecast.profile(MODULE, IMAGES)).joules_per_batch


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        ((MODULE,), {}, WorkloadError, "no example inputs"),
        ((MODULE, IMAGES), {"input_shapes": {"x": (1,)}}, WorkloadError, "leave out input_shapes"),
        ((MODULE, IMAGES), {"graph": "optimized"}, WorkloadError, "leave out"),
        (("model.onnx", IMAGES), {}, WorkloadError, "not a torch.nn.Module"),
        ((nn.Linear, IMAGES), {}, ModelReferenceError, "class"),
        ((3, IMAGES), {}, ModelReferenceError, "int"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[JoulecastError], says: str
) -> None:
    with pytest.raises(error, match=says):
        joulecast.profile(*arguments, **options)


def test_what_no_mode_sees_is_refused() -> None:
    class Unseen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("no rule for HigherOrderOperator")

    with pytest.raises(UnsupportedOperatorError, match="another implementation"):
        joulecast.profile(Unseen(), IMAGES)


def test_graphs_of_recorded_calls_need_no_torch() -> None:
    code = (
        "import sys, joulecast\n"
        "from joulecast.readers.module import graph_digest, graph_of, graph_of_call\n"
        "try:\n    joulecast.profile(3)\n"
        "except joulecast.ModelReferenceError as error:\n    assert 'int' in str(error)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_rows_are_named_by_their_module_and_each_once() -> None:
    names = [row.name for row in joulecast.profile(MODULE, IMAGES).layers]
    assert names[0].startswith("0%")
    assert len(set(names)) == len(names)
