"""Models with latent attention."""

from __future__ import annotations

from tests.models.served.case import Case
from tests.models.served.experts import SMALL as USUAL
from tests.models.served.formulas import ABSORBED

SMALL = {
    **USUAL, "num_key_value_heads": 4, "intermediate_size": 160, "moe_intermediate_size": 32, "n_routed_experts": 6,
    "num_experts_per_tok": 2, "n_shared_experts": 2, "first_k_dense_replace": 1, "kv_lora_rank": 32,
    "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 20, "n_group": 2, "topk_group": 1,
    "attention_bias": True,
}  # fmt: skip

INDEXED = {"index_n_heads": 2, "index_head_dim": 16, "index_topk": 5}

KIMI_K2 = {
    "architectures": ["DeepseekV3ForCausalLM"], "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
    "model_type": "kimi_k2", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
    "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 163840, "torch_dtype": "bfloat16",
    "max_position_embeddings": 131072, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 384, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "first_k_dense_replace": 1,
    "n_group": 1, "topk_group": 1, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True,
    "routed_scaling_factor": 2.827, "num_nextn_predict_layers": 0, "ep_size": 1, "aux_loss_alpha": 0.001,
    "seq_aux": True, "attention_bias": False, "tie_word_embeddings": False,
}  # fmt: skip
"""As its file has it, without the quantisation. Transformers knows the class, and no model type of this name."""

LATENT = (
    Case(
        family="DeepSeek V2",
        architecture="DeepseekV2ForCausalLM",
        small={"model_type": "deepseek_v2", **SMALL, "q_lora_rank": None, "topk_method": "greedy"},
        origin="deepseek-ai/DeepSeek-V2",
        published={
            "model_type": "deepseek_v2", "hidden_size": 5120, "intermediate_size": 12288, "num_hidden_layers": 60,
            "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 102400, "torch_dtype": "bfloat16",
            "max_position_embeddings": 163840, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 160, "n_shared_experts": 2,
            "num_experts_per_tok": 6, "moe_intermediate_size": 1536, "moe_layer_freq": 1, "first_k_dense_replace": 1,
            "n_group": 8, "topk_group": 3, "topk_method": "group_limited_greedy", "scoring_func": "softmax",
            "norm_topk_prob": False, "routed_scaling_factor": 16.0, "aux_loss_alpha": 0.001, "seq_aux": True,
            "ep_size": 1, "attention_bias": False, "tie_word_embeddings": False,
        },
        step_formulas=(ABSORBED,),
    ),
    Case(
        family="DeepSeek V3, R1, V3.1",
        architecture="DeepseekV3ForCausalLM",
        small={"model_type": "deepseek_v3", **SMALL},
        origin="deepseek-ai/DeepSeek-V3",
        published={
            "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
            "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "torch_dtype": "bfloat16",
            "max_position_embeddings": 163840, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "first_k_dense_replace": 3,
            "n_group": 8, "topk_group": 4, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
            "norm_topk_prob": True, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1, "ep_size": 1,
            "attention_bias": False, "tie_word_embeddings": False,
        },
        step_formulas=(ABSORBED,),
    ),
    Case(
        family="Kimi K2",
        architecture="DeepseekV3ForCausalLM",
        variant="kimi_k2",
        small={"model_type": "kimi_k2", **SMALL},
        origin="moonshotai/Kimi-K2-Instruct",
        published=KIMI_K2,
        step_formulas=(ABSORBED,),
    ),
    Case(
        family="DeepSeek V3.2",
        architecture="DeepseekV32ForCausalLM",
        small={"model_type": "deepseek_v32", **SMALL, **INDEXED},
        origin="deepseek-ai/DeepSeek-V3.2",
        published={
            "model_type": "deepseek_v32", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
            "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "torch_dtype": "bfloat16",
            "max_position_embeddings": 163840, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "first_k_dense_replace": 3,
            "n_group": 8, "topk_group": 4, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
            "norm_topk_prob": True, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1, "ep_size": 1,
            "index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048, "attention_bias": False,
            "tie_word_embeddings": False,
        },
        formulas=(ABSORBED,),
    ),
    Case(
        family="GLM-4.7-Flash",
        architecture="Glm4MoeLiteForCausalLM",
        small={"model_type": "glm4_moe_lite", **SMALL},
        origin="zai-org/GLM-4.7-Flash",
        published={
            "model_type": "glm4_moe_lite", "hidden_size": 2048, "intermediate_size": 10240, "num_hidden_layers": 47,
            "num_attention_heads": 20, "num_key_value_heads": 20, "vocab_size": 154880, "dtype": "bfloat16",
            "max_position_embeddings": 202752, "kv_lora_rank": 512, "q_lora_rank": 768, "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64, "v_head_dim": 256, "n_routed_experts": 64, "n_shared_experts": 1,
            "num_experts_per_tok": 4, "moe_intermediate_size": 1536, "first_k_dense_replace": 1, "n_group": 1,
            "topk_group": 1, "topk_method": "noaux_tc", "norm_topk_prob": True, "routed_scaling_factor": 1.8,
            "num_nextn_predict_layers": 1, "attention_bias": False, "tie_word_embeddings": False,
        },
        step_formulas=(ABSORBED,),
    ),
    Case(
        family="GLM-5",
        architecture="GlmMoeDsaForCausalLM",
        small={"model_type": "glm_moe_dsa", **SMALL, **INDEXED, "index_topk_freq": 2, "n_group": 1},
        origin="zai-org/GLM-5",
        published={
            "model_type": "glm_moe_dsa", "hidden_size": 6144, "intermediate_size": 12288, "num_hidden_layers": 78,
            "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 154880, "dtype": "bfloat16",
            "max_position_embeddings": 202752, "kv_lora_rank": 512, "q_lora_rank": 2048, "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64, "v_head_dim": 256, "n_routed_experts": 256, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "first_k_dense_replace": 3,
            "n_group": 1, "topk_group": 1, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
            "norm_topk_prob": True, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1, "ep_size": 1,
            "index_n_heads": 32, "index_head_dim": 128, "index_topk": 2048, "attention_bias": False,
            "tie_word_embeddings": False,
        },
        formulas=(ABSORBED,),
    ),
)  # fmt: skip
