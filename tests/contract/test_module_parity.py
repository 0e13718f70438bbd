"""A network read from its module and from its ONNX file has the same rows.

Each module is built again without values and traced here; the file is the golden graph of the same configuration.
Masks that an exporter writes out and eager mode skips are why bytes may differ a little; MACs may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.energy import networks as filed_networks
from joulecast.readers.onnx import read
from joulecast_calibration import suite
from tests.contract.node_tests import node_tests
from tests.contract.test_onnx_conformance import graph_of as graph_of_test
from tests.contract.test_onnx_conformance import skipped
from tests.models import golden

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("timm")

from joulecast.readers.module import graph_of, trace  # noqa: E402  (after torch is known to be there)
from tests.models import architectures, modules, networks  # noqa: E402

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph
    from joulecast.layers import LayerProfile
    from tests.models.definitions import Export

COUNTS = 1e-3
BYTES = 3e-2

EXPORTS = {export.name: export for export in architectures.EXPORTS if export.name in golden.FILED}
LARGE_BATCH = 32
BATCHED = (
    "resnet50", "swin_t", "mobilevit_s", "bert_base", "gpt2", "t5_small", "ast", "whisper_tiny", "speecht5_hifigan",
)  # fmt: skip
"""Of every task and of each kind of operator, with the batch left open in the file."""

IN_BFLOAT16 = ("qwen2-1.5b-bfloat16", "gpt2-bfloat16")
NETWORKS = {
    export.name: export
    for export in networks.EXPORTS
    if export.name in IN_BFLOAT16 or (export.dtype == "float32" and not export.name.startswith("qwen2"))
}
"""All of the A100 set, two of them in the type that adds casts."""

KERNELS = 5e-2
"""Launches of eager mode: shape arithmetic on the device that a file does not hold."""

EAGER_LENGTH = 128
EAGER_BATCH = 2

QUICK = ("alexnet", "distilbert", "whisper_tiny")
"""One of each task that is read in less than a second: these are compared in the quick loop, too."""


@cache
def from_module(name: str, batch_size: int = 1) -> tuple[LayerProfile, ...]:
    return rows(traced(EXPORTS[name], batch_size=batch_size))


@cache
def from_file(name: str, batch_size: int = 1) -> tuple[LayerProfile, ...]:
    return rows(golden.graph(name) if batch_size == 1 else golden.graph(name, batch_size=batch_size))


def traced(export: Export, *, batch_size: int, length: int = golden.LENGTH) -> ModelGraph:
    module, arguments = modules.built(export, batch_size=batch_size, length=length)
    return graph_of(trace(module, (), arguments, name=export.name))


def rows(graph: ModelGraph, *, eager: bool = False) -> tuple[LayerProfile, ...]:
    return count(canonicalise(graph, eager=eager))


def assert_alike(module: tuple[LayerProfile, ...], file: tuple[LayerProfile, ...]) -> None:
    mine, theirs = totals(module), totals(file)
    assert mine.macs == theirs.macs > 0
    assert mine.mac_rows == theirs.mac_rows
    assert mine.params == pytest.approx(theirs.params, rel=COUNTS)
    assert mine.activations == pytest.approx(theirs.activations, rel=COUNTS)
    assert mine.bytes_moved == pytest.approx(theirs.bytes_moved, rel=BYTES)
    assert coverage(module).unsupported == ()


def launches(layers: tuple[LayerProfile, ...]) -> int:
    return totals(layers).kernels["torch-eager"]


def executed(layers: Iterable[LayerProfile]) -> Iterator[str]:
    return (row.op_type for row in layers if row.kind in ("counted", "zero"))


def test_there_are_enough_of_every_task() -> None:
    tasks = [export.task for export in EXPORTS.values()]
    assert len(tasks) >= 44
    assert {task: tasks.count(task) >= 8 for task in tasks} == {"vision": True, "nlp": True, "audio": True}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXPORTS]
)
def test_a_module_counts_as_its_file(name: str) -> None:
    assert_alike(from_module(name), from_file(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", BATCHED)
def test_they_agree_at_a_large_batch(name: str) -> None:
    assert golden.free_batch(name)
    assert_alike(from_module(name, LARGE_BATCH), from_file(name, LARGE_BATCH))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_eager_mode_launches_as_the_file_of_a_new_operator_set_says(name: str) -> None:
    network = filed_networks.installed()[name]
    length = EAGER_LENGTH if "input_ids" in network.inputs else None
    file = read(network.skeleton(), network.workload(batch_size=EAGER_BATCH, sequence_length=length), name=name)
    module = rows(traced(NETWORKS[name], batch_size=EAGER_BATCH, length=EAGER_LENGTH), eager=True)
    theirs = rows(file, eager=True)
    assert_alike(module, theirs)
    assert launches(module) == pytest.approx(launches(theirs), rel=KERNELS)


@pytest.mark.slow
def test_what_modules_are_made_of_occurs_in_files() -> None:
    """Names that only one reader gives would be measured and never forecast."""
    in_files = {op_type for name in EXPORTS for op_type in executed(from_file(name))}
    for name in EXPORTS:
        assert set(executed(from_module(name))) <= in_files, name


@pytest.mark.slow
def test_what_is_measured_occurs_in_files() -> None:
    """On golden graphs, or else as the standard's own node test of that operator."""
    measured = {layer.op_type for layer in suite.committed().layers}
    in_files = {op_type for name in EXPORTS for op_type in executed(from_file(name))}
    assert len(measured & in_files) > 40
    missing = measured - in_files
    for test in node_tests():
        if missing & {node.op_type for node in test.model.graph.node} and test.name not in skipped():
            missing -= set(executed(rows(graph_of_test(test.name), eager=True)))
    assert missing == set()
