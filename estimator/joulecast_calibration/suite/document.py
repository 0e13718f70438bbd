"""Write the suite as a document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from joulecast.api.documents import header
from joulecast_calibration.suite.architecture import Architecture
from joulecast_calibration.suite.index import SuiteIndex


def suite_document(index: SuiteIndex) -> dict[str, Any]:
    """Build a document of kind ``suite``: totals, every architecture, and what was skipped.

    ``executed_layers`` counts rows with a kernel over all architectures, inputs and batch sizes; ``distinct_layers``
    counts their configurations.
    """
    architectures = index.architectures
    return {
        **header("suite"),
        "digest": index.digest,
        "versions": dict(index.head["versions"]),
        "totals": {
            "architectures": len({each.digest for each in architectures}),
            "executed_layers": sum(each.executed_layers for each in architectures),
            "distinct_layers": index.head["distinct_layers"],
            "sampled_layers": len(index.layers),
        },
        "architectures": [_entry(each) for each in architectures],
        "skipped": [asdict(skip) for skip in index.skipped],
    }


def _entry(each: Architecture) -> dict[str, Any]:
    return {
        "name": each.name,
        "task": each.task,
        "family": each.family,
        "zero_shot": each.zero_shot,
        "digest": each.digest,
        "params": each.params,
        "executed_layers": each.executed_layers,
        "largest_batch_size": max(
            (batch.batch_size for batch in each.workloads[0].batches if batch.fits), default=None
        ),
        "sequence_lengths": [load.sequence_length for load in each.workloads if load.sequence_length],
        "seconds": [load.seconds for load in each.workloads if load.seconds],
    }
