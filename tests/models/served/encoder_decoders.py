"""Models whose decoder attends to what an encoder makes of an input."""

from __future__ import annotations

from tests.models.served.case import Case

ENCODER_DECODERS = (
    Case(
        family="T5",
        architecture="T5ForConditionalGeneration",
        small={
            "model_type": "t5", "d_model": 64, "d_kv": 24, "d_ff": 160, "num_layers": 3, "num_decoder_layers": 2,
            "num_heads": 4, "vocab_size": 96, "relative_attention_num_buckets": 8, "feed_forward_proj": "gated-gelu",
        },
        encoder_tokens=(20, 512),
        origin="google-t5/t5-base",
        published={
            "model_type": "t5", "d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12,
            "vocab_size": 32128, "relative_attention_num_buckets": 32, "n_positions": 512, "output_past": True,
        },
    ),
    Case(
        family="BART",
        architecture="BartForConditionalGeneration",
        small={
            "model_type": "bart", "d_model": 64, "encoder_layers": 3, "decoder_layers": 2, "encoder_ffn_dim": 160,
            "decoder_ffn_dim": 96, "encoder_attention_heads": 4, "decoder_attention_heads": 2, "vocab_size": 96,
            "max_position_embeddings": 64,
        },
        encoder_tokens=(20, 512),
        origin="facebook/bart-large-cnn",
        published={
            "model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12,
            "encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096, "encoder_attention_heads": 16,
            "decoder_attention_heads": 16, "vocab_size": 50264, "max_position_embeddings": 1024,
            "normalize_before": False, "add_final_layer_norm": False, "num_hidden_layers": 12, "num_beams": 4,
            "length_penalty": 2.0, "min_length": 56, "no_repeat_ngram_size": 3, "early_stopping": True,
        },
    ),
    Case(
        family="Whisper",
        architecture="WhisperForConditionalGeneration",
        small={
            "model_type": "whisper", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 160,
            "decoder_ffn_dim": 96, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": 96,
            "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 64, "pad_token_id": 0,
        },
        encoder_tokens=(20, 1500),
        origin="openai/whisper-small",
        published={
            "model_type": "whisper", "d_model": 768, "encoder_layers": 12, "decoder_layers": 12,
            "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072, "encoder_attention_heads": 12,
            "decoder_attention_heads": 12, "vocab_size": 51865, "num_mel_bins": 80, "max_source_positions": 1500,
            "max_target_positions": 448, "torch_dtype": "float32", "begin_suppress_tokens": [220, 50257],
        },
    ),
)  # fmt: skip
