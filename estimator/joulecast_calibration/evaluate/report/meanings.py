"""Describe sets, splits and studies in words for a reader."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    IN_SAMPLE,
    LAYER_FITTED,
    LOOSE,
    SERVING,
    SIMULATED,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
)
from joulecast_calibration.evaluate.systems.catalogue import LAYER_WISE

_PUBLISHED: Mapping[str, str] = {
    ARCHITECTURE: "Each architecture forecast by a fit of the others; its interval nested in the same way.",
    FAMILY: "Each family forecast by a fit of the others; its interval nested in the same way. Families are lineages "
    "across libraries, and those of which two networks share more than half of one's FLOPs in identical configurations "
    "are one.",
    TRANSFERRED: "No joule and no watt of this card was used: latency tables, data sheet, operator power of other "
    "cards.",
    IN_SAMPLE: "The rows that were fitted themselves: how well the form can do at all. Not a forecast.",
}
_MEASURED: Mapping[str, str] = {
    FAMILY: "The headline, strict: each family forecast by a fit without any network of it or of its relatives, and "
    "without any layer configuration that occurs in one of them, even if others have it. Relatives are lineages across "
    "libraries that share more than half of their FLOPs. Intervals by what the other families were off.",
    ARCHITECTURE: "Architectures forecast by a fit of the other ones, relatives and layers included; where there are "
    "more than twenty, in twenty groups. Intervals by what the other groups were off.",
    TRANSFERRED: "No joule and no watt of this card was used: what tables of latencies and of other cards say of it.",
    IN_SAMPLE: _PUBLISHED[IN_SAMPLE],
}

STUDIES: Mapping[str, str] = {
    LOOSE: "Families left out loosely: layer configurations that other families have too are fitted.",
    LAYER_FITTED: "Layer-wise systems as their papers have them: fitted on measured layers alone, networks their sums, "
    "families left out strictly.",
    ZERO_SHOT: "Language models that generate text, by fits that saw none of them.",
    SERVING: "Prefill and decode passes of decoders as CUDA graphs, by a fit on layers and forward passes alone; the "
    "interval of each decoder is from the errors on the others.",
    DATASHEET: "`physical` as if no table of this card or of its chip were known: the limits of its data sheet, and "
    "coefficients that cards of other chips share.",
    VISION_TRAINED: "By fits of vision networks alone: those by a fit of the other ones, the rest by a fit of all.",
}

LEARNING = (
    "`physical` begun at the data sheet, with so many layers of the card fitted, in the order in which they are "
    "measured; networks have no part in the fit."
)
OP_TYPES = (
    "Measured layers, each forecast by a fit without the family that it is scored with. `physical` is fitted on layers "
    "and networks, layer-wise systems on layers alone; the others have no price for a layer."
)
RESIDUALS = (
    "Forecast less measured on architectures left out, in percent of measured: the median says to which side a group "
    "is off, half its middle half what is left beside that.\n"
    "What was tried is told in the record of decisions on the law "
    "(ADRs [0116](adr/0116-tiles-waves-and-instructions.md) "
    "and [0136](adr/0136-prologues-transposed-weights-and-long-rows.md))."
)
THIRD_CARD = (
    "What joules of a card without energy rows rest on: the upper mode of the power of its bf16 products, forecast "
    "from other cards' shares of their limits, in the middle of those named; no watt of the card itself is seen."
)

_SETS = {
    "energaizer_a100": "Whole forward passes on one A100-PCIE-40GB with locked clocks, seven architectures, "
    "PyTorch eager (EnergAIzer, arXiv 2604.20105, MIT). "
    "Four language models are most of the rows, so read the macro average too. FP32 rows run convolutions in TF32.",
    "energaizer_h100": "Whole forward passes in BF16 on one H100 with 80 GB of HBM3 and 700 W, its clock locked at "
    "1830 MHz, four architectures of language models, PyTorch eager (EnergAIzer, arXiv 2604.20105, MIT). The source "
    "names no device: watts and clocks are those of an SXM card. The host sets the time of 21 rows.",
}
"""Descriptions of known sets; any other set is named after its folder."""

_OTHER_SET = "A folder of measured networks in the same columns."


def meanings_of(found: Evaluation, name: str) -> Mapping[str, str]:
    """Return the meaning of each split in the set ``name``, in the order of the page."""
    return _MEASURED if found.measured_set(name) else _PUBLISHED


def described(found: Evaluation, name: str) -> str:
    """Describe the set ``name`` in a sentence."""
    own = found.measured_set(name)
    if own is None:
        return _SETS.get(name, _OTHER_SET)
    rows = f"{own.networks} rows of networks of {own.families} families and {own.layers} of layers"
    if own.simulated:
        return f"{SIMULATED.upper()}: {rows} that a simulated device made up. They say nothing of any hardware."
    return f"Measured by this project on {own.accelerator}: {rows}, in {own.runs} runs on {own.cards} cards."


def labelled(system: str, study: str = "") -> str:
    """Return the system's name, marked where it is fitted on aggregates."""
    return system + " *" * (system in LAYER_WISE and study != LAYER_FITTED)
