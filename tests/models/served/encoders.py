"""Models that read a text at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.models.served.case import Case, Keys

SMALL = {
    "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 96,
    "max_position_embeddings": 64,
}  # fmt: skip

BASE = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "max_position_embeddings": 512,
}  # fmt: skip

HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")


def cases(family: str, classes: str, small: Keys, published: Mapping[str, tuple[str, Keys]]) -> Iterator[Case]:
    """A case for each head; the published configuration of one by the end of its class, with its repository."""
    for end in HEADS:
        origin, keys = published.get(end, ("", {}))
        yield Case(family=family, architecture=classes + end, small=small, published=keys, origin=origin, decodes=False)


ENCODERS = (
    *cases(
        "BERT",
        "Bert",
        {"model_type": "bert", **SMALL},
        {
            "Model": (
                "google-bert/bert-base-uncased",
                {"model_type": "bert", **BASE, "vocab_size": 30522, "type_vocab_size": 2},
            ),
        },
    ),
    *cases(
        "RoBERTa",
        "Roberta",
        {"model_type": "roberta", **SMALL, "pad_token_id": 1},
        {
            "ForMaskedLM": (
                "FacebookAI/roberta-base",
                {"model_type": "roberta", **BASE, "max_position_embeddings": 514, "vocab_size": 50265,
                 "type_vocab_size": 1},
            ),
        },
    ),
    *cases(
        "XLM-RoBERTa",
        "XLMRoberta",
        {"model_type": "xlm-roberta", **SMALL, "pad_token_id": 1},
        {
            "ForSequenceClassification": (
                "BAAI/bge-reranker-v2-m3",
                {"model_type": "xlm-roberta", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                 "num_attention_heads": 16, "max_position_embeddings": 8194, "vocab_size": 250002,
                 "type_vocab_size": 1, "torch_dtype": "float32", "id2label": {"0": "LABEL_0"}},
            ),
        },
    ),
    *cases(
        "DistilBERT",
        "DistilBert",
        {"model_type": "distilbert", "dim": 64, "hidden_dim": 160, "n_layers": 3, "n_heads": 4, "vocab_size": 96,
         "max_position_embeddings": 64},
        {
            "ForSequenceClassification": (
                "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
                {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12,
                 "vocab_size": 30522, "max_position_embeddings": 512, "tie_weights_": True,
                 "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}},
            ),
        },
    ),
    *cases(
        "DeBERTa v3",
        "DebertaV2",
        {"model_type": "deberta-v2", **SMALL, "relative_attention": True, "position_buckets": 16,
         "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
         "position_biased_input": False, "pooler_hidden_size": 64},
        {
            "ForMaskedLM": (
                "microsoft/deberta-v3-base",
                {"model_type": "deberta-v2", **BASE, "vocab_size": 128100, "type_vocab_size": 0,
                 "relative_attention": True, "max_relative_positions": -1, "position_buckets": 256,
                 "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
                 "position_biased_input": False},
            ),
        },
    ),
    *cases(
        "ModernBERT",
        "ModernBert",
        {"model_type": "modernbert", **SMALL, "num_hidden_layers": 4, "local_attention": 64, "pad_token_id": 0},
        {
            "ForMaskedLM": (
                "answerdotai/ModernBERT-base",
                {"model_type": "modernbert", "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
                 "num_attention_heads": 12, "vocab_size": 50368, "max_position_embeddings": 8192,
                 "local_attention": 128, "global_attn_every_n_layers": 3, "position_embedding_type": "absolute",
                 "attention_bias": False, "mlp_bias": False, "norm_bias": False, "torch_dtype": "float32"},
            ),
        },
    ),
)  # fmt: skip
