from __future__ import annotations

import csv
import gzip
from pathlib import Path

from joulecast_calibration.rows.latencies.tables import DLE, TIMM, networks_of, read_latencies

HEAD = "run,model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,precision,layout,dynamo,device"
NEW, OLD = "amp-nchw-pt291-cu128-4090", "amp-nchw-pt240-cu124-rtx4090"


def _timm(folder: Path, *lines: str) -> None:
    path = folder / TIMM
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress("\n".join((HEAD, *lines)).encode()))


def test_the_newest_libraries_of_a_card_stay_and_the_rest_is_counted(tmp_path: Path) -> None:
    _timm(
        tmp_path,
        f"{OLD},resnet50,100,10.0,512.0,224,amp,nchw,False,RTX 4090",
        f"{NEW},resnet50,100,8.0,1024.0,224,amp,nchw,False,RTX 4090",
        f"{NEW}-dynamo,resnet50,100,4.0,1024.0,224,amp,nchw,True,RTX 4090",
        "fp32-cpu,resnet50,100,400,1.0,224,fp32,nchw,True,CPU dynamo",
        f"{NEW},resnet50,100,,1024.0,224,amp,nchw,False,RTX 4090",
    )
    found = read_latencies(tmp_path)
    (row,) = found.rows
    assert (row.card, row.seconds, row.batch, row.software, row.run) == ("RTX-4090", 0.008, 1024, "2.9", NEW)
    assert row.key == ("resnet50", 224, "autocast")
    assert sum(found.left_out.values()) == 4
    every = read_latencies(tmp_path, every_run=True).rows
    assert [row.key[2] for row in every] == ["autocast, torch < 2.5", "autocast"]


def test_seconds_of_nvidias_tables_come_from_their_throughput(tmp_path: Path) -> None:
    path = tmp_path / DLE
    path.parent.mkdir(parents=True)
    head = "model,gpu,section,batch,throughput_img_s,latency_avg_ms".split(",")
    rows = [
        ["resnet50v1.5", "NVIDIA T4", "FP32 Inference Latency", 8, 400, 21],
        ["efficientnet-widese-b0", "NVIDIA T4", "FP32 Inference Latency", 8, 400, 21],
    ]
    with path.open("w", newline="") as text:
        csv.writer(text).writerows([head, *rows])
    found = read_latencies(tmp_path)
    (row,) = found.rows
    assert (row.card, row.precision, row.seconds, row.channels_last) == ("T4", "fp32", 0.02, False)
    assert networks_of(found.rows) == (("resnet50", 224, "float32"),)
    assert found.left_out == {"efficientnet-widese-b0 is not in timm": 1}
