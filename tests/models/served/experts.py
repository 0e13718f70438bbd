"""Models that send tokens to experts."""

from __future__ import annotations

from tests.models.served.case import Case
from tests.models.served.formulas import DENSE_EXPERTS

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96,
    "max_position_embeddings": 128,
}  # fmt: skip

EXPERTS = (
    Case(
        family="Mixtral",
        architecture="MixtralForCausalLM",
        small={"model_type": "mixtral", **SMALL, "intermediate_size": 160, "num_local_experts": 6},
        origin="mistralai/Mixtral-8x7B-v0.1",
        published={
            "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "torch_dtype": "bfloat16",
            "max_position_embeddings": 32768, "num_local_experts": 8, "num_experts_per_tok": 2,
            "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Qwen1.5-MoE, Qwen2-MoE",
        architecture="Qwen2MoeForCausalLM",
        small={"model_type": "qwen2_moe", **SMALL, "num_hidden_layers": 4, "intermediate_size": 160,
               "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48, "num_experts": 6,
               "num_experts_per_tok": 2, "decoder_sparse_step": 2, "mlp_only_layers": [3]},
        origin="Qwen/Qwen2-57B-A14B",
        published={
            "model_type": "qwen2_moe", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 151936, "torch_dtype": "bfloat16",
            "max_position_embeddings": 131072, "max_window_layers": 28, "sliding_window": 65536,
            "use_sliding_window": False, "decoder_sparse_step": 1, "moe_intermediate_size": 2560, "num_experts": 64,
            "num_experts_per_tok": 8, "norm_topk_prob": False, "shared_expert_intermediate_size": 20480,
            "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Qwen3-MoE",
        architecture="Qwen3MoeForCausalLM",
        small={"model_type": "qwen3_moe", **SMALL, "intermediate_size": 160, "head_dim": 24,
               "moe_intermediate_size": 32, "num_experts": 6, "num_experts_per_tok": 2, "mlp_only_layers": [1]},
        origin="Qwen/Qwen3-235B-A22B",
        published={
            "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 94,
            "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936,
            "torch_dtype": "bfloat16", "max_position_embeddings": 40960, "max_window_layers": 94,
            "sliding_window": None, "use_sliding_window": False, "decoder_sparse_step": 1, "mlp_only_layers": [],
            "moe_intermediate_size": 1536, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True,
            "attention_bias": False, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="OLMoE",
        architecture="OlmoeForCausalLM",
        small={"model_type": "olmoe", **SMALL, "intermediate_size": 32, "num_experts": 6, "num_experts_per_tok": 2,
               "attention_bias": True},
        origin="allenai/OLMoE-1B-7B-0924",
        published={
            "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16,
            "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 50304, "torch_dtype": "bfloat16",
            "max_position_embeddings": 4096, "num_experts": 64, "num_experts_per_tok": 8, "norm_topk_prob": False,
            "attention_bias": False, "clip_qkv": None, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="gpt-oss",
        architecture="GptOssForCausalLM",
        small={"model_type": "gpt_oss", **SMALL, "intermediate_size": 48, "head_dim": 24, "num_local_experts": 6,
               "num_experts_per_tok": 2, "sliding_window": 32, "attention_bias": True,
               "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        origin="openai/gpt-oss-120b",
        published={
            "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36,
            "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088,
            "max_position_embeddings": 131072, "num_local_experts": 128, "num_experts_per_tok": 4,
            "experts_per_token": 4, "initial_context_length": 4096, "sliding_window": 128, "attention_bias": True,
            "layer_types": ["sliding_attention", "full_attention"] * 18, "swiglu_limit": 7.0,
            "tie_word_embeddings": False,
        },
        tokens=96,
    ),
    Case(
        family="GLM-4.5, GLM-4.6, GLM-4.7",
        architecture="Glm4MoeForCausalLM",
        small={"model_type": "glm4_moe", **SMALL, "intermediate_size": 160, "head_dim": 24,
               "moe_intermediate_size": 32, "n_routed_experts": 6, "num_experts_per_tok": 2, "n_shared_experts": 2,
               "first_k_dense_replace": 1, "attention_bias": True, "use_qk_norm": True},
        origin="zai-org/GLM-4.5",
        published={
            "model_type": "glm4_moe", "hidden_size": 5120, "intermediate_size": 12288, "num_hidden_layers": 92,
            "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151552,
            "torch_dtype": "bfloat16", "max_position_embeddings": 131072, "partial_rotary_factor": 0.5,
            "attention_bias": True, "use_qk_norm": True, "n_group": 1, "topk_group": 1, "n_shared_experts": 1,
            "n_routed_experts": 160, "routed_scaling_factor": 2.5, "moe_intermediate_size": 1536,
            "num_experts_per_tok": 8, "first_k_dense_replace": 3, "norm_topk_prob": True,
            "num_nextn_predict_layers": 1, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="MiniMax M2",
        architecture="MiniMaxM2ForCausalLM",
        small={"model_type": "minimax_m2", **SMALL, "intermediate_size": 32, "head_dim": 24, "num_local_experts": 6,
               "num_experts_per_tok": 2, "rotary_dim": 12},
        origin="MiniMaxAI/MiniMax-M2",
        published={
            "model_type": "minimax_m2", "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62,
            "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "rotary_dim": 64,
            "vocab_size": 200064, "max_position_embeddings": 196608, "num_local_experts": 256,
            "num_experts_per_tok": 8, "scoring_func": "sigmoid", "use_qk_norm": True, "qk_norm_type": "per_layer",
            "use_routing_bias": True, "use_mtp": True, "num_mtp_modules": 3, "mtp_transformer_layers": 1,
            "shared_intermediate_size": 0, "attn_type_list": [1] * 62, "tie_word_embeddings": False,
        },
    ),
    Case(
        family="Llama 4 (text)",
        architecture="Llama4ForCausalLM",
        small={"model_type": "llama4_text", **SMALL, "num_hidden_layers": 4, "intermediate_size": 32,
               "intermediate_size_mlp": 160, "head_dim": 24, "num_local_experts": 6, "num_experts_per_tok": 1,
               "interleave_moe_layer_step": 2, "no_rope_layers": [1, 1, 1, 0]},
        origin="meta-llama/Llama-4-Scout-17B-16E",
        published={
            "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192,
            "intermediate_size_mlp": 16384, "num_hidden_layers": 48, "num_attention_heads": 40,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048, "torch_dtype": "bfloat16",
            "max_position_embeddings": 10485760, "num_local_experts": 16, "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 1, "attention_chunk_size": 8192, "use_qk_norm": True,
            "no_rope_layers": [1, 1, 1, 0] * 12, "for_llm_compressor": False, "tie_word_embeddings": False,
        },
        formulas=(DENSE_EXPERTS,),
    ),
)  # fmt: skip
