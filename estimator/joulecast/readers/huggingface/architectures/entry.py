"""What an entry of the table of architectures says: where a family keeps its sizes, and which blocks it is made of.

A field that holds a ``Flag`` is always so, never so, or as the configuration's key of that name says. A field that
holds a rule is a function of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from joulecast.blocks import Attention, Experts, FeedForward, Mixer, NormKind
from joulecast.readers.huggingface.architectures.rules import (
    as_many_heads,
    even_head_size,
    head_size,
    no_positions,
    no_window,
    shared_heads,
)
from joulecast.readers.huggingface.configuration import Configuration

Flag = bool | str

TaskName = Literal["generation", "plain", "classification", "token classification", "masked"]

Windows = Callable[[Configuration, int], "tuple[int | None, ...]"]
"""The window of each of so many layers, None for those that attend to all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A family of models that generate by one stack of layers.

    - ``classes``: of transformers, without the part that names the head (``Llama`` of ``LlamaForCausalLM``);
      ``usual``: that part where a configuration names no class.
    - ``layer``, ``embedding``, ``head``, ``attention``, ``mlp``: paths of the modules in published files;
      ``projections`` and ``mlp_projections``: of the products in these.
    - ``cross_attention``: path of attention to an encoder, which has the projections of self attention.
    - ``layers``, ``kv_heads``, ``head_size``, ``intermediate``: rules for sizes that families spell in different ways.
    - ``norm``: kind of all normalisations over the hidden width; ``norms``: how many a layer has; ``first_norms``: the
      first, where it has others.
    - ``query_norm``: queries and keys are normalised, each head by itself or all heads at once.
    - ``rotary``: key of the share of a head that is rotated, with its value where it is left out; None for none.
    - ``positions``: key of the rows of a learned position table, None for none; ``more_positions``: rows beside these.
    - ``relative``: rule for the number of relative positions that have vectors, and the parameters of these, which the
      first layer owns.
    - ``windows``: rule for the window of each layer.
    - ``tied``: whether the head reads the table of tokens where neither the configuration nor the class says so.
    - ``bidirectional``: every token attends to all; ``alibi``: positions by a slope a head, and no rotation.
    - ``segments``: key of the rows of a table of segments, None for none.
    - ``names``: second names of keys, beside those that the class knows: in old files, or of one of several stacks.
    - ``equal``: keys that cannot differ from the key beside them, where they are given.
    - ``refused``: keys that ask for what is not understood, where they are true.
    - ``mixer``, ``feed_forward``: make the blocks of layer ``number`` in place of attention and a dense block, for
      experts, latent attention and recurrences. They get what makes the usual block of that layer, and return None
      where the layer has none.
    - ``uncounted``: keys of published files that the class does not know and that change no count.
    - ``notes``: what is left out or simplified, in sentences.
    """

    model_type: str
    classes: str | tuple[str, ...]
    usual: str = "ForCausalLM"
    segments: str | None = None
    layer: str = "model.layers.{}"
    embedding: str = "model.embed_tokens"
    head: str = "lm_head"
    attention: str = "self_attn"
    mlp: str = "mlp"
    projections: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    mlp_projections: tuple[str, ...] | Callable[[Configuration], tuple[str, ...]] = (
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    cross_attention: str | None = None
    layers: str | Callable[[Configuration], int] = "num_hidden_layers"
    kv_heads: Callable[[Configuration], int] = shared_heads
    head_size: Callable[[Configuration], int] = head_size
    intermediate: str | Callable[[Configuration], int] = "intermediate_size"
    gated: Flag | Callable[[Configuration], bool] = True
    activation: str = "hidden_act"
    query_bias: Flag = False
    key_bias: Flag | None = None
    value_bias: Flag | None = None
    output_bias: Flag = False
    mlp_bias: Flag = False
    head_bias: Flag = False
    norm: NormKind = "rms"
    norm_bias: Flag = False
    norm_scale: Flag = True
    norms: int | Callable[[Configuration], int] = 2
    first_norms: int | None = None
    final_norm: Flag | Callable[[Configuration], bool] = True
    embedding_norm: bool = False
    embedding_width: str | None = None
    query_norm: Literal["head", "all heads"] | None = None
    rotary: tuple[str, float] | None = ("partial_rotary_factor", 1.0)
    positions: str | Callable[[Configuration], int] | None = None
    relative: Callable[[Configuration], tuple[int, int]] = no_positions
    more_positions: int = 0
    windows: Windows = no_window
    mixer: Callable[[Configuration, int, Callable[[], Attention]], Mixer | None] | None = None
    feed_forward: Callable[[Configuration, int, Callable[[], FeedForward]], FeedForward | Experts | None] | None = None
    uncounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tied: bool = False
    bidirectional: Flag = False
    alibi: Flag = False
    names: Mapping[str, str] = field(default_factory=dict)
    equal: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadShape:
    """What an encoder has after its last layer, for one task.

    - ``path``: of the last product; ``outputs``: whether it makes logits, labels, or is absent (a pooler alone).
    - ``transform``: path of the product before it, None for none; ``transform_norm``: a normalisation follows that.
    """

    path: str
    outputs: Literal["vocabulary", "labels", "none"]
    transform: str | None = None
    transform_bias: Flag = True
    transform_norm: bool = False
    bias: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder(Decoder):
    """A family of models that read a text at once: embedding, reranking, classification. Sentence embeddings are plain.

    - ``unused_positions``: rows of the position table that no token of a text takes.
    - ``heads``: by task (``plain``, ``masked``, ``classification``); a task that is missing has no head of its own,
      but token classification has a product with a bias in every family.
    """

    usual: str = "Model"
    gated: Flag | Callable[[Configuration], bool] = False
    query_bias: Flag = True
    output_bias: Flag = True
    mlp_bias: Flag = True
    norm: NormKind = "layer"
    norm_bias: Flag = True
    final_norm: Flag | Callable[[Configuration], bool] = False
    embedding_norm: bool = True
    kv_heads: Callable[[Configuration], int] = as_many_heads
    head_size: Callable[[Configuration], int] = even_head_size
    rotary: tuple[str, float] | None = None
    positions: str | Callable[[Configuration], int] | None = "max_position_embeddings"
    bidirectional: Flag = True
    unused_positions: int = 0
    heads: Mapping[TaskName, HeadShape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoder:
    """A family of models whose decoder attends to what an encoder makes of an input, once a request.

    - ``shared``: both stacks read one table of tokens.
    - ``frames``: rule for the convolutions in place of a table before the encoder: (channels in, taps, stride) of each.
    - ``encoder_tokens``: key of how many tokens the encoder makes of every input, None where the input says it.
    - ``uncounted``, ``notes``: as of a decoder.
    """

    model_type: str
    classes: str | tuple[str, ...]
    encoder: Encoder
    decoder: Decoder
    usual: str = "ForConditionalGeneration"
    shared: bool = True
    frames: Callable[[Configuration], tuple[tuple[int, int, int], ...]] | None = None
    encoder_tokens: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A model of several towers, of which the text model is read.

    - ``text``: model type of the text model where ``text_config`` names none.
    - ``classes``: as of a decoder; ``left_out``: the parts that are not read, in words.
    - ``modules``, ``head``: paths of the text model and its head in published files.
    """

    model_type: str
    classes: str | tuple[str, ...]
    text: str
    left_out: str = "the vision tower"
    modules: str = "language_model.model"
    head: str = "language_model.lm_head"
