"""Models with state spaces, alone or between layers of attention."""

from __future__ import annotations

from tests.models.served.case import Case
from tests.models.served.experts import SMALL as USUAL
from tests.models.served.formulas import SCANS

SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "vocab_size": 96}

DELTA = {
    **USUAL, "num_hidden_layers": 4, "head_dim": 24, "linear_key_head_dim": 8, "linear_value_head_dim": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "full_attention_interval": 4,
}  # fmt: skip
ROUTED = {
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48, "num_experts": 6, "num_experts_per_tok": 2,
}  # fmt: skip
GRANITE = {
    "intermediate_size": 32, "shared_intermediate_size": 48, "mamba_n_heads": 8, "mamba_d_head": 16,
    "mamba_n_groups": 2, "mamba_d_state": 16, "mamba_chunk_size": 8,
}  # fmt: skip
SOLVED = ("aten:aten.linalg_solve_triangular.default",)

RECURRENT = (
    Case(
        family="Mamba",
        architecture="MambaForCausalLM",
        small={"model_type": "mamba", **SMALL, "state_size": 8, "use_bias": True},
        origin="state-spaces/mamba-2.8b-hf",
        published={
            "model_type": "mamba", "hidden_size": 2560, "intermediate_size": 5120, "num_hidden_layers": 64,
            "state_size": 16, "expand": 2, "conv_kernel": 4, "time_step_rank": 160, "vocab_size": 50280,
            "d_inner": 5120, "d_model": 2560, "n_layer": 64, "ssm_cfg": {}, "rms_norm": True,
            "fused_add_norm": True, "pad_vocab_size_multiple": 8, "residual_in_fp32": True, "use_bias": False,
            "use_conv_bias": True, "torch_dtype": "float32",
        },
        formulas=(SCANS,),
        decodes=False,
        tokens=4,
    ),
    Case(
        family="Falcon Mamba",
        architecture="FalconMambaForCausalLM",
        small={"model_type": "falcon_mamba", **SMALL, "state_size": 8, "tie_word_embeddings": False},
        formulas=(SCANS,),
        decodes=False,
    ),
    Case(
        family="Mamba 2",
        architecture="Mamba2ForCausalLM",
        small={"model_type": "mamba2", **SMALL, "num_heads": 8, "head_dim": 16, "n_groups": 2, "state_size": 16,
               "chunk_size": 8, "use_bias": True},
        origin="mistralai/Mamba-Codestral-7B-v0.1",
        published={
            "model_type": "mamba2", "hidden_size": 4096, "num_hidden_layers": 64, "num_heads": 128, "head_dim": 64,
            "n_groups": 8, "state_size": 128, "expand": 2, "conv_kernel": 4, "chunk_size": 256,
            "vocab_size": 32768, "norm_before_gate": True, "rms_norm": True, "residual_in_fp32": True,
            "time_step_rank": 256, "use_bias": False, "use_conv_bias": True, "intermediate_size": 8192,
            "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        },
        formulas=(SCANS,),
        decodes=False,
    ),
    Case(
        family="Qwen3-Next",
        architecture="Qwen3NextForCausalLM",
        small={"model_type": "qwen3_next", **DELTA, **ROUTED, "intermediate_size": 160, "mlp_only_layers": [1]},
        origin="Qwen/Qwen3-Next-80B-A3B-Instruct",
        published={
            "model_type": "qwen3_next", "hidden_size": 2048, "intermediate_size": 5120, "num_hidden_layers": 48,
            "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256, "vocab_size": 151936,
            "torch_dtype": "bfloat16", "max_position_embeddings": 262144, "partial_rotary_factor": 0.25,
            "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
            "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
            "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512, "num_experts": 512, "num_experts_per_tok": 10,
            "norm_topk_prob": True, "attention_bias": False, "tie_word_embeddings": False,
        },
        formulas=(SCANS,),
        uncounted=SOLVED,
    ),
    Case(
        family="Qwen3.5-MoE (text)",
        architecture="Qwen3_5MoeForCausalLM",
        small={"model_type": "qwen3_5_moe_text", **DELTA, **ROUTED},
        origin="Qwen/Qwen3.5-35B-A3B",
        published={
            "model_type": "qwen3_5_moe_text", "hidden_size": 2048, "num_hidden_layers": 40,
            "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256, "vocab_size": 248320,
            "dtype": "bfloat16", "max_position_embeddings": 262144, "full_attention_interval": 4,
            "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_num_key_heads": 16, "linear_num_value_heads": 32, "mamba_ssm_dtype": "float32",
            "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts": 256,
            "num_experts_per_tok": 8, "attn_output_gate": True, "attention_bias": False,
            "mtp_num_hidden_layers": 1, "tie_word_embeddings": False,
        },
        formulas=(SCANS,),
        uncounted=SOLVED,
    ),
    Case(
        family="Qwen3.5 (text)",
        architecture="Qwen3_5ForCausalLM",
        small={"model_type": "qwen3_5_text", **DELTA, "intermediate_size": 160},
        origin="Qwen/Qwen3.5-27B",
        published={
            "model_type": "qwen3_5_text", "hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 64,
            "num_attention_heads": 24, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 248320,
            "dtype": "bfloat16", "max_position_embeddings": 262144, "full_attention_interval": 4,
            "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_num_key_heads": 16, "linear_num_value_heads": 48, "mamba_ssm_dtype": "float32",
            "attn_output_gate": True, "output_gate_type": "swish", "partial_rotary_factor": 0.25,
            "attention_bias": False, "mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False,
            "tie_word_embeddings": False,
        },
        formulas=(SCANS,),
        uncounted=SOLVED,
    ),
    Case(
        family="Nemotron-H, Nemotron 3",
        architecture="NemotronHForCausalLM",
        small={"model_type": "nemotron_h", **SMALL, "hybrid_override_pattern": "M-M*EM", "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 160, "mamba_num_heads": 8,
               "mamba_head_dim": 16, "n_groups": 2, "ssm_state_size": 16, "chunk_size": 8, "n_routed_experts": 6,
               "num_experts_per_tok": 2, "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48},
        origin="nvidia/Nemotron-H-8B-Base-8K",
        published={
            "model_type": "nemotron_h", "hidden_size": 4096, "num_hidden_layers": 52,
            "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 21504,
            "mamba_num_heads": 128, "mamba_head_dim": 64, "n_groups": 8, "ssm_state_size": 128, "conv_kernel": 4,
            "expand": 2, "chunk_size": 128, "mlp_hidden_act": "relu2", "mlp_bias": False, "use_bias": False,
            "use_conv_bias": True, "attention_bias": False, "vocab_size": 131072, "torch_dtype": "bfloat16",
            "max_position_embeddings": 8192, "attention_head_dim": 128, "sliding_window": None,
            "tie_word_embeddings": False,
        },
        formulas=(SCANS,),
    ),
    Case(
        family="Jamba",
        architecture="JambaForCausalLM",
        small={"model_type": "jamba", **USUAL, "num_hidden_layers": 4, "intermediate_size": 160, "num_experts": 6,
               "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
               "mamba_d_state": 8},
        origin="ai21labs/Jamba-v0.1",
        published={
            "model_type": "jamba", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 65536, "torch_dtype": "bfloat16",
            "max_position_embeddings": 262144, "num_experts": 16, "num_experts_per_tok": 2,
            "attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2, "expert_layer_offset": 1,
            "mamba_conv_bias": True, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_dt_rank": 256,
            "mamba_expand": 2, "mamba_inner_layernorms": True, "mamba_proj_bias": False, "use_mamba_kernels": True,
            "num_logits_to_keep": 1, "sliding_window": None, "tie_word_embeddings": False,
        },
        formulas=(SCANS,),
        tokens=4,
    ),
    Case(
        family="Granite 4 (hybrid)",
        architecture="GraniteMoeHybridForCausalLM",
        small={"model_type": "granitemoehybrid", **USUAL, **GRANITE, "num_local_experts": 6, "num_experts_per_tok": 2,
               "layer_types": ["mamba", "attention", "mamba"], "position_embedding_type": "rope"},
        origin="ibm-granite/granite-4.0-h-small",
        published={
            "model_type": "granitemoehybrid", "hidden_size": 4096, "intermediate_size": 768, "num_hidden_layers": 40,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 100352, "torch_dtype": "bfloat16",
            "max_position_embeddings": 131072, "num_local_experts": 72, "num_experts_per_tok": 10,
            "shared_intermediate_size": 1536, "mamba_n_heads": 128, "mamba_d_head": 64, "mamba_n_groups": 1,
            "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_chunk_size": 256,
            "mamba_conv_bias": True, "mamba_proj_bias": False, "attention_bias": False,
            "attention_multiplier": 0.0078125, "embedding_multiplier": 12, "logits_scaling": 16,
            "residual_multiplier": 0.22, "position_embedding_type": "nope", "normalization_function": "rmsnorm",
            "init_method": "mup", "rope_scaling": None, "rope_theta": 10000, "tie_word_embeddings": True,
            "layer_types": [*["mamba"] * 5, "attention", *(["mamba"] * 9 + ["attention"]) * 3, *["mamba"] * 4],
        },
        formulas=(SCANS,),
    ),
    Case(
        family="Granite 4 (hybrid)",
        architecture="GraniteMoeHybridForCausalLM",
        variant="dense",
        small={"model_type": "granitemoehybrid", **USUAL, **GRANITE, "num_local_experts": 0, "mamba_d_head": "auto",
               "layer_types": ["linear_attention", "full_attention", "linear_attention"],
               "position_embedding_type": "nope", "attention_bias": True, "mamba_proj_bias": True},
        formulas=(SCANS,),
    ),
)  # fmt: skip
