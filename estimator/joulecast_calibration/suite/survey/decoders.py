"""Trace the passes of all decoders: ``python -m joulecast_calibration.suite.survey.decoders [DIR] [--only NAME …]``.

Needs torch and transformers. Takes some minutes, and computes nothing: weights and caches are on the meta device.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from joulecast.accelerators.catalogue import find
from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.energy.physical import Physical
from joulecast.layers import LayerProfile
from joulecast.readers.module import graph_digest, graph_of, trace
from joulecast_calibration.files import write_whole
from joulecast_calibration.rows.counted import contents_of, frozen, launched_rows, sums_of
from joulecast_calibration.suite.architecture import MEMORY_BYTES
from joulecast_calibration.suite.configuration import ACCELERATOR, rounded
from joulecast_calibration.suite.decoders import (
    BATCH_SIZES,
    CONFIGURATIONS,
    CONTEXTS,
    FILE_NAME,
    LONGEST_SECONDS,
    PHASES,
    PRECISION,
    DecoderPass,
    Decoders,
    OmittedPass,
    Phase,
    read_decoders,
)
from joulecast_calibration.suite.decoding import CachedPass, build_decoder
from joulecast_calibration.suite.index import FOLDER
from joulecast_calibration.suite.memory import MARGIN

_LIBRARIES = ("torch", "transformers")


def survey(
    configurations: Mapping[str, Mapping[str, Any]] = CONFIGURATIONS,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    contexts: Sequence[int] = CONTEXTS,
    advanced: Callable[[str], None] = lambda _: None,
) -> Decoders:
    """Trace every pass; one that does not fit or lasts too long is omitted with the reason."""
    passes: list[DecoderPass] = []
    omitted: list[OmittedPass] = []
    for name, config in configurations.items():
        module = build_decoder(config, dtype=torch.bfloat16, device="meta")
        for found in _passes(name, module, batch_sizes, contexts):
            reason = _reason(found)
            if reason:
                omitted.append(
                    OmittedPass(
                        name=name, phase=found.phase, batch_size=found.batch_size,
                        context_tokens=found.context_tokens, reason=reason,
                    )
                )  # fmt: skip
            else:
                passes.append(found)
        advanced(name)
    return Decoders(passes=tuple(passes), omitted=tuple(omitted))


def _passes(name: str, module: nn.Module, batches: Sequence[int], contexts: Sequence[int]) -> Iterator[DecoderPass]:
    for phase in PHASES:
        for context_tokens in contexts:
            for batch_size in batches:
                yield traced_pass(name, module, phase, batch_size, context_tokens)


def traced_pass(name: str, module: nn.Module, phase: Phase, batch_size: int, context_tokens: int) -> DecoderPass:
    """Trace one pass of ``module``, which may be on the meta device."""
    own = CachedPass(module, phase=phase, batch_size=batch_size, context_tokens=context_tokens)
    traced = trace(own, (), own.inputs(), name=name)
    layers = count(canonicalise(graph_of(traced), eager=True))
    rows = launched_rows(layers)
    costs = Physical(find(ACCELERATOR)).predict(rows, precision=PRECISION)
    return DecoderPass(
        name=name,
        phase=phase,
        batch_size=batch_size,
        context_tokens=context_tokens,
        digest=graph_digest(traced),
        counts={**sums_of(layers), "module_calls": traced.module_calls},
        peak_bytes=_peak_bytes(own, rows),
        predicted_seconds=rounded(sum(cost.seconds for cost in costs)),
        predicted_joules=rounded(sum(cost.joules for cost in costs)),
        contents=tuple((list(row), times) for row, times in contents_of(layers)),
    )


def _peak_bytes(own: CachedPass, rows: Sequence[LayerProfile]) -> int:
    """Return the bytes of weights, cache and four activations as large as the largest: a gated block holds the gate,
    its activation, the other half and their product at once."""
    held = sum(tensor.nbytes for tensor in (*own.parameters(), *own.buffers()))
    return held + 4 * max(2 * row.output_numel for row in rows)


def _reason(found: DecoderPass) -> str:
    """Return why a pass is not measured, or ""."""
    most = MEMORY_BYTES / MARGIN
    if found.peak_bytes > most:
        held = f"{most / 1e9:.0f} GB of an 80 GB card less a margin"
        return f"takes {found.peak_bytes / 1e9:.0f} GB, more than the {held}"
    if found.predicted_seconds > LONGEST_SECONDS:
        return f"lasts {found.predicted_seconds:.3g} s by forecast, more than {LONGEST_SECONDS:.0f} s"
    return ""


def write_decoders(folder: Path, found: Decoders) -> None:
    """Write the passes into ``folder``: the same bytes for the same content."""
    distinct = sorted({frozen(row) for each in found.passes for row, _ in each.contents}, key=repr)
    place = {row: position for position, row in enumerate(distinct)}
    document = {
        "versions": {library: version(library) for library in _LIBRARIES},
        "rows": [list(row) for row in distinct],
        "passes": [_entry(each, place) for each in found.passes],
        "omitted": [asdict(each) for each in found.omitted],
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    write_whole(folder / FILE_NAME, gzip.compress(text.encode(), mtime=0))


def _entry(each: DecoderPass, place: Mapping[Any, int]) -> dict[str, Any]:
    return asdict(each) | {"contents": [[place[frozen(row)], times] for row, times in each.contents]}


def joined(*surveys: Decoders) -> Decoders:
    """Return the passes of all ``surveys``, in the order in which the decoders are measured."""
    order = list(CONFIGURATIONS)

    def place(each: DecoderPass | OmittedPass) -> int:
        return order.index(each.name)

    return Decoders(
        passes=tuple(sorted((each for found in surveys for each in found.passes), key=place)),
        omitted=tuple(sorted((each for found in surveys for each in found.omitted), key=place)),
    )


def main(arguments: Sequence[str]) -> int:
    """Trace the decoders into the folder that is named, or else into the committed index."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where the file is written")
    parser.add_argument(
        "--only", nargs="+", choices=list(CONFIGURATIONS), default=list(CONFIGURATIONS),
        help="decoders to trace; the others stay as the file has them",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    wanted = {name: CONFIGURATIONS[name] for name in asked.only}
    found = survey(wanted, advanced=lambda name: print(f"traced {name}", file=sys.stderr))
    if len(wanted) < len(CONFIGURATIONS):
        found = joined(_without(read_decoders(asked.folder), wanted), found)
    write_decoders(asked.folder, found)
    print(f"{len(found.passes)} passes, {len(found.omitted)} omitted; written to {asked.folder}", file=sys.stderr)
    return 0


def _without(found: Decoders, names: Collection[str]) -> Decoders:
    return Decoders(
        passes=tuple(each for each in found.passes if each.name not in names),
        omitted=tuple(each for each in found.omitted if each.name not in names),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
