"""Assemble the parts of an index from the workers' results."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from joulecast_calibration.suite.layer import SuiteLayer
from joulecast_calibration.suite.survey.coverage import cell_of
from joulecast_calibration.suite.survey.kinship import kinships
from joulecast_calibration.suite.survey.sampling import coverage_order
from joulecast_calibration.suite.survey.space import Key, Space, space_of

SAMPLE = 3500
"""Layers of the sample: four times what 25 minutes of an accelerator measure."""

ADDITIVE = ("torchvision:resnet50", "timm:vit_base_patch16_224", "hf:bert-base-uncased")
ADDITIVE_BATCH_SIZE = 32
"""Networks whose layers are summed: a convolutional one and two transformers, docs/measuring.md."""

_OF_A_BATCH = ("calls", "unsupported", "contents")


@dataclass(slots=True)
class Assembly:
    """Collects the results of each architecture in any order; ``parts`` returns the index."""

    records: list[Mapping[str, Any]] = field(default_factory=list)
    skipped: list[Mapping[str, Any]] = field(default_factory=list)
    configurations: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, found: dict[str, Any]) -> None:
        """Add a record of an architecture, or a skip. A configuration seen before is stored once."""
        if "reason" in found:
            self.skipped.append(found)
            return
        for digest, configuration in found.pop("layers").items():
            self.configurations.setdefault(digest, configuration)
        self.records.append(found)

    def parts(self, versions: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Build the index, which is the same for the same records in whatever order they came."""
        records = sorted(self.records, key=lambda record: (record["task"], record["family"], record["name"]))
        layers = _layers(records, self.configurations)
        space = space_of((cell_of(layer), layer.multiplicity, layer.predicted_seconds) for layer in layers.values())
        sample = _sample(space, layers.values())
        additivity = [_additivity(record) for record in records if record["name"] in ADDITIVE]
        kept = {*sample, *(digest for entry in additivity for digest, _ in entry["layers"])}
        return {
            "architectures": {
                "versions": dict(sorted(versions.items())),
                "distinct_layers": len(layers),
                "architectures": [_slim(record) for record in records],
                "kinships": kinships(records, layers),
                "skipped": sorted(self.skipped, key=lambda skip: skip["name"]),
            },
            "layers": {
                "layers": [asdict(layers[digest]) for digest in sorted(kept)],
                "sample": sample,
                "additivity": additivity,
            },
            "space": space.to_json(),
        }

    def unsupported(self) -> Counter[str]:
        """Count how often each operator without a counting rule runs in the suite."""
        found: Counter[str] = Counter()
        for record in self.records:
            for batch in _batches(record):
                found.update(batch["unsupported"])
        return found


def _slim(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without what the index keeps elsewhere or not at all."""
    workloads = [
        {**workload, "batches": [_without(batch, _OF_A_BATCH) for batch in workload["batches"]]}
        for workload in record["workloads"]
    ]
    return {**record, "workloads": workloads}


def _without(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def _batches(record: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return every forward pass of a record."""
    return (batch for workload in record["workloads"] for batch in workload["batches"])


def _layers(
    records: Sequence[Mapping[str, Any]], configurations: Mapping[str, Mapping[str, Any]]
) -> dict[str, SuiteLayer]:
    """Return every distinct configuration that runs a kernel, by digest."""
    executions: Counter[str] = Counter()
    families: defaultdict[str, set[str]] = defaultdict(set)
    unseen: set[str] = set()
    for record in records:
        calls: Counter[str] = Counter()
        for batch in _batches(record):
            calls.update(batch["calls"])
        executions.update(calls)
        for digest in calls:
            families[digest].add(record["family"])
            unseen.update([configurations[digest]["signature"]] if record["zero_shot"] else [])
    return {
        digest: SuiteLayer(
            **_without(configurations[digest], ("signature",)),
            multiplicity=executions[digest],
            families=tuple(sorted(families[digest])),
            zero_shot=configurations[digest]["signature"] in unseen,
        )
        for digest in sorted(executions)
    }


def _sample(space: Space, layers: Iterable[SuiteLayer]) -> list[str]:
    """Return digests in coverage order, one for each cell: of its layers, the one that the suite spends most time on.

    Long layers come last, shortest first.
    """
    usable = [layer for layer in layers if layer.fits and not layer.zero_shot]
    chosen: dict[Key, SuiteLayer] = {}
    for layer in sorted(usable, key=_importance):
        chosen.setdefault(cell_of(layer), layer)
    positions = {space.position[key]: layer for key, layer in chosen.items()}
    short = sorted(position for position, layer in positions.items() if not layer.long)
    long = sorted((layer.predicted_seconds, layer.digest) for layer in positions.values() if layer.long)
    order = coverage_order(space, short)
    covered = [positions[position].digest for position, _ in zip(order, range(SAMPLE - len(long)), strict=False)]
    return covered + [digest for _, digest in long]


def _importance(layer: SuiteLayer) -> tuple[float, str]:
    return (-layer.predicted_seconds * layer.multiplicity, layer.digest)


def _additivity(record: Mapping[str, Any]) -> dict[str, Any]:
    workload = record["workloads"][0]
    batch = next(batch for batch in workload["batches"] if batch["batch_size"] == ADDITIVE_BATCH_SIZE)
    return {
        "name": record["name"],
        "batch_size": ADDITIVE_BATCH_SIZE,
        "sequence_length": workload["sequence_length"],
        "seconds": workload["seconds"],
        "layers": [[digest, count] for digest, count in sorted(batch["calls"].items())],
    }
