from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.latencies.affine import RUNTIME, frozen, layer_of
from joulecast_calibration.rows.latencies.autocast import autocast
from joulecast_calibration.rows.latencies.store import AUTOCAST, FLOAT32, store

pytest.importorskip("timm")


def _told(layer: LayerProfile) -> LayerProfile:
    """Return of a counted row what the file keeps of it."""
    kernels = {RUNTIME: layer.kernels[RUNTIME]}
    kept = replace(layer, name=layer.op_type, scope="", params=0, activations=0, kernels=kernels, views=0)
    return replace(kept, upper_bound=False)


NETWORKS = (
    ("resnet50", 64),  # plain convolutions
    ("swin_tiny_patch4_window7_224", 224),  # windows: the batch times a number
    ("xcit_nano_12_p8_224", 224),  # cross-covariance, L2 norms
    ("levit_128s", 224),
    ("mobilenetv3_small_050", 64),  # depthwise, squeeze and excitation
    ("maxvit_rmlp_pico_rw_256", 256),  # bias from positions: products of stored values alone
)


@pytest.mark.slow
@pytest.mark.parametrize("name, size", NETWORKS)
@pytest.mark.parametrize("batch", [3, 32])
def test_rows_at_another_batch_are_those_of_a_trace_at_it(name: str, size: int, batch: int) -> None:
    import torch

    from joulecast.readers.module import graph_of, trace
    from joulecast_calibration.suite.survey.tables import built, contents_of, graph_of_network

    found = contents_of(*graph_of_network(name, size))
    traced = trace(built(name), (torch.empty(batch, 3, size, size, device="meta"),))
    graph = canonicalise(graph_of(traced), eager=True)
    for how, rows in ((FLOAT32, count(graph)), (AUTOCAST, count(autocast(graph)))):
        launched = [_told(row) for row in rows if row.kind in ("counted", "zero") and row.kernels[RUNTIME]]
        assert [layer_of(row, batch) for row in found[how]] == launched
        assert found["views"] == sum(row.views for row in count(graph))
        assert found["module_calls"] == traced.module_calls


@pytest.mark.slow
@pytest.mark.parametrize("name, size", [("resnet50", 224), ("vit_tiny_patch16_224", 224)])
def test_committed_rows_are_those_of_the_installed_library(name: str, size: int) -> None:
    from joulecast_calibration.suite.survey.tables import contents_of, graph_of_network

    committed, found = store(), contents_of(*graph_of_network(name, size))
    expected = Counter(frozen(row) for row in found[AUTOCAST])
    network = committed.networks[name, size, AUTOCAST]
    assert {frozen(committed.rows[place]): times for place, times in network.rows} == expected
    assert (network.views, network.module_calls) == (found["views"], found["module_calls"])
