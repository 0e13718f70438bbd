"""Coefficients of an engine's kernels as shares of a card's limits, and the shipped table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated

from joulecast import schema
from joulecast.energy.model import ARITHMETIC
from joulecast.energy.profile import FittedFrom
from joulecast.errors import NotCalibratedError
from joulecast.schema import Keys, Text, Within

QUANTISED = ("fp8", "int8", "fp4")
"""Arithmetics of engines beside those of the general law."""
COMPUTED = (*ARITHMETIC, *QUANTISED)

KERNELS = (
    "product", "product.fp8", "product.fp8_block", "product.int8", "product.fp4", "product.stored8", "product.stored4",
    "experts", "experts.fp8", "experts.fp4", "experts.stored4",
    "prefill_attention", "decode_attention", "latent_attention", "recurrence", "convolution", "pass",
)  # fmt: skip
"""Kinds of kernels with coefficients of their own. ``product``: in 16 or 32 bits; ``.fp8``: multiplied in fp8;
``.fp8_block``: the same, with a scale for each block of the weights; ``.stored4``: weights of about 4 bits that are
multiplied in 16. ``pass``: reads and writes memory and computes little."""

DEGREES = ("2", "4", "8")
"""Cards of a collective that the tables hold."""

_Share = Annotated[float, Within(1e-3, 4)]
"""Of a published limit; above 1 where caches deliver what the limit counts as memory."""
_Seconds = Annotated[float, Within(0, 1, "s")]
_Elements = Annotated[float, Within(0, 1e5)]
_Sharpness = Annotated[float, Within(0.1, 1e6)]
_Cycles = Annotated[float, Within(0, 1e6)]
_Relative = Annotated[float, Within(0, 1e3)]
_BytesPerSecond = Annotated[float, Within(1e6, 1e17, "B/s")]
_Joules = Annotated[float, Within(0, 1e-6, "J")]
_Megahertz = Annotated[float, Within(1, 1e5, "MHz")]
_LogWidth = Annotated[float, Within(1e-3, 5)]
_Figure = Annotated[float, Within(0, 1e9)]
_Sentence = Annotated[str, Text(1024, shortest=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLaw:
    """Coefficients of one kind of kernel; ``engines.law`` has the equations.

    - ``compute_share``: of the arithmetic's peak that the largest tiles reach.
    - ``memory_share``: of the bandwidth.
    - ``tail_seconds``: of one kernel in a CUDA graph beside its work.
    - ``tile_edge``, ``depth``: as in ``profile.Law``; 0 where the kernel is no product.
    - ``unit_seconds``: start of one unit of work (a head's part of a sequence) on a multiprocessor.
    - ``element_cycles``: of a multiprocessor to widen one stored element, for one exponential of a score, or for one
      result of a convolution.
    - ``input_cycles``: of a multiprocessor to narrow one element of the input before it is multiplied.
    - ``sharpness``: exponent of the soft maximum.
    - ``flop_energy``, ``byte_energy``: relative to the joules of an operation of the nearest known arithmetic, and of
      a byte, in the accelerator's own law.
    """

    compute_share: _Share
    memory_share: _Share
    tail_seconds: _Seconds
    tile_edge: _Elements = 0.0
    depth: _Elements = 0.0
    unit_seconds: _Seconds = 0.0
    element_cycles: _Cycles = 0.0
    input_cycles: _Cycles = 0.0
    sharpness: _Sharpness = 3.0
    flop_energy: _Relative = 1.0
    byte_energy: _Relative = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """An all-reduce over some cards: ``latency_seconds`` + bytes of the message / ``bytes_per_second``."""

    latency_seconds: _Seconds
    bytes_per_second: _BytesPerSecond


@dataclass(frozen=True, slots=True, kw_only=True)
class Die:
    """What computing costs on a die, in the mean over ``cards``, whose own profiles were measured.

    - ``name``: the word of an architecture that names it (``GH100``).
    - ``flop_joules``: of an operation in bf16 at ``boost_clock_mhz``; ``byte_joules``: of a byte.
    """

    name: _Sentence
    cards: tuple[_Sentence, ...]
    boost_clock_mhz: _Megahertz
    flop_joules: _Joules
    byte_joules: _Joules


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Coefficients of an engine on one card, or on the cards of one architecture.

    - ``tables``: the cards whose tables were fitted.
    - ``metered``: kinds of kernels whose energy was fitted on the watts of this very card.
    - ``held_share``: of the power limit, what kernels at the limit draw.
    - ``watts_per_flops``: power limit over bf16 peak of the cards in ``tables``: a card with less slows down earlier.
    - ``die``: energies for cards of it that were not measured; None for a card's own coefficients.
    - ``held_out``: errors on rows that the fit did not see.
    """

    tables: tuple[_Sentence, ...]
    kernels: Annotated[Mapping[str, KernelLaw], Keys(KERNELS, least=len(KERNELS))]
    collectives: Annotated[Mapping[str, Collective], Keys(DEGREES, least=len(DEGREES))]
    metered: tuple[_Sentence, ...] = ()
    held_share: Annotated[float, Within(0.1, 1)] = 0.97
    watts_per_flops: Annotated[float, Within(0, 1e-3, "W s/FLOP")] = 0.0
    die: Die | None = None
    held_out: Mapping[str, _Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an engine does between passes: ``seconds`` a step, and ``sequence_seconds`` a sequence of it.

    - ``origin``: how the two were found.
    """

    seconds: _Seconds
    sequence_seconds: _Seconds
    origin: _Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedInterval:
    """Log half-widths that held 90 % of the errors on served models, each lineage forecast without it.

    - ``seconds``: of times between tokens; ``watts``; ``joules``: of their product.
    - ``origin``: the rows that tell them.
    """

    seconds: _LogWidth
    watts: _LogWidth
    joules: _LogWidth
    origin: _Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine's coefficients.

    - ``cards``: by product name. ``generations``: by what ``generation_of`` says, for cards without tables. ``other``:
      for all the rest.
    - ``interval``: None where no served model was scored.
    """

    step: Step
    cards: Mapping[str, Card]
    generations: Mapping[str, Card]
    other: Card
    fitted_from: tuple[FittedFrom, ...]
    interval: ServedInterval | None = None

    def card_of(self, product: str, architecture: str) -> Card:
        """Return the coefficients of the card itself, else of its generation, else those that all cards share."""
        return self.cards.get(product) or self.generations.get(generation_of(architecture)) or self.other


def generation_of(architecture: str) -> str:
    """Return the generation of an architecture: ``Hopper`` of ``Hopper GH100``, ``Blackwell GB20x`` of its small dies.

    Those have the multiprocessors of graphics cards (compute capability 12, not 10), so engines run other kernels.
    """
    first, _, rest = architecture.partition(" ")
    small = first == "Blackwell" and any(word.startswith("GB20") for word in rest.split())
    return "Blackwell GB20x" if small else first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """The shipped table.

    - ``aliases``: engines that run the same kernels as another: no table tells them apart.
    """

    schema_version: Annotated[int, Within(1, 1)]
    engines: Mapping[str, Engine]
    aliases: Mapping[str, str]


@cache
def engines() -> Mapping[str, Engine]:
    """Return every engine of the shipped table by its runtime's name."""
    text = files("joulecast.energy.engines").joinpath("coefficients.json").read_text("utf-8")
    document = schema.read(_Document, schema.parse(text))
    return {**document.engines, **{name: document.engines[same] for name, same in document.aliases.items()}}


def engine_named(name: str) -> Engine:
    """Return an engine's coefficients. Raises NotCalibratedError for a runtime that is no engine."""
    found = engines().get(name)
    if found is None:
        raise NotCalibratedError(f"unknown engine {name!r}: choose one of {', '.join(engines())}")
    return found
