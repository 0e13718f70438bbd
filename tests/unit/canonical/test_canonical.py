"""Each pattern becomes its row; near misses stay as they are; nothing that is counted changes."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.graph import ModelGraph
from tests.unit.canonical import patterns
from tests.unit.canonical.patterns import graph

NORM_WEIGHTS = "float[64] gamma; float[64] beta"

ONE_ROW = {
    "LayerNormalization": graph(patterns.LAYER_NORM, stored=NORM_WEIGHTS),
    "RMSNormalization": graph(patterns.RMS_NORM, stored="float[64] gamma"),
    "Gelu erf": graph(patterns.GELU_ERF),
    "Gelu erf, other order": graph(patterns.GELU_ERF_OTHER_ORDER),
    "Gelu tanh": graph(patterns.GELU_TANH),
    "Gelu tanh, factored": graph(patterns.GELU_TANH_FACTORED),
    "Swish": graph(patterns.SWISH),
    "Swish quick gelu": graph(patterns.QUICK_GELU),
    "Mish": graph(patterns.MISH),
    "HardSwish": graph(patterns.HARD_SWISH),
    "HardSwish of HardSigmoid": graph(patterns.HARD_SWISH_OF_SIGMOID),
    "HardSigmoid": graph(patterns.HARD_SIGMOID),
    "Attention, divided": graph(
        patterns.DIV_SCALED_ATTENTION, inputs=patterns.ATTENTION_INPUTS, outputs=patterns.ATTENTION_OUTPUTS
    ),
    "Attention of torch": graph(patterns.SDPA, inputs=patterns.ATTENTION_INPUTS, outputs=patterns.ATTENTION_OUTPUTS),
    "Gemm": graph("y = MatMul (x, w)", stored="float[64,64] w"),
    "Gemm with bias": graph("p = MatMul (x, w) y = Add (b, p)", stored="float[64,64] w; float[64] b"),
    "Conv with bias": graph(
        "c = Conv (x, w) y = Add (c, b)",
        inputs="float[2,3,8,8] x",
        outputs="float[2,5,6,6] y",
        stored="float[5,3,3,3] w; float[1,5,1,1] b",
    ),
    "Conv with BatchNormalization": graph(
        "c = Conv (x, w) y = BatchNormalization (c, gamma, beta, mean, variance)",
        inputs="float[2,3,8,8] x",
        outputs="float[2,5,6,6] y",
        stored="float[5,3,3,3] w; float[5] gamma; float[5] beta; float[5] mean; float[5] variance",
    ),
}

WRITTEN_OUT = {
    "RMSNormalization",
    "Gelu tanh",
    "Gelu tanh, factored",
    "Swish quick gelu",
    "Attention, divided",
    "Conv with BatchNormalization",
}
"""What code spells out itself: PyTorch's eager mode runs it in pieces."""


def executed(model: ModelGraph) -> list[str]:
    return [row.op_type for row in count(model) if row.kind != "free"]


@pytest.mark.parametrize("name", ONE_ROW)
def test_a_decomposed_pattern_is_one_row(name: str) -> None:
    assert executed(canonicalise(ONE_ROW[name])) == [name.split(",")[0].split(" ")[0]]


@pytest.mark.parametrize("name", ONE_ROW)
def test_one_row_is_one_kernel_in_onnxruntime(name: str) -> None:
    assert totals(r for r in count(canonicalise(ONE_ROW[name])) if r.kind != "free").kernels["onnxruntime-cuda"] == 1


@pytest.mark.parametrize("name", ONE_ROW)
def test_eager_mode_keeps_apart_what_the_code_spells_out(name: str) -> None:
    before, after = executed(ONE_ROW[name]), executed(canonicalise(ONE_ROW[name], eager=True))
    assert (after == ["Gemm" if op == "MatMul" and "Gemm" in name else op for op in before]) == (
        name in WRITTEN_OUT or name == "Gemm"
    )


@pytest.mark.parametrize("name", ONE_ROW)
@pytest.mark.parametrize("eager", [False, True])
def test_macs_params_inputs_and_outputs_stay(name: str, eager: bool) -> None:
    assert_conserved(ONE_ROW[name], canonicalise(ONE_ROW[name], eager=eager))


