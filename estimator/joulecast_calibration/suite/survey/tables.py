"""Trace the networks of the latency tables: ``python -m joulecast_calibration.suite.survey.tables --data DIR``.

Half an hour on two cores. What is traced is kept in ``--cache``, so that a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.canonical import canonicalise, separated
from joulecast_calibration.files import write_whole
from joulecast_calibration.rows.latencies.affine import BATCH, documents
from joulecast_calibration.rows.latencies.autocast import autocast
from joulecast_calibration.rows.latencies.store import (
    AUTOCAST,
    AUTOCAST_BEFORE_2_5,
    FILE,
    FLOAT32,
    Key,
    Store,
    Traced,
    store,
    write_store,
)
from joulecast_calibration.rows.latencies.tables import networks_of, read_latencies

if TYPE_CHECKING:
    from torch import nn

    from joulecast.graph import ModelGraph

LIBRARIES = ("torch", "timm")
MOST_PROCESSES = 2
LONGEST_SECONDS = 180
"""Limit of the processor time of one network; the slowest takes a tenth of it."""
FUSED_AXES = (4,)
"""Axes of an attention's operands that the fused kernels of torch 2.9 and before take."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Trace what the cache lacks, and write the file of counted networks."""
    asked = _parsed(arguments)
    keys = networks_of(read_latencies(asked.data, every_run=True).rows)
    if not keys:
        print(f"error: {asked.data} holds no latency table of whole networks", file=sys.stderr)
        return 2
    known = store(asked.output) if asked.only else None
    wanted = {key[:2] for key in keys if not asked.only or re.search(asked.only, key[0])}
    missing = [name for name in _shuffled(wanted) if not _place(asked.cache, *name).is_file()]
    for count, line in enumerate(_traced(missing, asked.cache), start=1):
        print(f"{count} of {len(missing)}: {line}", flush=True)
    found = [_read(asked.cache, key) if key[:2] in wanted or known is None else kept(known, key) for key in keys]
    write_store(found, {library: version(library) for library in LIBRARIES}, asked.output)
    absent = sum(1 for each in found if each.reason)
    print(f"{asked.output}: {len(found) - absent} networks, {absent} left out, {asked.output.stat().st_size} bytes")
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with timm_latency and nvidia_dle_latency")
    parser.add_argument("--cache", type=Path, default=Path(".cache/latency-networks"), help="what was traced so far")
    parser.add_argument("--only", metavar="PATTERN", help="networks to trace; others keep the rows that the file has")
    parser.add_argument("--output", type=Path, default=FILE, help="the file to write")
    return parser.parse_args(arguments)


def _shuffled(names: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the names in an order without families, so that a part of them is like the whole."""
    return sorted(names, key=lambda name: hashlib.sha256(repr(name).encode()).digest())


def _traced(names: Sequence[tuple[str, int]], cache: Path) -> Iterator[str]:
    os.environ["PYTHONHASHSEED"] = "0"  # some networks go through a set of names while they are built
    with ProcessPoolExecutor(MOST_PROCESSES, mp_context=get_context("spawn"), initializer=_prepared) as pool:
        for done in as_completed([pool.submit(_trace, name, size, cache) for name, size in names]):
            yield done.result()


def _prepared() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.nice(10)
    import torch

    torch.set_num_threads(1)  # tracing computes nothing, and the other process has the other core
    signal.signal(signal.SIGVTALRM, _late)  # of processor time: other programs may have the cores


def _late(*_: Any) -> None:
    raise TimeoutError(f"took longer than {LONGEST_SECONDS} s of processor time")


def _trace(name: str, image_size: int, cache: Path) -> str:
    """Trace one network and keep its rows, or the reason why it has none; return a line that says which."""
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SECONDS)
    try:
        found: dict[str, Any] = contents_of(*graph_of_network(name, image_size))
        told = "traced"
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        found = {"reason": told}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    write_whole(_place(cache, name, image_size), json.dumps(found, separators=(",", ":")))
    return f"{name} {image_size}: {told}"


def graph_of_network(name: str, image_size: int) -> tuple[ModelGraph, int]:
    """Return the graph of a pass of timm's network ``name`` over ``BATCH`` images, and its module calls.

    Images of another size than the network's own go in as they are where it takes them, as timm's benchmark does.
    """
    import torch

    from joulecast.readers.module import graph_of, trace

    images = torch.empty(BATCH, 3, image_size, image_size, device="meta")
    try:
        traced = trace(built(name), (images,), name=name)
    except Exception:
        traced = trace(built(name, img_size=image_size), (images,), name=name)
    return graph_of(traced), traced.module_calls


def built(name: str, **settings: Any) -> nn.Module:
    """Build timm's network ``name`` without weights."""
    import timm

    from joulecast.readers.named.initialisation import Uninitialised

    with Uninitialised():
        module: nn.Module = timm.create_model(name, pretrained=False, **settings)
    return module.eval().requires_grad_(False)


def contents_of(graph: ModelGraph, module_calls: int) -> dict[str, Any]:
    """Return the rows of ``graph`` as it is and under autocast, as JSON values."""
    canonical = canonicalise(graph, eager=True, whole_attention=True)
    mixed = autocast(canonical)
    as_built, views = documents(separated(canonical, fused_axes=FUSED_AXES))
    return {
        "views": views,
        "module_calls": module_calls,
        FLOAT32: as_built,
        AUTOCAST: documents(separated(mixed, fused_axes=FUSED_AXES))[0],
        AUTOCAST_BEFORE_2_5: documents(separated(mixed, fused_axes=FUSED_AXES, as_before_torch_2_5=True))[0],
    }


def _place(cache: Path, name: str, image_size: int) -> Path:
    return cache / f"{name}-{image_size}.json"


def kept(known: Store, key: Key) -> Traced:
    """Return the network as it is in the file ``known``: for torch before 2.5 as after it, unless it says otherwise."""
    present = key if key in known.networks or key in known.absent else (*key[:2], AUTOCAST)
    if present not in known.networks:
        return Traced(key=key, reason=known.absent[present])
    network = known.networks[present]
    rows = [known.rows[place] for place, times in network.rows for _ in range(times)]
    return Traced(key=key, documents=rows, views=network.views, module_calls=network.module_calls)


def _read(cache: Path, key: Key) -> Traced:
    name, image_size, _ = key
    return traced_of(key, json.loads(_place(cache, name, image_size).read_text("utf-8")))


def traced_of(key: Key, found: Mapping[str, Any]) -> Traced:
    """Return what was ``found`` of a network, run as ``key`` says."""
    if "reason" in found:
        return Traced(key=key, reason=found["reason"])
    return Traced(key=key, documents=found[key[2]], views=found["views"], module_calls=found["module_calls"])


if __name__ == "__main__":
    raise SystemExit(main())
