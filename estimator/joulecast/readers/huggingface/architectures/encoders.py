"""Models that read a text at once: embedding, reranking, classification."""

from __future__ import annotations

from dataclasses import replace

from joulecast.readers.huggingface.architectures import rules
from joulecast.readers.huggingface.architectures.entry import Encoder, HeadShape

BERT = Encoder(
    model_type="bert",
    classes="Bert",
    layer="bert.encoder.layer.{}",
    embedding="bert.embeddings.word_embeddings",
    attention="attention",
    projections=("self.query", "self.key", "self.value", "output.dense"),
    mlp="",
    mlp_projections=("intermediate.dense", "output.dense"),
    segments="type_vocab_size",
    heads={
        "plain": HeadShape(path="pooler", outputs="none", transform="bert.pooler.dense"),
        "masked": HeadShape(
            path="cls.predictions.decoder",
            outputs="vocabulary",
            transform="cls.predictions.transform.dense",
            transform_norm=True,
        ),
        "classification": HeadShape(path="classifier", outputs="labels", transform="bert.pooler.dense"),
    },
    refused=("is_decoder", "add_cross_attention"),
)

ROBERTA = replace(
    BERT,
    model_type="roberta",
    classes="Roberta",
    layer="roberta.encoder.layer.{}",
    embedding="roberta.embeddings.word_embeddings",
    unused_positions=2,
    heads={
        "plain": HeadShape(path="pooler", outputs="none", transform="roberta.pooler.dense"),
        "masked": HeadShape(
            path="lm_head.decoder", outputs="vocabulary", transform="lm_head.dense", transform_norm=True
        ),
        "classification": HeadShape(path="classifier.out_proj", outputs="labels", transform="classifier.dense"),
    },
)

XLM_ROBERTA = replace(ROBERTA, model_type="xlm-roberta", classes="XLMRoberta")

DISTILBERT = replace(
    BERT,
    model_type="distilbert",
    classes="DistilBert",
    layer="distilbert.transformer.layer.{}",
    embedding="distilbert.embeddings.word_embeddings",
    projections=("q_lin", "k_lin", "v_lin", "out_lin"),
    mlp="ffn",
    mlp_projections=("lin1", "lin2"),
    intermediate="hidden_dim",
    activation="activation",
    segments=None,
    heads={
        "masked": HeadShape(
            path="vocab_projector", outputs="vocabulary", transform="vocab_transform", transform_norm=True
        ),
        "classification": HeadShape(path="classifier", outputs="labels", transform="pre_classifier"),
    },
    refused=(),
)

DEBERTA_V2 = replace(
    BERT,
    model_type="deberta-v2",
    classes="DebertaV2",
    layer="deberta.encoder.layer.{}",
    embedding="deberta.embeddings.word_embeddings",
    projections=("self.query_proj", "self.key_proj", "self.value_proj", "output.dense"),
    positions=rules.biased_positions,
    relative=rules.disentangled_positions,
    heads={
        "masked": BERT.heads["masked"],
        "classification": HeadShape(path="classifier", outputs="labels", transform="pooler.dense"),
    },
    equal={"pooler_hidden_size": "hidden_size", "embedding_size": "hidden_size"},
    refused=(),
)

MODERNBERT = Encoder(
    model_type="modernbert",
    classes="ModernBert",
    layer="model.layers.{}",
    embedding="model.embeddings.tok_embeddings",
    attention="attn",
    projections=("Wqkv", "Wo"),
    mlp_projections=("Wi", "Wo"),
    activation="hidden_activation",
    gated=True,
    query_bias="attention_bias",
    output_bias="attention_bias",
    mlp_bias="mlp_bias",
    norm_bias="norm_bias",
    first_norms=1,
    final_norm=True,
    rotary=("partial_rotary_factor", 1.0),
    positions=None,
    windows=rules.modernbert_windows,
    heads={
        "masked": HeadShape(
            path="decoder",
            outputs="vocabulary",
            transform="head.dense",
            transform_bias="classifier_bias",
            transform_norm=True,
            bias="decoder_bias",
        ),
        "classification": HeadShape(
            path="classifier",
            outputs="labels",
            transform="head.dense",
            transform_bias="classifier_bias",
            transform_norm=True,
        ),
        "token classification": HeadShape(
            path="classifier",
            outputs="labels",
            transform="head.dense",
            transform_bias="classifier_bias",
            transform_norm=True,
        ),
    },
)

ENCODERS = (BERT, ROBERTA, XLM_ROBERTA, DISTILBERT, DEBERTA_V2, MODERNBERT)