@pytest.mark.parametrize("name", ONE_ROW)
def test_the_result_is_a_fixed_point(name: str) -> None:
    once = canonicalise(ONE_ROW[name])
    assert canonicalise(once) == once


def assert_conserved(before: ModelGraph, after: ModelGraph) -> None:
    old, new = totals(count(before)), totals(count(after))
    assert (new.macs, new.params) == (old.macs, old.params)
    assert new.bytes_moved <= old.bytes_moved
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert {name: after.tensors[name] for name in after.outputs} == {
        name: before.tensors[name] for name in before.outputs
    }
    made = set(after.inputs)
    for node in after.nodes:
        missing = [
            name for name in node.inputs if name and name not in made and after.tensors[name].role == "activation"
        ]
        assert not missing, f"{node.name} reads {missing} before they are made"
        made.update(node.outputs)
    assert set(after.outputs) <= made


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param(patterns.GELU_ERF.replace("1.4142135", "1.5142135"), "Erf", id="another slope"),
        pytest.param(patterns.GELU_ERF.replace("= 0.5>", "= 0.25>"), "Erf", id="another half"),
        pytest.param(patterns.GELU_TANH.replace("0.044715", "0.05"), "Tanh", id="another cubic"),
        pytest.param(patterns.HARD_SWISH.replace("= 3.0>", "= 2.0>"), "Clip", id="another shift"),
        pytest.param(patterns.LAYER_NORM.replace("= 2.0>", "= 3.0>"), "Pow", id="cubes instead of squares"),
        pytest.param("z = Relu (x) a = Sigmoid (z) y = Mul (x, a)", "Sigmoid", id="gate of another value"),
    ],
)
def test_other_constants_are_another_function(body: str, kept: str) -> None:
    assert kept in executed(canonicalise(graph(body, stored=NORM_WEIGHTS if "gamma" in body else "")))


def test_a_norm_over_other_axes_stays_apart() -> None:
    body = patterns.LAYER_NORM.replace("[-1]> (square)", "[1]> (square)")
    assert "LayerNormalization" not in executed(canonicalise(graph(body, stored=NORM_WEIGHTS)))


def test_a_scale_of_another_shape_stays_a_multiplication() -> None:
    rows = executed(canonicalise(graph(patterns.LAYER_NORM, stored="float[16,64] gamma; float[64] beta")))
    assert rows == ["LayerNormalization", "Mul", "Add"]


@pytest.mark.parametrize(
    ("body", "middle"),
    [
        (patterns.GELU_ERF, "float[2,16,64] c"),
        (patterns.LAYER_NORM, "float[2,16,64] square"),
        (patterns.SWISH, "float[2,16,64] a"),
    ],
)
def test_a_value_that_the_model_returns_is_computed(body: str, middle: str) -> None:
    model = graph(body, outputs=f"float[2,16,64] y, {middle}", stored=NORM_WEIGHTS if "gamma" in body else "")
    result = canonicalise(model)
    assert Counter(executed(result)) == Counter(executed(model))
    assert_conserved(model, result)


@pytest.mark.parametrize(
    "body",
    [
        patterns.GELU_ERF.replace("y = Mul (d", "z = Relu (c) e = Add (d, z) y = Mul (e"),
        patterns.SWISH + " w = Relu (a)",
    ],
)
def test_a_value_that_something_else_reads_is_computed(body: str) -> None:
    outputs = "float[2,16,64] y" + (", float[2,16,64] w" if "w = " in body else "")
    model = graph(body, outputs=outputs)
    assert Counter(executed(canonicalise(model))) == Counter(executed(model))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(patterns.DIV_SCALED_ATTENTION.replace("= 4.0>", "= 5.0>"), id="another scale"),
        pytest.param(
            patterns.DIV_SCALED_ATTENTION.replace("scaled = Div (product, root)", "scaled = Identity (product)"),
            id="unscaled",
        ),
        pytest.param(
            patterns.DIV_SCALED_ATTENTION.replace("axis: int = -1", "axis: int = 2"), id="softmax over queries"
        ),
        pytest.param(
            patterns.DIV_SCALED_ATTENTION.replace("weights =", "twice = Add (masked, mask) weights =").replace(
                "(masked)\ny", "(twice)\ny"
            ),
            id="two masks",
        ),
    ],
)
def test_other_attention_stays_separate_products(body: str) -> None:
    model = graph(body, inputs=patterns.ATTENTION_INPUTS, outputs=patterns.ATTENTION_OUTPUTS)
    assert executed(canonicalise(model)).count("MatMul") == 2


