"""A language model as blocks: what a configuration says, before any batch, phase or engine.

Readers of configurations make a ``LanguageModel``; ``serving`` turns it into the rows of a pass. The vocabulary is
small on purpose: an architecture is a choice of these blocks, never a class of its own. Nothing here imports a
framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Activation = Literal["silu", "gelu", "relu", "other"]
NormKind = Literal["rms", "layer"]


def inside(path: str, name: str) -> str:
    """Return the path of the module ``name`` in that at ``path``; an empty name is the module itself."""
    return f"{path}.{name}" if name else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How the weights of a product lie in memory, and what multiplies them.

    - ``dtype``: of the stored elements, a name of ``graph.ITEMSIZE_BYTES``.
    - ``bits``: per element, scales and zero points of groups included (4.25 for groups of 64 with a 16-bit scale).
    - ``arithmetic``: what the product runs in: ``bf16``, ``fp16``, ``fp32``, ``fp8``, ``int8``, ``fp4``. Formats that
      store weights alone are multiplied in 16 bits after they are unpacked.
    - ``method``: the quantisation, as in ``quantization_config``; None where weights are stored as they are multiplied.
    """

    dtype: str
    bits: float
    arithmetic: str
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A normalisation over the last axis of ``width`` elements; ``bias``: it has one beside the scale."""

    kind: NormKind
    width: int
    bias: bool = False
    scale: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Attention with queries in groups that share keys and values: one group a head (MHA), several (GQA), all (MQA).

    - ``path``: of the module in its layer (``self_attn``); ``projections``: names of the modules of query, key, value
      and output, or of one merged query-key-value product and the output.
    - ``width``: elements of a token at the input and output.
    - ``value_size``: elements of a value head; ``head_size`` where None.
    - ``window``: how many of the last tokens a token attends to; None for all.
    - ``causal``: False in an encoder and in cross attention.
    - ``cross``: keys and values come from the encoder, once a request.
    - ``rotary``: elements of each head that are rotated.
    - ``query_norm``, ``key_norm``: per head, or over all heads where their width says so.
    - ``gated``: the query product also makes a gate for the output (Qwen3-Next).
    - ``sinks``: a learned logit a head (gpt-oss).
    - ``position_parameters``: parameters of a learned relative position (T5, DeBERTa) that this layer owns.
    - ``shared_positions``: products of a relative position's table with the query and key projections (DeBERTa): its
      number of positions; 0 for none.
    """

    path: str
    width: int
    heads: int
    kv_heads: int
    head_size: int
    projections: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    value_size: int | None = None
    query_bias: bool = False
    key_bias: bool = False
    value_bias: bool = False
    output_bias: bool = False
    window: int | None = None
    causal: bool = True
    cross: bool = False
    rotary: int = 0
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    gated: bool = False
    sinks: bool = False
    position_parameters: int = 0
    shared_positions: int = 0
    encoder_width: int | None = None
    """Width of what cross attention reads; ``width`` where None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention of DeepSeek: keys and values are kept as one compressed vector a token.

    - ``query_rank``: width of the compressed query; None where queries are not compressed.
    - ``latent``: width of the compressed keys and values; with ``rotary_size`` it is what the cache keeps a token.
    - ``head_size``: of a query or key without rotation; ``rotary_size``: the rotated part; ``value_size``: of a value.
    - ``indexer``: a lightning indexer chooses ``indexer.chosen`` tokens (sparse attention); None for all.
    """

    path: str
    width: int
    heads: int
    latent: int
    head_size: int
    rotary_size: int
    value_size: int
    query_rank: int | None = None
    bias: bool = False
    indexer: Indexer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """Scores every cached token by ``heads`` small heads of ``head_size`` and keeps the best ``chosen``.

    - ``rotary``: elements of each head that are rotated.
    - ``reused``: the layer takes the choice of a layer before it, and has no products of its own for it (GLM-5).
    """

    heads: int
    head_size: int
    chosen: int
    rotary: int = 0
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """Two products (``gated``: three) with an activation between; ``projections``: gate, up, down or up, down."""

    path: str
    width: int
    intermediate: int
    gated: bool
    projections: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    activation: Activation = "silu"
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A router that sends each token to ``chosen`` of ``count`` feed-forward blocks, and shared ones that all take.

    - ``expert``: the shape of one expert, its ``path`` that of all (``experts``); ``shared``: the shared block of all
      tokens, None for none.
    - ``shared_gate``: a product of width 1 scales the shared block (Qwen2-MoE).
    - ``router_bias``: the router's product has a bias.
    - ``correction``: one stored value an expert corrects the choice; it is a buffer and no parameter.
    """

    path: str
    count: int
    chosen: int
    expert: FeedForward
    shared: FeedForward | None = None
    shared_gate: bool = False
    router_bias: bool = False
    correction: bool = False
    router: str = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpace:
    """A recurrence with a state of fixed size: ``mamba``, ``mamba2`` or ``gated-delta``.

    - ``inner``: width inside the block; ``state``: elements of state an inner channel (mamba) or a head's key size.
    - ``heads``, ``head_size``: of mamba2 and gated-delta (value heads); ``groups``: key groups (mamba2) or key heads.
    - ``convolution``: taps of the causal depthwise convolution before it.
    - ``step_rank``: width of mamba's time-step product; ``step_norms``: normalisations of its inputs (Jamba).
    - ``chunk``: tokens that a scan reads at once, of mamba2 and gated-delta.
    - ``projections``: names of the modules of the product at the input, which engines merge; ``gates``: of the second
      one, of gated-delta's decay and step.
    - ``state_dtype``: of the state, a name of ``graph.ITEMSIZE_BYTES``; that of activations where None.
    - ``norm``: the normalisation before the output, over all heads (mamba2) or of each (gated-delta).
    """

    path: str
    kind: Literal["mamba", "mamba2", "gated-delta"]
    width: int
    inner: int
    state: int
    convolution: int
    heads: int = 0
    head_size: int = 0
    groups: int = 1
    step_rank: int = 0
    bias: bool = False
    convolution_bias: bool = True
    norm: Norm | None = None
    step_norms: tuple[Norm, ...] = ()
    chunk: int = 0
    projections: tuple[str, ...] = ("in_proj",)
    gates: tuple[str, ...] = ()
    state_dtype: str | None = None


Mixer = Attention | LatentAttention | StateSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a stack: mixers (self attention, then cross attention in a decoder), then feed-forward.

    - ``norms``: all normalisations over the hidden width, however they are placed; each is one kernel.
    - ``path``: of the module, with ``{}`` where the layer's number stands (``model.layers.{}``).
    """

    path: str
    mixers: tuple[Mixer, ...]
    feed_forward: FeedForward | Experts | None
    norms: tuple[Norm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Tables that turn ids into vectors.

    - ``rows``: of the token table; ``width`` of its rows; ``shared``: the table is another stack's, and no parameters
      of this one (the decoder of T5 and BART reads the encoder's).
    - ``positions``: rows of a learned position table that runs; ``token_types``: rows of the segment table.
    - ``projection``: width after a product that follows the table (OPT-350m), None for none.
    - ``frames``: a convolutional front end in place of a table (Whisper): (channels in, taps, stride) of each.
    """

    path: str
    rows: int
    width: int
    shared: bool = False
    positions: int = 0
    token_types: int = 0
    norm: Norm | None = None
    projection: int | None = None
    frames: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The product after the last layer.

    - ``inputs``, ``outputs``: its width, and the vocabulary or the number of labels; 0 outputs for a pooler alone.
    - ``tied``: it reads the embedding's table.
    - ``transform``: path of a product of ``inputs`` × ``inputs``, with an activation and ``transform_norm``, that runs
      before it (BERT), or of a pooler; None for none.
    - ``tokens``: whether it runs on the tokens that the pass judges, on all, or on one a sequence (classification,
      reranking, pooling).
    - ``projection``: width down to which the hidden state is projected before it, of all tokens; None for
      none.
    """

    path: str
    inputs: int
    outputs: int
    tied: bool = False
    bias: bool = False
    transform: str | None = None
    transform_bias: bool = True
    transform_norm: Norm | None = None
    tokens: Literal["judged", "all", "sequence"] = "judged"
    projection: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Embedding, layers in order, final normalisation and head of one tower.

    - ``layers``: each with how often it is repeated in a row, in order.
    - ``embedding``, ``head``: None where the tower has none of its own (an encoder; a table that is shared).
    """

    layers: tuple[tuple[Layer, int], ...]
    width: int
    embedding: Embedding | None = None
    norm: Norm | None = None
    head: Head | None = None

    def each_layer(self) -> Iterator[Layer]:
        """Yield every layer as often as it runs, in order."""
        for layer, times in self.layers:
            for _ in range(times):
                yield layer


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """What a configuration describes.

    - ``decoder``: the stack that generates; of an encoder alone (BERT) its only stack.
    - ``encoder``: of T5, BART and Whisper; None otherwise.
    - ``encoder_tokens``: how many tokens the encoder makes of every input (Whisper pads each to 30 seconds); None where
      the input says it.
    - ``storage``: how weights of products are stored where ``stored_otherwise`` does not say.
    - ``stored_otherwise``: storage by module path, layer numbers included, of what is kept in another way
      (``lm_head``, ``model.layers.0.mlp.gate``).
    - ``dtype``: of activations, norms and embeddings, a name of ``graph.ITEMSIZE_BYTES``.
    - ``cache_dtype``: of cached keys, values and latents; ``dtype`` where None.
    - ``context``: the longest sequence, None where the configuration does not say.
    - ``defaults``: keys that the configuration left out, with the value taken.
    - ``ignored``: keys that nothing here reads.
    - ``differences``: what the headers of the weights contradict, in clauses.
    - ``generates``: False for encoders, which have the phase ``forward`` alone.
    """

    model_type: str
    architecture: str
    decoder: Stack
    dtype: str
    storage: Storage
    encoder: Stack | None = None
    encoder_tokens: int | None = None
    stored_otherwise: dict[str, Storage] = field(default_factory=dict)
    context: int | None = None
    generates: bool = True
    defaults: dict[str, object] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    cache_dtype: str | None = None

    def storage_of(self, path: str) -> Storage:
        """Return how the weights of the module at ``path`` are stored."""
        return self.stored_otherwise.get(path, self.storage)
