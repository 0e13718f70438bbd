"""Operators without a counting rule, each with the reason. None is a standard inference operator that carries MACs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_HOST = "works on strings or maps, on the host's processor: no accelerator kernel exists to price; carries no MACs"
_TREES = (
    "compares its way through trees on the host's processor: no accelerator kernel exists to price; carries no MACs"
)
_TRAINING = "belongs to training: the derivative of a whole graph, which inference does not run"

STANDARD: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        **{
            ("", name): _HOST
            for name in ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")
        },
        (
            "",
            "ImageDecoder",
        ): "decodes picture files on the host's processor, and its output's shape lies in the picture; carries no MACs",
        **{
            ("ai.onnx.ml", name): _HOST
            for name in ("CastMap", "CategoryMapper", "DictVectorizer", "LabelEncoder", "ZipMap")
        },
        **{
            ("ai.onnx.ml", name): _TREES for name in ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")
        },
        ("ai.onnx.preview.training", "Gradient"): _TRAINING,
    }
)
"""By domain and operator type."""
