"""Models whose decoder attends to what an encoder makes of an input."""

from __future__ import annotations

from dataclasses import replace

from joulecast.readers.huggingface.architectures import rules
from joulecast.readers.huggingface.architectures.entry import Decoder, Encoder, EncoderDecoder

_T5 = Encoder(
    model_type="t5",
    classes="T5",
    layer="encoder.block.{}",
    embedding="encoder.embed_tokens",
    attention="layer.0.SelfAttention",
    projections=("q", "k", "v", "o"),
    mlp="layer.1.DenseReluDense",
    mlp_projections=rules.t5_projections,
    head_size=rules.head_size,
    intermediate="d_ff",
    gated=rules.t5_gated,
    activation="feed_forward_proj",
    query_bias=False,
    output_bias=False,
    mlp_bias=False,
    norm="rms",
    norm_bias=False,
    final_norm=True,
    embedding_norm=False,
    positions=None,
    relative=rules.bucketed_positions,
)

T5 = EncoderDecoder(
    model_type="t5",
    classes="T5",
    encoder=_T5,
    decoder=Decoder(
        model_type="t5",
        classes="T5",
        layer="decoder.block.{}",
        embedding="decoder.embed_tokens",
        attention="layer.0.SelfAttention",
        cross_attention="layer.1.EncDecAttention",
        projections=("q", "k", "v", "o"),
        mlp="layer.2.DenseReluDense",
        mlp_projections=rules.t5_projections,
        layers=rules.t5_decoder_layers,
        kv_heads=rules.as_many_heads,
        intermediate="d_ff",
        gated=rules.t5_gated,
        activation="feed_forward_proj",
        norms=3,
        rotary=None,
        relative=rules.bucketed_positions,
        tied=True,
    ),
)

_BART_DECODER = Decoder(
    model_type="bart",
    classes="Bart",
    layer="model.decoder.layers.{}",
    embedding="model.decoder.embed_tokens",
    cross_attention="encoder_attn",
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    mlp="",
    mlp_projections=("fc1", "fc2"),
    kv_heads=rules.as_many_heads,
    head_size=rules.even_head_size,
    intermediate="decoder_ffn_dim",
    gated=False,
    activation="activation_function",
    query_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm="layer",
    norm_bias=True,
    norms=3,
    final_norm=False,
    embedding_norm=True,
    rotary=None,
    positions="max_position_embeddings",
    more_positions=2,
    names={"num_hidden_layers": "decoder_layers", "num_attention_heads": "decoder_attention_heads"},
)

_BART_ENCODER = Encoder(
    model_type="bart",
    classes="Bart",
    layer="model.encoder.layers.{}",
    embedding="model.encoder.embed_tokens",
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    mlp="",
    mlp_projections=("fc1", "fc2"),
    intermediate="encoder_ffn_dim",
    activation="activation_function",
    more_positions=2,
)

BART = EncoderDecoder(model_type="bart", classes="Bart", encoder=_BART_ENCODER, decoder=_BART_DECODER)

WHISPER = EncoderDecoder(
    model_type="whisper",
    classes="Whisper",
    encoder=replace(
        _BART_ENCODER,
        embedding="model.encoder.conv",
        key_bias=False,
        final_norm=True,
        embedding_norm=False,
        positions="max_source_positions",
        more_positions=0,
    ),
    decoder=replace(
        _BART_DECODER,
        embedding="model.decoder.embed_tokens",
        head="proj_out",
        key_bias=False,
        final_norm=True,
        embedding_norm=False,
        positions="max_target_positions",
        more_positions=0,
    ),
    shared=False,
    frames=rules.whisper_frames,
    encoder_tokens="max_source_positions",
    names={"max_position_embeddings": "max_target_positions"},
)

ENCODER_DECODERS = (T5, BART, WHISPER)
