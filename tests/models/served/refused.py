"""Configurations that are refused, each with the reason in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from tests.models.served.case import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """``what`` is refused, ``why``; ``keys`` of a configuration that asks for it, and the ``reason`` of the error."""

    what: str
    why: str
    keys: Keys
    reason: str = "UnknownArchitecture"


REFUSED = (
    Refused(
        what="a `model_type` without an entry in the table",
        why="what it computes is unknown; `architecture` reads it like a known one, or its class is traced (below)",
        keys={"model_type": "rwkv"},
    ),
    Refused(
        what="code of its own (`auto_map`) under such a `model_type`",
        why="remote code is never run; `architecture` reads it like a known one",
        keys={"model_type": "my_model", "auto_map": {"AutoModelForCausalLM": "modeling.MyModel"}},
    ),
    Refused(
        what="a class in `architectures` with another head than the table above names",
        why="what runs after the last layer is unknown",
        keys={"model_type": "llama", "architectures": ["LlamaForQuestionAnswering"]},
    ),
    Refused(
        what="BERT and its relatives as decoders (`BertLMHeadModel`), BART for classification",
        why="their heads are not written",
        keys={"model_type": "bert", "architectures": ["BertLMHeadModel"]},
    ),
    Refused(
        what="DeBERTa v1 and v2: `conv_kernel_size`, or without `share_att_key`, or with one of `c2p` and `p2c`",
        why="only the attention of version 3 is written",
        keys={"model_type": "deberta-v2", "relative_attention": True, "pos_att_type": ["c2p"]},
    ),
    Refused(
        what="BERT and RoBERTa with `is_decoder` or `add_cross_attention`, GPT-2 with `add_cross_attention`",
        why="they are halves of an encoder–decoder that is not in the table",
        keys={"model_type": "bert", "is_decoder": True},
    ),
    Refused(
        what="Phi and StableLM with `qk_layernorm`, Command R+ (`use_qk_norm`), SmolLM3 with `use_sliding_window`",
        why="their normalisations of heads, or rule for windows, are not written",
        keys={"model_type": "phi", "qk_layernorm": True},
    ),
    Refused(
        what="Nemotron-H with `moe_latent_size`",
        why="experts of a compressed width are not written",
        keys={"model_type": "nemotron_h", "moe_latent_size": 1024},
    ),
)
