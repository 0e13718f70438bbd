"""Models that generate by one stack of layers."""

from __future__ import annotations

from tests.models.served.case import Case

SMALL = {
    "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 96, "max_position_embeddings": 128,
}  # fmt: skip

DECODERS = (
    Case(
        family="Llama 2, 3, 3.x",
        architecture="LlamaForCausalLM",
        small={"model_type": "llama", **SMALL, "attention_bias": True, "mlp_bias": True},
        origin="meta-llama/Meta-Llama-3-8B",
        published={
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "torch_dtype": "bfloat16",
            "max_position_embeddings": 8192, "rope_theta": 500000.0, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Mistral",
        architecture="MistralForCausalLM",
        small={"model_type": "mistral", **SMALL, "sliding_window": 32},
        origin="mistralai/Mistral-7B-v0.1",
        published={
            "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "torch_dtype": "bfloat16",
            "max_position_embeddings": 32768, "sliding_window": 4096, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Qwen2, Qwen2.5",
        architecture="Qwen2ForCausalLM",
        small={"model_type": "qwen2", **SMALL, "use_sliding_window": True, "sliding_window": 32,
               "max_window_layers": 1},
        origin="Qwen/Qwen2.5-7B",
        published={
            "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "torch_dtype": "bfloat16",
            "max_position_embeddings": 131072, "max_window_layers": 28, "sliding_window": 131072,
            "use_sliding_window": False, "use_mrope": False, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Qwen3",
        architecture="Qwen3ForCausalLM",
        small={"model_type": "qwen3", **SMALL, "head_dim": 24, "attention_bias": True},
        origin="Qwen/Qwen3-8B",
        published={
            "model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
            "torch_dtype": "bfloat16", "max_position_embeddings": 40960, "max_window_layers": 36,
            "sliding_window": None, "use_sliding_window": False, "attention_bias": False,
            "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Gemma",
        architecture="GemmaForCausalLM",
        small={"model_type": "gemma", **SMALL, "head_dim": 24},
        origin="google/gemma-7b",
        published={
            "model_type": "gemma", "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28,
            "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "vocab_size": 256000,
            "torch_dtype": "bfloat16", "max_position_embeddings": 8192, "hidden_act": "gelu",
        },
    ),
    Case(
        family="Gemma 2",
        architecture="Gemma2ForCausalLM",
        small={"model_type": "gemma2", **SMALL, "head_dim": 24, "sliding_window": 32},
        origin="google/gemma-2-9b",
        published={
            "model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42,
            "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000,
            "torch_dtype": "float32", "max_position_embeddings": 8192, "sliding_window": 4096,
            "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        },
    ),
    Case(
        family="Gemma 3",
        architecture="Gemma3ForCausalLM",
        small={"model_type": "gemma3_text", **SMALL, "num_hidden_layers": 7, "head_dim": 24, "sliding_window": 32},
        origin="google/gemma-3-1b-it",
        published={
            "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26,
            "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262144,
            "torch_dtype": "bfloat16", "max_position_embeddings": 32768, "sliding_window": 512,
            "sliding_window_pattern": 6,
        },
    ),
    Case(
        family="Phi-3, Phi-4",
        architecture="Phi3ForCausalLM",
        small={"model_type": "phi3", **SMALL, "pad_token_id": 0, "partial_rotary_factor": 0.75},
        origin="microsoft/phi-4",
        published={
            "model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920, "num_hidden_layers": 40,
            "num_attention_heads": 40, "num_key_value_heads": 10, "vocab_size": 100352, "torch_dtype": "bfloat16",
            "max_position_embeddings": 16384, "sliding_window": None, "original_max_position_embeddings": 16384,
        },
    ),
    Case(
        family="Phi-1, Phi-2",
        architecture="PhiForCausalLM",
        small={"model_type": "phi", **SMALL},
        origin="microsoft/phi-2",
        published={
            "model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 51200, "torch_dtype": "float16",
            "max_position_embeddings": 2048, "partial_rotary_factor": 0.4, "qk_layernorm": False,
        },
    ),
    Case(
        family="Granite 3",
        architecture="GraniteForCausalLM",
        small={"model_type": "granite", **SMALL, "tie_word_embeddings": True},
        origin="ibm-granite/granite-3.0-8b-instruct",
        published={
            "model_type": "granite", "hidden_size": 4096, "intermediate_size": 12800, "num_hidden_layers": 40,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 49155, "torch_dtype": "bfloat16",
            "max_position_embeddings": 4096, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
        },
    ),
    Case(
        family="OLMo",
        architecture="OlmoForCausalLM",
        small={"model_type": "olmo", **SMALL},
        origin="allenai/OLMo-7B-hf",
        published={
            "model_type": "olmo", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 50304, "torch_dtype": "float32",
            "max_position_embeddings": 2048, "tie_word_embeddings": False, "clip_qkv": None,
        },
    ),
    Case(
        family="OLMo 2",
        architecture="Olmo2ForCausalLM",
        small={"model_type": "olmo2", **SMALL},
        origin="allenai/OLMo-2-1124-7B",
        published={
            "model_type": "olmo2", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100352, "torch_dtype": "float32",
            "max_position_embeddings": 4096, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="OLMo 3",
        architecture="Olmo3ForCausalLM",
        small={"model_type": "olmo3", **SMALL, "num_hidden_layers": 5, "sliding_window": 32},
    ),
    Case(
        family="StarCoder2",
        architecture="Starcoder2ForCausalLM",
        small={"model_type": "starcoder2", **SMALL},
        origin="bigcode/starcoder2-7b",
        published={
            "model_type": "starcoder2", "hidden_size": 4608, "intermediate_size": 18432, "num_hidden_layers": 32,
            "num_attention_heads": 36, "num_key_value_heads": 4, "vocab_size": 49152, "torch_dtype": "bfloat16",
            "max_position_embeddings": 16384, "sliding_window": 4096, "use_bias": True,
        },
    ),
    Case(
        family="GPT-2",
        architecture="GPT2LMHeadModel",
        small={"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 3, "vocab_size": 96, "n_positions": 64},
        origin="openai-community/gpt2",
        published={
            "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
            "vocab_size": 50257,
        },
    ),
    Case(
        family="GPT-Neo",
        architecture="GPTNeoForCausalLM",
        small={
            "model_type": "gpt_neo", "hidden_size": 64, "num_heads": 4, "num_layers": 4, "vocab_size": 96,
            "max_position_embeddings": 64, "attention_types": [[["global", "local"], 2]], "window_size": 32,
        },
        origin="EleutherAI/gpt-neo-1.3B",
        published={
            "model_type": "gpt_neo", "hidden_size": 2048, "num_heads": 16, "num_layers": 24, "vocab_size": 50257,
            "max_position_embeddings": 2048, "attention_types": [[["global", "local"], 12]], "window_size": 256,
            "attention_layers": ["global", "local"] * 12, "intermediate_size": None,
        },
    ),
    Case(
        family="GPT-NeoX, Pythia",
        architecture="GPTNeoXForCausalLM",
        small={"model_type": "gpt_neox", **SMALL},
        origin="EleutherAI/gpt-neox-20b",
        published={
            "model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24576, "num_hidden_layers": 44,
            "num_attention_heads": 64, "vocab_size": 50432, "torch_dtype": "float16", "rotary_pct": 0.25,
            "max_position_embeddings": 2048, "rotary_emb_base": 10000, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="OPT",
        architecture="OPTForCausalLM",
        small={
            "model_type": "opt", "hidden_size": 64, "ffn_dim": 160, "num_hidden_layers": 3, "num_attention_heads": 4,
            "vocab_size": 96, "max_position_embeddings": 64,
        },
        origin="facebook/opt-125m",
        published={
            "model_type": "opt", "hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "vocab_size": 50272, "max_position_embeddings": 2048,
            "word_embed_proj_dim": 768, "do_layer_norm_before": True, "torch_dtype": "float16",
        },
    ),
    Case(
        family="OPT",
        architecture="OPTForCausalLM",
        variant="projected",
        small={
            "model_type": "opt", "hidden_size": 64, "ffn_dim": 160, "num_hidden_layers": 3, "num_attention_heads": 4,
            "vocab_size": 96, "max_position_embeddings": 64, "word_embed_proj_dim": 32,
            "do_layer_norm_before": False,
        },
        origin="facebook/opt-350m",
        published={
            "model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24,
            "num_attention_heads": 16, "vocab_size": 50272, "max_position_embeddings": 2048,
            "word_embed_proj_dim": 512, "do_layer_norm_before": False, "torch_dtype": "float16",
        },
    ),
    Case(
        family="BLOOM",
        architecture="BloomForCausalLM",
        small={"model_type": "bloom", "n_embed": 64, "n_head": 4, "n_layer": 3, "vocab_size": 96},
        origin="bigscience/bloom-560m",
        published={
            "model_type": "bloom", "hidden_size": 1024, "n_head": 16, "n_layer": 24, "vocab_size": 250880,
            "offset_alibi": 100, "seq_length": 2048, "skip_bias_add": True, "skip_bias_add_qkv": False,
        },
    ),
    Case(
        family="Falcon",
        architecture="FalconForCausalLM",
        small={"model_type": "falcon", **SMALL, "bias": True},
        origin="tiiuae/falcon-7b",
        published={
            "model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
            "vocab_size": 65024, "torch_dtype": "bfloat16", "alibi": False, "bias": False, "multi_query": True,
            "new_decoder_architecture": False, "parallel_attn": True,
        },
    ),
    Case(
        family="Falcon",
        architecture="FalconForCausalLM",
        variant="new",
        small={"model_type": "falcon", **SMALL, "new_decoder_architecture": True, "num_kv_heads": 2},
        origin="tiiuae/falcon-40b",
        published={
            "model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128,
            "num_kv_heads": 8, "vocab_size": 65024, "torch_dtype": "bfloat16", "alibi": False, "bias": False,
            "multi_query": True, "new_decoder_architecture": True, "parallel_attn": True,
        },
    ),
    Case(
        family="Falcon",
        architecture="FalconForCausalLM",
        variant="alibi",
        small={"model_type": "falcon", **SMALL, "alibi": True, "multi_query": False, "parallel_attn": False},
    ),
    Case(
        family="SmolLM3",
        architecture="SmolLM3ForCausalLM",
        small={"model_type": "smollm3", **SMALL, "pad_token_id": 0},
        origin="HuggingFaceTB/SmolLM3-3B",
        published={
            "model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
            "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 128256, "torch_dtype": "bfloat16",
            "max_position_embeddings": 65536, "use_sliding_window": False,
        },
    ),
    Case(
        family="Seed-OSS",
        architecture="SeedOssForCausalLM",
        small={"model_type": "seed_oss", **SMALL, "head_dim": 24, "attention_out_bias": True},
        origin="ByteDance-Seed/Seed-OSS-36B-Instruct",
        published={
            "model_type": "seed_oss", "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64,
            "num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 155136,
            "torch_dtype": "bfloat16", "max_position_embeddings": 524288, "attention_bias": True,
            "attention_out_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="ERNIE 4.5",
        architecture="Ernie4_5ForCausalLM",
        small={"model_type": "ernie4_5", **SMALL, "head_dim": 24, "use_bias": True},
        origin="baidu/ERNIE-4.5-0.3B-PT",
        published={
            "model_type": "ernie4_5", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 18,
            "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 103424,
            "torch_dtype": "bfloat16", "max_position_embeddings": 131072, "use_bias": False,
            "tie_word_embeddings": True,
        },
    ),
    Case(
        family="GLM-4",
        architecture="Glm4ForCausalLM",
        small={"model_type": "glm4", **SMALL, "head_dim": 24, "pad_token_id": 0},
        origin="zai-org/GLM-4-9B-0414",
        published={
            "model_type": "glm4", "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
            "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 151552,
            "torch_dtype": "bfloat16", "max_position_embeddings": 32768, "attention_bias": False,
            "partial_rotary_factor": 0.5, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="StableLM",
        architecture="StableLmForCausalLM",
        small={"model_type": "stablelm", **SMALL, "use_parallel_residual": True},
        origin="stabilityai/stablelm-2-1_6b",
        published={
            "model_type": "stablelm", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100352, "torch_dtype": "float16",
            "max_position_embeddings": 4096, "use_qkv_bias": True, "partial_rotary_factor": 0.25,
            "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Command R",
        architecture="CohereForCausalLM",
        small={"model_type": "cohere", **SMALL, "attention_bias": True},
        origin="CohereForAI/c4ai-command-r-v01",
        published={
            "model_type": "cohere", "hidden_size": 8192, "intermediate_size": 22528, "num_hidden_layers": 40,
            "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 256000, "torch_dtype": "float16",
            "max_position_embeddings": 8192, "logit_scale": 0.0625,
        },
    ),
    Case(
        family="Qwen3 Embedding",
        architecture="Qwen3Model",
        small={"model_type": "qwen3", **SMALL},
        decodes=False,
    ),
    Case(
        family="Qwen3 Reranker",
        architecture="Qwen3ForSequenceClassification",
        small={"model_type": "qwen3", **SMALL, "num_labels": 1, "pad_token_id": 0},
        decodes=False,
        within=0.001,
        why="engines score the last token of a sequence, transformers all of them and keeps one",
    ),
    Case(
        family="Llama sequence classification, rerankers",
        architecture="LlamaForSequenceClassification",
        small={"model_type": "llama", **SMALL, "num_labels": 3, "pad_token_id": 0},
        origin="Skywork/Skywork-Reward-Llama-3.1-8B",
        published={
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "torch_dtype": "bfloat16",
            "max_position_embeddings": 131072, "tie_word_embeddings": False, "num_labels": 1, "pad_token_id": 0,
        },
        decodes=False,
        within=0.002,
        why="engines score the last token of a sequence, transformers all of them and keeps one",
    ),
    Case(
        family="Mistral embedding",
        architecture="MistralModel",
        small={"model_type": "mistral", **SMALL, "sliding_window": 32},
        decodes=False,
    ),
    Case(
        family="Llama token classification",
        architecture="LlamaForTokenClassification",
        small={"model_type": "llama", **SMALL},
        decodes=False,
    ),
    Case(
        family="Gemma 3 Embedding",
        architecture="Gemma3TextModel",
        small={"model_type": "gemma3_text", **SMALL, "head_dim": 24, "sliding_window": 32,
               "use_bidirectional_attention": True},
        decodes=False,
    ),
)  # fmt: skip
