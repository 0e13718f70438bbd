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
)  # fmt: skip
