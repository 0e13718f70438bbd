"""The index that is committed: what the project promises of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from joulecast.readers.module.graph import graph_of_call
from joulecast_calibration import suite
from joulecast_calibration.suite.index import committed
from joulecast_calibration.suite.survey.coverage import cells_of, coverages, random_sample
from joulecast_calibration.suite.survey.space import Space, space_from_json

LENGTHS = (50, 150, 500)
ZERO_SHOT = {"hf:gpt-neo-1.3B", "hf:bloom-560m", "hf:opt-125m"}


@pytest.fixture(scope="module")
def space() -> Space:
    return space_from_json(committed().space)


def test_it_has_the_graphs_of_three_tasks() -> None:
    graphs: dict[str, set[str]] = {}
    for each in suite.committed().architectures:
        graphs.setdefault(each.task, set()).add(each.digest)
    assert len(set.union(*graphs.values())) >= 295
    assert len(graphs["vision"]) >= 180
    assert len(graphs["nlp"]) >= 70
    assert len(graphs["audio"]) >= 35


def test_every_architecture_has_all_batch_sizes_and_counts() -> None:
    for each in suite.committed().architectures:
        for workload in each.workloads:
            assert [batch.batch_size for batch in workload.batches] == [1, 32, 128]
            assert all(batch.rows > 0 and batch.predicted_seconds > 0 for batch in workload.batches)
    assert sum(each.executed_layers for each in suite.committed().architectures) > 100_000


def test_the_three_language_models_lend_no_layer() -> None:
    assert {each.name for each in suite.committed().architectures if each.zero_shot} == ZERO_SHOT
    assert {network.name for network in suite.committed().llms} == ZERO_SHOT
    assert not ZERO_SHOT & {network.name for network in suite.committed().networks}
    assert not any(layer.zero_shot for layer in (*suite.committed().layers, *suite.committed().anchors))


def test_every_sampled_layer_can_be_read_again() -> None:
    layers = suite.committed().layers
    assert len({layer.digest for layer in layers}) == len(layers) > 3000
    for layer in layers[::7]:
        assert layer.call.digest == layer.digest
        assert graph_of_call(layer.call).nodes
    assert all(layer.kernels > 0 and layer.fits for layer in layers)


def test_prefixes_cover_better_than_random_ones(space: Space) -> None:
    sample = cells_of(space, suite.committed().layers)
    for own, *others in zip(
        coverages(space, sample, LENGTHS),
        *(coverages(space, random_sample(space, sample, length=500, seed=seed), LENGTHS) for seed in range(5)),
        strict=True,
    ):
        assert own.octaves[0] < min(other.octaves[0] for other in others)
        assert own.octaves[1] < min(other.octaves[1] for other in others) or own.length == LENGTHS[0]
        assert own.near > 1.2 * max(other.near for other in others)


def test_a_run_of_150_layers_meets_every_op_type_that_matters(space: Space) -> None:
    seconds: Counter[str] = Counter()
    for key, nanoseconds in zip(space.keys, space.nanoseconds.tolist(), strict=True):
        seconds[key[0]] += nanoseconds
    unseen = {layer.op_type for layer in suite.committed().layers}  # an op type may occur in the unseen models alone
    matter = {name for name, share in seconds.items() if share > 0.001 * seconds.total()} & unseen
    assert len(matter) > 15
    assert matter <= {layer.op_type for layer in suite.committed().layers[:150]}


def test_long_ones_come_last() -> None:
    for flags in (
        [layer.long for layer in suite.committed().layers],
        [batch.predicted_seconds > 0.5 for network in suite.committed().networks for batch in network.batches],
    ):
        assert flags == sorted(flags)


def test_a_hundred_networks_are_of_all_tasks_and_many_families() -> None:
    first = suite.committed().networks[:96]
    assert len({network.family for network in first}) > 60
    assert min(Counter(network.task for network in first).values()) >= 12


def test_summed_networks_are_whole() -> None:
    names = {entry.name for entry in suite.committed().additivity}
    assert names == {"torchvision:resnet50", "timm:vit_base_patch16_224", "hf:bert-base-uncased"}
    architectures = {each.name: each for each in suite.committed().architectures}
    for entry in suite.committed().additivity:
        (batch,) = (b for b in architectures[entry.name].workloads[0].batches if b.batch_size == entry.batch_size)
        assert sum(layer.rows * count for layer, count in entry.layers) == batch.rows


def test_reading_it_needs_the_standard_library_alone() -> None:
    program = (
        "import sys\n"
        "from joulecast_calibration import suite\n"
        "own = suite.committed()\n"
        "own.networks, own.layers[0].call, own.anchors, own.additivity, own.digest\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "ours = {'joulecast', 'joulecast_calibration', '__main__', '__mp_main__'}\n"
        "foreign = tops - set(sys.stdlib_module_names) - ours\n"
        "assert not {name for name in foreign if not name.startswith('_')}, foreign"
    )
    subprocess.run([sys.executable, "-S", "-c", _with_path(program)], check=True)


def _with_path(program: str) -> str:
    from pathlib import Path

    import joulecast

    return f"import sys; sys.path.insert(0, {str(Path(joulecast.__file__).parents[1])!r})\n{program}"