def test_attention_counts_its_output_and_not_its_scores() -> None:
    model = ONE_ROW["Attention, divided"]
    before, after = totals(count(model)), totals(count(canonicalise(model)))
    assert (before.activations, after.activations) == (2 * 4 * 8 * 8 + 2 * 4 * 8 * 16, 2 * 4 * 8 * 16)
    assert (before.mac_rows, after.mac_rows) == (2, 1)


def test_a_key_transposed_with_its_heads_keeps_the_rest_of_the_transposition() -> None:
    body = patterns.DIV_SCALED_ATTENTION.replace("perm: ints = [0, 1, 3, 2]", "perm: ints = [0, 2, 3, 1]")
    inputs = patterns.ATTENTION_INPUTS.replace("float[2,4,8,16] k", "float[2,8,4,16] k")
    result = canonicalise(graph(body, inputs=inputs, outputs=patterns.ATTENTION_OUTPUTS))
    (transpose,) = (node for node in result.nodes if node.op_type == "Transpose")
    assert transpose.attributes["perm"] == (0, 2, 1, 3)
    assert result.shape(transpose.outputs[0]) == (2, 4, 8, 16)
    assert executed(result) == ["Attention"]


def test_attention_over_merged_heads() -> None:
    body = patterns.DIV_SCALED_ATTENTION.replace("perm: ints = [0, 1, 3, 2]", "perm: ints = [0, 2, 1]")
    inputs = "float[8,8,16] q, float[8,8,16] k, float[8,8,16] v, float[1,8,8] mask"
    model = graph(body, inputs=inputs, outputs="float[8,8,16] y")
    assert executed(canonicalise(model)) == ["Attention"]
    assert_conserved(model, canonicalise(model))


def test_a_product_of_two_activations_stays_a_matmul() -> None:
    model = graph("p = MatMul (x, z) y = Add (p, b)", inputs="float[2,16,64] x, float[64,64] z", stored="float[64] b")
    assert executed(canonicalise(model)) == ["MatMul", "Add"]


def test_a_bias_that_is_no_column_vector_stays_an_addition() -> None:
    model = graph("p = MatMul (x, w) y = Add (p, b)", stored="float[64,64] w; float[16,64] b")
    assert executed(canonicalise(model)) == ["Gemm", "Add"]


def test_a_convolution_keeps_the_parameters_of_the_normalisation_it_absorbs() -> None:
    (row,) = (r for r in count(canonicalise(ONE_ROW["Conv with BatchNormalization"])) if r.kind == "counted")
    assert row.params == 5 * 3 * 3 * 3 + 2 * 5


def test_a_split_into_a_sequence_is_a_split() -> None:
    body = """
    size = Constant <value_int: int = 32> ()
    zero = Constant <value_int: int = 0> ()  one = Constant <value_int: int = 1> ()
    parts = SplitToSequence <axis: int = 2> (x, size)
    a = SequenceAt (parts, zero)
    b = SequenceAt (parts, one)
    y = Add (a, b)
    """
    result = canonicalise(graph(body, outputs="float[2,16,32] y"))
    assert [node.op_type for node in result.nodes if not node.folded] == ["Split", "Add"]
    assert executed(result) == ["Add"]


STEPS = [
    patterns.GELU_ERF,
    patterns.GELU_TANH,
    patterns.SWISH,
    patterns.HARD_SWISH,
    patterns.LAYER_NORM,
    patterns.RMS_NORM,
    "p = MatMul (x, w) y = Add (b, p)",
]


