"""Networks that read tokens, as transformers defines them, each with the configuration that was published."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers
from torch import nn

from tests.models.definitions import DYNAMIC, Built, Export, fixed_text, ids, masked_text, text, translation


class Decoding(nn.Module):
    """One step of generation: a token, and a cache that already holds ``past`` positions."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]) -> torch.Tensor:
        cache = transformers.DynamicCache()
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            cache.update(key, value, layer)
        return self.model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits


def decoding() -> Built:
    shape = (2, LLAMA.num_key_value_heads, 16, LLAMA.hidden_size // LLAMA.num_attention_heads)
    cache = [torch.zeros(shape) for _ in range(LLAMA.num_hidden_layers)]
    free = [{0: DYNAMIC, 2: DYNAMIC} for _ in cache]
    inputs = {"input_ids": ids(2, 1), "keys": cache, "values": list(cache)}
    return (
        Decoding(transformers.LlamaForCausalLM(LLAMA)),
        inputs,
        {"input_ids": {0: DYNAMIC}, "keys": free, "values": free},
    )


def mixtral(experts: str) -> Built:
    config = transformers.MixtralConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        num_local_experts=8,
        num_experts_per_tok=2,
        attn_implementation="sdpa",
        experts_implementation=experts,
    )
    return fixed_text(transformers.MixtralForCausalLM, config, use_cache=False)


BERT = transformers.BertConfig(attn_implementation="sdpa")
OPT = transformers.OPTConfig(attn_implementation="sdpa")
GPT2 = transformers.GPT2Config(attn_implementation="sdpa")
BLOOM = transformers.BloomConfig(hidden_size=1024, n_layer=24, n_head=16, vocab_size=250880)
GPT_NEO = transformers.GPTNeoConfig(
    hidden_size=2048, num_layers=24, num_heads=16, attention_types=[[["global", "local"], 12]]
)
LLAMA = transformers.LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
    rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    attn_implementation="sdpa",
)
ROBERTA = transformers.RobertaConfig(
    vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
)
ALBERT = transformers.AlbertConfig(
    hidden_size=768, num_attention_heads=12, intermediate_size=3072, hidden_act="gelu_new"
)
ELECTRA = transformers.ElectraConfig()
T5 = transformers.T5Config()
BART = transformers.BartConfig(
    vocab_size=50265,
    d_model=768,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=12,
    decoder_attention_heads=12,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
)
DEBERTA = transformers.DebertaV2Config(
    vocab_size=128100,
    hidden_size=768,
    num_hidden_layers=6,
    num_attention_heads=12,
    intermediate_size=3072,
    max_position_embeddings=512,
    type_vocab_size=0,
    relative_attention=True,
    position_buckets=256,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    pos_att_type=["p2c", "c2p"],
    position_biased_input=False,
)
PYTHIA = transformers.GPTNeoXConfig(
    vocab_size=50304,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    max_position_embeddings=2048,
    rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25},
)
QWEN2 = transformers.Qwen2Config(
    vocab_size=151936,
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    tie_word_embeddings=True,
)
SMOLLM = transformers.LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    tie_word_embeddings=True,
)
FALCON = transformers.FalconConfig(
    vocab_size=50304,
    hidden_size=2048,
    num_hidden_layers=24,
    num_attention_heads=32,
    alibi=True,
    multi_query=False,
    parallel_attn=False,
    bias=True,
)
PHI = transformers.PhiConfig(hidden_size=2048, num_hidden_layers=24, num_attention_heads=32, intermediate_size=8192)
GEMMA2 = transformers.Gemma2Config(vocab_size=256000, hidden_size=2304, intermediate_size=9216)
XLNET = transformers.XLNetConfig(d_model=768, n_layer=12, n_head=12, d_inner=3072)

POOLED = {
    "roberta_base": (transformers.RobertaModel, ROBERTA),
    "albert_base": (transformers.AlbertModel, ALBERT),
    "squeezebert": (transformers.SqueezeBertModel, transformers.SqueezeBertConfig()),
    "mobilebert": (transformers.MobileBertModel, transformers.MobileBertConfig()),
}
ENCODERS = {
    "distilbert": (transformers.DistilBertModel, transformers.DistilBertConfig()),
    "electra_small": (transformers.ElectraModel, ELECTRA),
}
DECODERS = {
    "pythia_160m": (transformers.GPTNeoXForCausalLM, PYTHIA),
    "qwen2_0.5b": (transformers.Qwen2ForCausalLM, QWEN2),
    "smollm_135m": (transformers.LlamaForCausalLM, SMOLLM),
    "falcon_rw_1b": (transformers.FalconForCausalLM, FALCON),
    "phi_1.5": (transformers.PhiForCausalLM, PHI),
    "gemma2_2b": (transformers.Gemma2ForCausalLM, GEMMA2),
}


def exported(name: str, build: Any, *arguments: Any, dtype: str = "float32", **options: Any) -> Export:
    return Export(name=name, task="nlp", build=partial(build, *arguments, **options), dtype=dtype)


EXPORTS = (
    exported("bert_base", text, transformers.BertModel, BERT, "pooler_output"),
    exported("opt_125m", text, transformers.OPTForCausalLM, OPT, use_cache=False),
    exported("gpt2", text, transformers.GPT2LMHeadModel, GPT2, use_cache=False),
    exported("bloom_560m", text, transformers.BloomForCausalLM, BLOOM, use_cache=False),
    exported("gpt_neo_1.3b", fixed_text, transformers.GPTNeoForCausalLM, GPT_NEO, use_cache=False),
    exported("llama_3_8b", text, transformers.LlamaForCausalLM, LLAMA, use_cache=False),
    exported("llama_3_8b_last_logit", text, transformers.LlamaForCausalLM, LLAMA, use_cache=False, logits_to_keep=1),
    exported("llama_3_8b_decode", decoding),
    exported("mixtral_8x7b", mixtral, "batched_mm", dtype="bfloat16"),
    exported("mixtral_8x7b_grouped", mixtral, "grouped_mm", dtype="bfloat16"),
    *(exported(name, text, *model, "pooler_output") for name, model in POOLED.items()),
    *(exported(name, text, *model, "last_hidden_state") for name, model in ENCODERS.items()),
    *(exported(name, text, *model, use_cache=False) for name, model in DECODERS.items()),
    exported("mpnet_base", masked_text, transformers.MPNetModel, transformers.MPNetConfig(), "pooler_output"),
    exported("t5_small", translation, transformers.T5ForConditionalGeneration, T5, use_cache=False),
    exported("bart_base", translation, transformers.BartForConditionalGeneration, BART, use_cache=False),
    exported("deberta_v3_small", fixed_text, transformers.DebertaV2Model, DEBERTA, "last_hidden_state"),
    exported("xlnet_base", fixed_text, transformers.XLNetModel, XLNET, "last_hidden_state", use_mems=False),
)
