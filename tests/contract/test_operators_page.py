"""docs/operators.md says what the rules say, and every operator that onnxruntime's optimiser writes has one."""

from __future__ import annotations

from pathlib import Path

from joulecast.counting import known
from joulecast.counting.catalogue import DOMAINS, page
from joulecast.counting.registry import MICROSOFT, NCHWC
from joulecast.readers.onnx.shapes import contrib

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"

WRITTEN_BY_THE_OPTIMISER = {
    # the names of onnxruntime's graph transformers' outputs: core/optimizer/*.cc at level EXTENDED, CPU and CUDA
    MICROSOFT: """
        Attention BiasGelu BiasSoftmax BiasDropout DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization
        FastGelu
        FusedConv FusedGemm FusedMatMul Gelu GatherBlockQuantized GroupQueryAttention MatMulIntegerToFloat MatMulNBits
        MultiHeadAttention NhwcMaxPool QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
        QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu
        SkipLayerNormalization SkipSimplifiedLayerNormalization RotaryEmbedding NhwcFusedConv
    """.split(),
    NCHWC: "AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample".split(),
    "": ["SimplifiedLayerNormalization"],
}


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text() == page(), "run: python -m joulecast.counting.catalogue > docs/operators.md"


def test_the_page_names_every_domain_that_has_rules() -> None:
    assert {domain for domain, _ in known()} <= DOMAINS.keys()


def test_every_operator_of_onnxruntimes_optimiser_has_a_rule() -> None:
    assert {(domain, name) for domain, names in WRITTEN_BY_THE_OPTIMISER.items() for name in names} <= known().keys()


def test_every_contrib_rule_has_a_shape() -> None:
    shaped = contrib.shaped()
    ruled = {name for domain, name in known() if domain == MICROSOFT}
    assert ruled <= shaped
