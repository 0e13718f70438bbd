"""The features of a model: one row per executed operator, and their sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from joulecast.graph import Shape

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel

LayerKind = Literal["counted", "zero", "free", "unsupported"]
"""counted: MACs by a formula. zero: no MACs by definition, but a kernel that moves bytes. free: no kernel runs.
unsupported: no rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contraction:
    """A batched matrix product (batch, m, k) × (batch, k, n) that a kernel executes.

    A convolution is its implicit form.

    - ``repeats``: how many such products run one after the other (an LSTM's recurrent steps).
    """

    batch: int
    m: int
    n: int
    k: int
    repeats: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``repeats``."""
        return self.batch * self.m * self.n * self.k * self.repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProfile:
    """One operator call.

    All figures but ``params`` and the shapes, which are those of one run, include ``repeats``: weights count as read
    anew each time. A free row tells the elements and bytes that a copy would move, because some runtimes do copy
    (onnxruntime a Transpose: ``kernels`` says so); where its outputs are known before execution they are 0. ``Totals``
    leaves them out.

    - ``macs``: the sum of ``contractions``; 1 MAC = 2 FLOPs. Attention of an engine counts as dense, and its
      ``contractions`` are what is executed: causal, and within the window.
    - ``params``: trainable elements, a shared tensor counted at its first use only.
    - ``activations``: elements of the first output if the row carries MACs, else 0 (states and caches beside it are
      copies).
    - ``input_numel``: elements read that are not weights, each input once however often it is named, and of a table
      only what a Gather touches.
    - ``output_numel``: elements of all outputs.
    - ``weight_numel``: stored elements read (parameters and constants; shared ones at every use).
    - ``bytes_moved``: weights + inputs + outputs in the dtype executed.
    - ``float_numel``: those of these elements that are floating point, so that a change of precision can be priced.
    - ``repeats``: how often the call runs (a loop's trip count).
    - ``kernels``: launches per runtime (``torch-eager``, ``torch-cudagraph``, ``onnxruntime-cuda``); what is computed
      of stored values alone has none in a runtime that does so once, when it loads the model.
    - ``views``: 1 a run for a free view that eager execution still spends host time on.
    - ``scope``: module path.
    - ``taps``: of an interpolation, the elements read that an element of the output is made of: 1 of the nearest, 2 an
      axis if linear, 4 if cubic; 0 of any other row.
    - ``upper_bound``: its sizes depend on what a selection by content keeps, and are the largest possible.
    """

    name: str
    op_type: str
    kind: LayerKind
    domain: str = ""
    scope: str = ""
    dtype: str = "float32"
    macs: int = 0
    params: int = 0
    activations: int = 0
    input_numel: int = 0
    output_numel: int = 0
    weight_numel: int = 0
    float_numel: int = 0
    bytes_moved: int = 0
    repeats: int = 1
    views: int = 0
    kernels: Mapping[str, int] = field(default_factory=dict)
    contractions: tuple[Contraction, ...] = ()
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    taps: int = 0
    upper_bound: bool = False

    @property
    def flops(self) -> int:
        """Floating-point operations, two a MAC."""
        return 2 * self.macs


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over all rows.

    - ``input_numel``, ``bytes_moved``: over rows that are not free.
    - ``mac_rows``: number of rows that carry MACs.
    - ``kernels``: launches per runtime, of free rows too where a runtime copies what another views.
    """

    macs: int
    params: int
    activations: int
    input_numel: int
    bytes_moved: int
    mac_rows: int
    kernels: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Share of FLOPs and of ops (counted, zero and unsupported ones) that have a rule.

    - ``unsupported``: the op types without a rule; their FLOPs are unknown, so their share of bytes is used instead.
    - ``upper_bounds``: the op types whose sizes are the most that a selection by content may keep.
    """

    flops: float
    ops: float
    unsupported: tuple[str, ...] = ()
    upper_bounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the model is run on: every free dimension and steering value.

    - ``batch_size``: binds the symbolic leading dimension of the inputs.
    - ``input_shapes``: full shape by input name.
    - ``input_values``: content of inputs that steer shapes or branches (scalars or lists), by input name.
    """

    batch_size: int = 1
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    input_values: Mapping[str, object] = field(default_factory=dict)


ENGINE_DOMAIN = "joulecast.engine"
"""``LayerProfile.domain`` of kernels of inference engines that ONNX has no operator for."""

ENGINE_GRAPH = "engine"
"""``ModelProfile.graph`` of rows that an inference engine runs."""

TRACED_GRAPH = "traced"
"""``ModelProfile.graph`` of a configuration that no entry reads: the calls of its class of transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """A model's rows under one workload.

    - ``source``: the reference as given.
    - ``digest``: identity of the image or file (``sha256:…``).
    - ``graph``: ``exported`` (canonicalised), ``optimized``, ``engine`` (the kernels of an inference engine) or
      ``traced`` (the calls of a class of transformers that a configuration without an entry names).
    - ``phase``: forward, prefill or decode.
    - ``verification``: Full, Manifest or None (local).
    - ``model``: the blocks that the rows of an engine were made of, which decide what a card executes; a saved profile
      has none.
    """

    source: str
    digest: str
    format: str
    workload: Workload
    layers: tuple[LayerProfile, ...]
    totals: Totals
    coverage: Coverage
    graph: str = "exported"
    phase: str = "forward"
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    verification: str | None = None
    bytes_fetched: int | None = None
    model: LanguageModel | None = field(default=None, compare=False, repr=False)
