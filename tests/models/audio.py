"""Networks that read sound, as transformers defines them, each with the configuration that was published."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers

from tests.models.definitions import BATCH, Built, Export, Spectrogram, Transcription, ids, speech, waveform

WAV2VEC2 = transformers.Wav2Vec2Config(attn_implementation="sdpa")
WAV2VEC2_LARGE = transformers.Wav2Vec2Config(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_bias=True,
)
WHISPER = transformers.WhisperConfig(
    d_model=768,
    encoder_layers=12,
    decoder_layers=12,
    encoder_attention_heads=12,
    decoder_attention_heads=12,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
    vocab_size=51865,
    attn_implementation="sdpa",
)
WHISPER_TINY = transformers.WhisperConfig(
    d_model=384,
    encoder_layers=4,
    decoder_layers=4,
    encoder_attention_heads=6,
    decoder_attention_heads=6,
    encoder_ffn_dim=1536,
    decoder_ffn_dim=1536,
    vocab_size=51865,
)
SPEECH2TEXT = transformers.Speech2TextConfig(
    vocab_size=10000, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=2048, decoder_ffn_dim=2048
)
CONFORMER = transformers.Wav2Vec2ConformerConfig(position_embeddings_type="relative")
FRAMES = 300


def hifigan() -> Built:
    """A vocoder: mel spectrogram to waveform, by transposed convolutions."""
    model = transformers.SpeechT5HifiGan(transformers.SpeechT5HifiGanConfig())
    return Spectrogram(model, slice(None)), {"input_features": torch.zeros(2, FRAMES, 80)}, {"input_features": BATCH}


def moonshine() -> Built:
    model = transformers.MoonshineForConditionalGeneration(transformers.MoonshineConfig())
    inputs = {"input_values": torch.zeros(2, 16000), "decoder_input_ids": ids(2, 4)}
    return Transcription(model, use_cache=False), inputs, dict.fromkeys(inputs, BATCH)


def encodec() -> Built:
    """The codec's encoder, quantiser and decoder over one second at 24 kHz."""
    return waveform(
        transformers.EncodecModel, transformers.EncodecConfig(), "audio_values", shape=(1, 1, 24000), bandwidth=6.0
    )


WAVEFORMS = {
    "hubert_base": (transformers.HubertModel, transformers.HubertConfig()),
    "wavlm_base": (transformers.WavLMModel, transformers.WavLMConfig()),
    "data2vec_audio_base": (transformers.Data2VecAudioModel, transformers.Data2VecAudioConfig()),
    "unispeech": (transformers.UniSpeechModel, transformers.UniSpeechConfig()),
    "sew_tiny": (transformers.SEWModel, transformers.SEWConfig()),
    "sew_d_tiny": (transformers.SEWDModel, transformers.SEWDConfig()),
    "wav2vec2_conformer": (transformers.Wav2Vec2ConformerModel, CONFORMER),
}


def exported(name: str, build: Any, *arguments: Any, **options: Any) -> Export:
    return Export(name=name, task="audio", build=partial(build, *arguments, **options))


EXPORTS = (
    exported("wav2vec2_base_ctc", waveform, transformers.Wav2Vec2ForCTC, WAV2VEC2, "logits"),
    exported("wav2vec2_large", waveform, transformers.Wav2Vec2Model, WAV2VEC2_LARGE),
    *(exported(name, waveform, *model) for name, model in WAVEFORMS.items()),
    exported(
        "ast",
        waveform,
        transformers.ASTForAudioClassification,
        transformers.ASTConfig(num_labels=527),
        "logits",
        shape=(2, 1024, 128),
        free=True,
    ),
    exported("whisper_small", speech, transformers.WhisperForConditionalGeneration, WHISPER, (1, 80, 3000)),
    exported(
        "whisper_tiny", speech, transformers.WhisperForConditionalGeneration, WHISPER_TINY, (2, 80, 3000), free=True
    ),
    exported("speech2text_small", speech, transformers.Speech2TextForConditionalGeneration, SPEECH2TEXT, (1, 584, 80)),
    exported("speecht5_hifigan", hifigan),
    exported("moonshine_tiny", moonshine),
    exported("encodec_24khz", encodec),
)
