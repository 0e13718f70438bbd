"""Loads of passes of decoders, on the processor."""

from __future__ import annotations

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.measure.loads.passes.decoders import PreparedDecoder, prepared_decoder
from joulecast_calibration.suite.decoders import PHASES
from tests.unit.joulecast_calibration.suite.test_decoders import TINY

DEVICE = Processor(cache_bytes=1 << 16)
HOW = {"batch_size": 2, "context_tokens": 8, "runtime": "torch-cudagraph"}


@pytest.mark.slow
def test_both_phases_share_a_build_and_say_what_they_are() -> None:
    with prepared_decoder("decoder:tiny", TINY, device=DEVICE, precision="bf16") as decoder:
        for phase in PHASES:
            with decoder.load(phase=phase, **HOW) as made:
                made.load.enqueue(3)
                assert made.load.completed() == 4  # the first one ran it in
                columns = made.columns
                assert (columns["phase"], columns["context_tokens"], columns["batch_size"]) == (phase, 8, 2)
                assert (columns["runtime"], columns["precision"]) == ("torch-cudagraph", "bf16")
                assert columns["valid"], columns
                assert columns["unsupported"] == 0
                assert made.graph
                assert columns["digest"] == made.graph.digest
                assert made.graph.name == "decoder:tiny"


def test_a_closed_decoder_and_another_runtime_are_refused() -> None:
    with prepared_decoder("decoder:tiny", TINY, device=DEVICE, precision="bf16") as decoder:
        refused(decoder, "runs as torch-eager or torch-cudagraph, not as torch-compile", runtime="torch-compile")
    refused(decoder, "closed", runtime="torch-eager")


def refused(decoder: PreparedDecoder, sentence: str, **how: str) -> None:
    with (
        pytest.raises(MeasurementError, match=sentence),
        decoder.load(**{"phase": "decode", **HOW, **how}),  # type: ignore[arg-type]
    ):
        pass
