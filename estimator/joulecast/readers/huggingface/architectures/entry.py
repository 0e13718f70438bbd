"""What an entry of the table of architectures says: where a family keeps its sizes, and which blocks it is made of.

A field that holds a ``Flag`` is always so, never so, or as the configuration's key of that name says. A field that
holds a rule is a function of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from joulecast.blocks import Attention, Experts, FeedForward, Mixer, NormKind
from joulecast.readers.huggingface.architectures.rules import head_size, no_window, shared_heads
from joulecast.readers.huggingface.configuration import Configuration

Flag = bool | str

Windows = Callable[[Configuration, int], "tuple[int | None, ...]"]
"""The window of each of so many layers, None for those that attend to all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A family of models that generate by one stack of layers.

    - ``classes``: of transformers, without the part that names the head (``Llama`` of ``LlamaForCausalLM``);
      ``usual``: that part where a configuration names no class.
    - ``layer``, ``embedding``, ``head``, ``attention``, ``mlp``: paths of the modules in published files;
      ``projections`` and ``mlp_projections``: of the products in these.
    - ``kv_heads``, ``head_size``, ``intermediate``: rules for sizes that families spell in different ways.
    - ``norm``: kind of all normalisations over the hidden width; ``norms``: how many a layer has.
    - ``query_norm``: queries and keys are normalised, each head by itself or all heads at once.
    - ``rotary``: key of the share of a head that is rotated, with its value where it is left out; None for none.
    - ``positions``: key of the rows of a learned position table, None for none; ``more_positions``: rows beside these.
    - ``windows``: rule for the window of each layer; ``depth``: rule for the number of layers.
    - ``mixer``, ``feed_forward``: make the blocks of layer ``number`` in place of attention and a dense block, for
      experts, latent attention and recurrences. They get what makes the usual block of that layer, and return None
      where the layer has none.
    - ``uncounted``: keys of published files that the class does not know and that change no count.
    - ``notes``: what is left out or simplified, in sentences.
    """

    model_type: str
    classes: str
    usual: str = "ForCausalLM"
    layer: str = "model.layers.{}"
    embedding: str = "model.embed_tokens"
    head: str = "lm_head"
    attention: str = "self_attn"
    mlp: str = "mlp"
    projections: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    mlp_projections: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    kv_heads: Callable[[Configuration], int] = shared_heads
    head_size: Callable[[Configuration], int] = head_size
    intermediate: str | Callable[[Configuration], int] = "intermediate_size"
    gated: bool = True
    activation: str = "hidden_act"
    query_bias: Flag = False
    key_bias: Flag | None = None
    value_bias: Flag | None = None
    output_bias: Flag = False
    mlp_bias: Flag = False
    head_bias: Flag = False
    norm: NormKind = "rms"
    norm_bias: bool = False
    norm_scale: Flag = True
    norms: int | Callable[[Configuration], int] = 2
    final_norm: Flag | Callable[[Configuration], bool] = True
    embedding_norm: bool = False
    embedding_width: str | None = None
    query_norm: Literal["head", "all heads"] | None = None
    rotary: tuple[str, float] | None = ("partial_rotary_factor", 1.0)
    positions: str | None = None
    more_positions: int = 0
    windows: Windows = no_window
    depth: Callable[[Configuration], int] = Configuration.layers
    mixer: Callable[[Configuration, int, Callable[[], Attention]], Mixer | None] | None = None
    feed_forward: Callable[[Configuration, int, Callable[[], FeedForward]], FeedForward | Experts | None] | None = None
    uncounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bidirectional: Flag = False
    alibi: Flag = False
    names: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A model of several towers, of which the text model is read.

    - ``text``: model type of the text model where ``text_config`` names none.
    - ``classes``: as of a decoder; ``left_out``: the parts that are not read, in words.
    - ``modules``, ``head``: paths of the text model and its head in published files.
    """

    model_type: str
    classes: str
    text: str
    left_out: str = "the vision tower"
    modules: str = "language_model.model"
    head: str = "language_model.lm_head"
