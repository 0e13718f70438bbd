"""Quantised configurations as published, and what of them cannot be taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.blocks import Storage
from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.readers.huggingface import products, read
from joulecast.readers.huggingface.quantisation import METHODS, storage
from joulecast.serving.passes import BOTH_KINDS
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES

LAYER = "model.layers.0."
PATHS = (
    LAYER + "self_attn.q_proj",
    LAYER + "self_attn.o_proj",
    LAYER + "mlp.gate_proj",
    LAYER + "mlp.gate",
    LAYER + "mlp.experts.0.up_proj",
    "model.layers.10.mlp.gate_proj",
    "lm_head",
)
BF16 = Storage(dtype="bfloat16", bits=16, arithmetic="bf16")

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
FP8_BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128]}
GPT_OSS = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
}
NVFP4 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "group_size": 16,
    "exclude_modules": ["lm_head", "*self_attn*"],
}


def compressed(weights, activations=None, **more):
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "ignore": ["lm_head"], **more}


W8A8_INT = compressed({"num_bits": 8, "type": "int"}, {"num_bits": 8, "type": "int"})
W8A8_FLOAT = compressed({"num_bits": 8, "type": "float"}, {"num_bits": 8, "type": "float"})
BLOCKS = {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128], "group_size": None}
FP8_GROUPS = {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 128, "dynamic": True}
W4A16 = compressed({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True})


def stored(quantised, path, **more):
    usual, otherwise = storage({"quantization_config": quantised, **more}, "bfloat16", PATHS)
    return otherwise.get(path, usual)


@pytest.mark.parametrize(
    ("quantised", "bits", "arithmetic"),
    [
        (GPTQ, 4 + 20 / 128, "bf16"),
        (GPTQ | {"bits": 8, "group_size": -1}, 8, "bf16"),
        (AWQ, 4 + 20 / 128, "bf16"),
        (AWQ | {"zero_point": False}, 4 + 16 / 128, "bf16"),
        (FP8_BLOCKS, 8 + 32 / 16384, "fp8"),
        ({"quant_method": "fp8", "activation_scheme": "static"}, 8, "fp8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 4.5, "bf16"),
        ({"load_in_4bit": True, "bnb_4bit_use_double_quant": True}, 4 + 8.125 / 64, "bf16"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8, "int8"),
        (NVFP4 | {"exclude_modules": []}, 4.5, "fp4"),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "FP8"}}, 8, "fp8"),
        (W8A8_INT, 8, "int8"),
        (W8A8_FLOAT, 8, "fp8"),
        (compressed(BLOCKS, FP8_GROUPS), 8 + 32 / 128**2, "fp8"),
        (W4A16, 4 + 16 / 128, "bf16"),
        (compressed({"num_bits": 4, "type": "float", "group_size": 16}, {"num_bits": 4, "type": "float"}), 4.5, "fp4"),
    ],
)
def test_methods_store_and_multiply_as_published(quantised, bits, arithmetic):
    own = stored(quantised, LAYER + "self_attn.q_proj")
    assert (own.bits, own.arithmetic) == (pytest.approx(bits), arithmetic)
    assert own.method
    for kept in ("lm_head", LAYER + "mlp.gate"):
        assert stored(quantised, kept) == BF16


def test_unquantised_weights_are_multiplied_as_they_are_stored():
    assert storage({}, "bfloat16", PATHS) == (BF16, {})
    assert storage({}, "float16", PATHS)[0].arithmetic == "fp16"


def test_gptq_may_quantise_the_head():
    assert stored(GPTQ | {"lm_head": True}, "lm_head").bits < 5


def test_gpt_oss_stores_its_experts_alone_in_four_bits():
    assert stored(GPT_OSS, LAYER + "mlp.experts.0.up_proj").bits == 4.25
    for path in PATHS[:3]:
        assert stored(GPT_OSS, path) == BF16


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("model.layers.0.mlp.gate_proj", [LAYER + "mlp.gate_proj"]),
        ("self_attn", [LAYER + "self_attn.q_proj", LAYER + "self_attn.o_proj"]),
        ("model.layers.0", [path for path in PATHS if path.startswith(LAYER)]),
        ("model.layers.1", []),
        ("*self_attn*", [LAYER + "self_attn.q_proj", LAYER + "self_attn.o_proj"]),
        ("re:.*mlp.*", [path for path in PATHS if "mlp" in path]),
        (r"re:.*\.layers\.\d+\.mlp\.(gate_proj|up_proj)$", [LAYER + "mlp.gate_proj", "model.layers.10.mlp.gate_proj"]),
    ],
)
def test_modules_are_left_out_by_path_glob_or_expression(named, kept):
    quantised = W4A16 | {"ignore": [named]}
    always = {"lm_head", LAYER + "mlp.gate"}
    assert {path for path in PATHS if stored(quantised, path) == BF16} == always | set(kept)


def test_each_group_of_modules_has_its_own_storage():
    groups = {
        "attention": {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8, "type": "int"}},
        "rest": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int"}},
    }
    quantised = {"quant_method": "compressed-tensors", "config_groups": groups}
    assert stored(quantised, LAYER + "self_attn.o_proj").bits == 8
    assert stored(quantised, LAYER + "mlp.gate_proj").bits == 4


@pytest.mark.parametrize(
    ("quantised", "said"),
    [
        ({"quant_method": "squeeze"}, "by 'squeeze', which is not known: known are " + ", ".join(METHODS)),
        ({"quant_method": ["gptq"]}, "which is not known"),
        ({}, None),
        (GPTQ | {"dynamic": {"-:.*": {}}}, "'dynamic' table"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "'W4A8_AWQ'"),
        (compressed({"num_bits": 8, "type": "int"}, {"num_bits": 4, "type": "int"}), "activations"),
        ({"quant_method": "bitsandbytes"}, "neither load_in_4bit nor load_in_8bit"),
        (W4A16 | {"ignore": ["re:(a+)+$"]}, "names quantised modules"),
        (W4A16 | {"ignore": ["re:" + ".*" * 20]}, "names quantised modules"),
        (W4A16 | {"ignore": ["x" * 300]}, "names quantised modules"),
        (W4A16 | {"ignore": ["re:(unbalanced"]}, "names quantised modules"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(quantised, said):
    if said is None:
        assert stored(quantised, "lm_head") == BF16
        return
    with pytest.raises(UnsupportedOperatorError) as error:
        stored(quantised, "lm_head")
    assert said in str(error.value)
    assert error.value.reason == "UnsupportedQuantisation"


@pytest.mark.parametrize(
    ("quantised", "said"),
    [
        ("gptq", "is not an object"),
        (GPTQ | {"bits": 5}, "quantization_config.bits is '5'"),
        (GPTQ | {"bits": True}, "quantization_config.bits is 'True'"),
        (GPTQ | {"group_size": 0}, "quantization_config.group_size is '0'"),
        (FP8_BLOCKS | {"weight_block_size": [128]}, "weight_block_size"),
        (W4A16 | {"ignore": "lm_head"}, "a list of module names"),
        (W4A16 | {"config_groups": []}, "config_groups"),
        (W4A16 | {"config_groups": {"a": 3}}, "config_groups"),
    ],
)
def test_keys_that_hold_what_they_cannot_are_named(quantised, said):
    with pytest.raises(ModelFormatError) as error:
        stored(quantised, "lm_head")
    assert said in str(error.value)


PUBLISHED = {case.origin: case.published for case in (*CASES, *MIXTURES) if case.origin}
PLAIN_IN_EXPERTS = ("mlp.gate", "self_attn.q_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert_gate")


class Seen(dict):
    """Storage by path that keeps the paths that were asked for."""

    def __init__(self):
        super().__init__()
        self.paths = set()

    def get(self, path, default=None):
        self.paths.add(path)
        return default


@pytest.mark.parametrize("case", [*CASES, *MIXTURES], ids=lambda case: case.name)
def test_rules_reach_the_weights_of_every_row(case):
    model = read({**case.small, "architectures": [case.architecture]})
    seen = Seen()
    rows(replace(model, stored_otherwise=seen), BOTH_KINDS)
    assert seen.paths == set(products(model))


@pytest.mark.parametrize(
    "target", ["re:.*mlp.experts.*", r"re:.*mlp\.experts\.\d+\.(gate|up|gate_up|down)_proj$", "mlp.experts"]
)
def test_experts_are_meant_by_path_with_or_without_a_number(target):
    groups = {"experts": {"targets": [target], "weights": {"num_bits": 4, "type": "int", "group_size": 32}}}
    quantised = {"quant_method": "compressed-tensors", "config_groups": groups}
    model = read({**PUBLISHED["Qwen/Qwen2-57B-A14B"], "quantization_config": quantised})
    for name in ("gate_proj", "up_proj", "down_proj"):
        assert model.storage_of(f"{LAYER}mlp.experts.{name}").bits == 4.5
    for name in PLAIN_IN_EXPERTS:
        assert model.storage_of(LAYER + name) == BF16


def test_a_model_of_experts_leaves_out_routers_and_shared_experts():
    ignored = ["lm_head", "re:.*mlp.gate$", "re:.*mlp.shared_expert.*", "re:.*self_attn.*"]
    model = read({**PUBLISHED["Qwen/Qwen2-57B-A14B"], "quantization_config": W8A8_FLOAT | {"ignore": ignored}})
    assert {path for path in products(model) if model.storage_of(path) != BF16} == {
        f"model.layers.{layer}.mlp.experts.{name}_proj" for layer in range(28) for name in ("gate", "up", "down")
    }


@pytest.mark.parametrize("earlier", [True, False])
def test_the_text_model_of_a_composite_has_two_names(earlier):
    prefix = "language_model.model" if earlier else "model.language_model"
    quantised = W8A8_FLOAT | {"ignore": [f"{prefix}.layers.{layer}.self_attn" for layer in range(48)]}
    text = PUBLISHED["meta-llama/Llama-4-Scout-17B-16E"]
    model = read({"model_type": "llama4", "text_config": text, "quantization_config": quantised})
    kept = {path for path in products(model) if model.storage_of(path) == BF16}
    assert {path for path in products(model) if ".self_attn." in path} <= kept
    assert not any("experts" in path for path in kept)