@st.composite
def networks(draw: st.DrawFn) -> ModelGraph:
    """Patterns one after the other, some of their values also read by a later addition or returned."""
    chosen = draw(st.lists(st.sampled_from(range(len(STEPS))), min_size=1, max_size=5))
    nodes, shapes = [], ["x"]
    for place, step in enumerate(chosen):
        nodes.append(renamed(STEPS[step], place, shapes[-1]))
        shapes.append(f"y_{place}")
        if draw(st.booleans()):
            nodes.append(f"r_{place} = Add ({shapes[-1]}, {draw(st.sampled_from(shapes))})")
            shapes.append(f"r_{place}")
    spied = draw(
        st.sampled_from(
            [
                line.split(" = ")[0].strip()
                for line in "\n".join(nodes).splitlines()
                if " = " in line and "Constant" not in line
            ]
        )
    )
    nodes.append(f"spied = Relu ({spied}) out = Identity ({shapes[-1]})")
    return graph(
        "\n".join(nodes),
        outputs="float[2,16,64] out, float spied",
        stored=f"{NORM_WEIGHTS}; float[64,64] w; float[64] b",
    )


def renamed(body: str, place: int, source: str) -> str:
    """The pattern with values of its own, reading ``source``."""
    own = re.compile(r"\b(?!gamma\b|beta\b|w\b|b =)([a-z]+)\b(?=\s*=\s*[A-Z])")
    names = sorted({match.group(1) for match in own.finditer(body)}, key=len, reverse=True)
    text = re.sub(r"(?<=[(,] )x\b|(?<=\()x\b", source, body)
    for name in names:
        text = re.sub(rf"\b{name}\b(?!:)", f"{name}_{place}", text)
    return text


@settings(max_examples=60, deadline=None)
@given(networks())
def test_any_chain_keeps_its_counts_and_its_meaning(model: ModelGraph) -> None:
    result = canonicalise(model)
    assert_conserved(model, result)
    assert canonicalise(result) == result
    assert len(executed(result)) <= len(executed(model))


HEADS = (
    "qt = Transpose <perm: ints = [0, 2, 1, 3]> (q) kt = Transpose <perm: ints = [0, 2, 3, 1]> (k) y = MatMul (qt, kt)"
)


def separate_products(batch: int) -> ModelGraph:
    inputs = f"float[{batch},8,4,16] q, float[{batch},8,4,16] k"
    return graph(HEADS, inputs=inputs, outputs=f"float[{batch},4,8,8] y")


@pytest.mark.parametrize(("batch", "copies"), [(2, 2), (1, 0)])
def test_eager_products_copy_operands_whose_heads_lie_apart(batch: int, copies: int) -> None:
    """torch.matmul makes batch and heads one dimension, which strides of a batch of one allow."""
    model = separate_products(batch)
    result = canonicalise(model, eager=True)
    assert executed(result) == ["Identity"] * copies + ["MatMul"]
    assert totals(count(result)).kernels["torch-eager"] == copies + 1
    assert totals(count(result)).macs == totals(count(model)).macs
    assert canonicalise(result, eager=True) == result
    assert executed(canonicalise(model)) == ["MatMul"]


def test_an_eager_clone_is_a_copy_and_serves_the_product() -> None:
    body = "qt = Transpose <perm: ints = [0, 2, 1, 3]> (q) qc = Identity (qt) y = MatMul (qc, k)"
    model = graph(body, inputs="float[2,8,4,16] q, float[2,4,16,8] k", outputs="float[2,4,8,8] y")
    result = canonicalise(model, eager=True)
    assert executed(result) == ["Identity", "MatMul"]
    assert [row.bytes_moved for row in count(result) if row.op_type == "Identity"] == [2 * 2 * 8 * 4 * 16 * 4]
    assert executed(canonicalise(model)) == ["MatMul"]


@pytest.mark.parametrize("step", ["v{after} = Mul (v{before}, v{before})", "v{after} = Mul (half, v{before})"])
def test_a_long_chain_of_products_is_taken_apart_in_part(step: str) -> None:
    """Whole, the first would be a product of 2²⁰⁰⁰ factors, the second a recursion of 2,000 calls."""
    chain = " ".join(step.format(before=i, after=i + 1) for i in range(2000))
    body = f"{patterns.number('half', 0.5)} v0 = Relu (x) {chain} y = Relu (v2000)"
    assert len(count(canonicalise(graph(body)))) == 2002
