"""Read seconds of whole vision networks: timm's own benchmark, and NVIDIA's DeepLearningExamples.

A row says which network ran on which card and how; what a table adds to the forward pass of a network (autocast, data
loading) is named by ``run``, whose rows share it.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joulecast_calibration.rows.latencies.store import AUTOCAST, AUTOCAST_BEFORE_2_5, FLOAT32, Key

TIMM = "timm_latency/timm_infer_latency.csv.gz"
DLE = "nvidia_dle_latency/convnets_pytorch.csv"

CARDS: Mapping[str, str] = {
    "RTX 3090": "RTX-3090",
    "RTX 4090": "RTX-4090",
    "RTX 5090": "RTX-5090",
    "RTX PRO 6000 Blackwell Max-Q": "RTX-PRO-6000-Blackwell-Max-Q",
    "NVIDIA DGX-1 (1x V100 16GB)": "V100-SXM2",
    "NVIDIA V100 (1x V100 16GB)": "V100-SXM2",
    "NVIDIA T4": "T4",
    "NVIDIA A100 (1x A100 80GB)": "A100-SXM4-80GB",
}
"""Keys of data sheets by the names of the tables."""

DLE_NETWORKS: Mapping[str, tuple[str, int]] = {
    "resnet50v1.5": ("resnet50", 224),
    "resnext101-32x4d": ("resnext101_32x4d", 224),
    "se-resnext101-32x4d": ("seresnext101_32x4d", 224),
    "efficientnet-b0": ("efficientnet_b0", 224),
    "efficientnet-b4": ("efficientnet_b4", 380),
}
"""Name in timm and size of the images. The "widese" ones, whose squeeze is wider than in timm, are left out."""

_DLE_PRECISIONS = {"FP32": "fp32", "TF32": "tf32", "Mixed": AUTOCAST}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """A measured pass of a network.

    - ``table``: ``timm`` or ``dle``; ``run``: the rows that share what the table adds.
    - ``card``: as in ``CARDS``.
    - ``precision``: ``autocast`` (to float16), ``fp32``, or ``tf32`` of convolutions and products.
    - ``channels_last``: whether images and weights lie so.
    - ``software``: of the libraries: 1.13, 2.4 or 2.9 of torch, or the month of NVIDIA's container.
    """

    table: str
    run: str
    card: str
    network: str
    image_size: int
    precision: str
    channels_last: bool
    batch: int
    seconds: float
    software: str

    @property
    def key(self) -> Key:
        return self.network, self.image_size, self._how

    @property
    def _how(self) -> str:
        if self.precision != AUTOCAST:
            return FLOAT32
        older = self.table == "dle" or _version(self.software) < _WIDE_ATTENTION_SINCE
        return AUTOCAST_BEFORE_2_5 if older else AUTOCAST


_WIDE_ATTENTION_SINCE = (2, 5)
"""Version of torch whose attention without a fused kernel multiplies in float32 (release notes of 2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Rows of the tables, and ``left_out``: numbers of rows by reason."""

    rows: tuple[LatencyRow, ...]
    left_out: Mapping[str, int]


def read_latencies(folder: Path, *, every_run: bool = False) -> Latencies:
    """Read the tables of ``folder`` that are there.

    Of several runs of a network on one card with the same layout, size and precision, the one with the newest libraries
    stays; ``every_run``: all of them.
    """
    left_out: Counter[str] = Counter()
    rows = [*_timm_rows(folder / TIMM, left_out), *_dle_rows(folder / DLE, left_out)]
    kept = rows if every_run else _newest(rows)
    if len(kept) < len(rows):
        left_out["an older run of the same network on the same card"] += len(rows) - len(kept)
    return Latencies(rows=tuple(kept), left_out=dict(left_out))


def networks_of(rows: Iterable[LatencyRow]) -> tuple[Key, ...]:
    """Return every network that ``rows`` need, each once."""
    return tuple(sorted({row.key for row in rows}))


def _newest(rows: Sequence[LatencyRow]) -> list[LatencyRow]:
    found: dict[tuple[object, ...], LatencyRow] = {}
    for row in rows:
        key: tuple[object, ...] = row.table, row.card, row.network, row.image_size, row.precision, row.channels_last
        if row.table == "dle":  # which has each batch once, and another container as another run
            key = (*key, row.batch, row.run)
        if key not in found or _version(found[key].software) < _version(row.software):
            found[key] = row
    return list(found.values())


def _version(software: str) -> tuple[int, ...]:
    return tuple(int(part) for part in software.split("."))


def _timm_rows(path: Path, left_out: Counter[str]) -> Iterator[LatencyRow]:
    if not path.is_file():
        return
    with gzip.open(path, "rt", newline="", encoding="utf-8") as text:
        for entry in csv.DictReader(text):
            reason = _unusable(entry)
            if reason:
                left_out[reason] += 1
                continue
            yield LatencyRow(
                table="timm",
                run=entry["run"],
                card=CARDS[entry["device"]],
                network=entry["model"],
                image_size=int(float(entry["infer_img_size"])),
                precision=AUTOCAST,
                channels_last=entry["layout"] == "nhwc",
                batch=int(float(entry["infer_batch_size"])),
                seconds=float(entry["infer_step_time"]) / 1e3,
                software=_torch_version(entry["run"]),
            )


_FUSED_SINCE = "2.9"
_FUSED = re.compile("repvgg|mobileone|repghost|repvit|fastvit|_mci|levit|efficientvit_m|swiftformer|shvit|tiny_vit")
"""Networks with branches or norms that timm's benchmark of late 2025 fused before it ran (``reparameterize_model``): on
one card and layout they are 15 to 80 % faster than in the run before, all others 1 %."""


def _unusable(entry: Mapping[str, str]) -> str:
    if entry["device"] not in CARDS:
        return "run on a processor"
    if entry["dynamo"] == "True":
        return "compiled by dynamo, whose kernels no law prices"
    if entry["precision"] != "amp":
        return f"precision {entry['precision']}"
    if _torch_version(entry["run"]) == _FUSED_SINCE and _FUSED.search(entry["model"]):
        return "branches fused before the run, which the counted network has"
    numbers = (entry["infer_step_time"], entry["infer_batch_size"], entry["infer_img_size"])
    return "" if all(_positive(number) for number in numbers) else "no time, batch or size"


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _torch_version(run: str) -> str:
    """Return ``2.9`` of a run named ``…-pt291-…``."""
    found = re.search(r"-pt(\d)(\d+)\d-", run)
    return f"{found[1]}.{int(found[2])}" if found else "0"


def _dle_rows(path: Path, left_out: Counter[str]) -> Iterator[LatencyRow]:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as text:
        for entry in csv.DictReader(text):
            if entry["model"] not in DLE_NETWORKS:
                left_out[f"{entry['model']} is not in timm"] += 1
                continue
            network, size = DLE_NETWORKS[entry["model"]]
            precision = _DLE_PRECISIONS[entry["section"].split()[0]]
            batch = int(entry["batch"])
            yield LatencyRow(
                table="dle",
                run=f"dle {entry['gpu']} {precision}",
                card=CARDS[entry["gpu"]],
                network=network,
                image_size=size,
                precision=precision,
                channels_last=precision == AUTOCAST,  # configs.yml: memory_format nhwc with amp alone
                batch=batch,
                seconds=batch / float(entry["throughput_img_s"]),
                software="21.03" if network.startswith("efficientnet") else "20.12",
            )
