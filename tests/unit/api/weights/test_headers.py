"""Headers of weights hold what a configuration describes, and win where they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.api.language_models import language_model
from joulecast.api.weights.headers import as_stored, comparison
from joulecast.errors import ModelFormatError
from joulecast.readers.huggingface import read
from joulecast.serving.parameters import parameters
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import fetch
from joulecast.sources.facts.model_facts import StoredTensor
from tests import checkpoints
from tests.models.served import CASES, MIXTURES, oracle, quick_or_slow
from tests.models.served.case import Case
from tests.unit.readers.huggingface.test_quantisation import AWQ, FP8_BLOCKS, GPT_OSS, GPTQ, NVFP4, W4A16, W8A8_INT

Stored = Mapping[str, StoredTensor]
CONFIG = dict(checkpoints.CONFIG)
_MIXTRAL = {".mlp.": ".block_sparse_moe."}
PUBLISHED_NAMES: Mapping[str, Mapping[str, str]] = {
    "MixtralForCausalLM": _MIXTRAL,
    "MiniMaxM2ForCausalLM": _MIXTRAL,
    "GraniteMoeHybridForCausalLM": {
        ".router.weight": ".router.layer.weight",
        ".experts.gate_up_proj": ".input_linear.weight",
        ".experts.down_proj": ".output_linear.weight",
    },
}
"""Parts of names in published files, where transformers builds the class with others."""


def published(architecture: str, name: str) -> str:
    for built, stored in PUBLISHED_NAMES.get(architecture, {}).items():
        name = name.replace(built, stored)
    return name


def of_class(case: Case) -> Stored:
    """The tensors of the class of transformers, tied ones twice."""
    return {
        published(case.architecture, name): StoredTensor(dtype="BF16", shape=tuple(value.shape))
        for name, value in oracle.built(case.architecture, case.small).module.state_dict().items()
    }


@pytest.mark.parametrize("case", quick_or_slow([*CASES, *MIXTURES]))
def test_files_of_each_architecture_hold_what_it_describes(case: Case) -> None:
    model = read({**case.small, "architectures": [case.architecture]})
    stored = of_class(case)
    found = comparison(model, stored)
    assert found.differences == ()
    assert found.stored == found.described == parameters(model)
    assert as_stored(model, stored) == model


def plain(**changed: tuple[str, tuple[int, ...]] | None) -> dict[str, StoredTensor]:
    """A Llama's tensors; ``changed``: by name with two underscores for a dot, None for taken out."""
    found = checkpoints.tensors(CONFIG)
    for name, tensor in changed.items():
        found.pop(name.replace("__", "."), None)
        if tensor is not None:
            found[name.replace("__", ".")] = tensor
    return {name: StoredTensor(dtype=dtype, shape=shape) for name, (dtype, shape) in found.items()}


def products(stored: Stored) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, tensor in stored.items():
        if "proj" in name:
            yield name.removesuffix(".weight"), (tensor.shape[0], tensor.shape[1])


def packed(method: str) -> dict[str, StoredTensor]:
    """The same tensors in the layout of a method."""
    found = plain()
    for module, (outputs, inputs) in list(products(found)):
        del found[f"{module}.weight"]
        found |= {
            f"{module}.{name}": StoredTensor(dtype=dtype, shape=shape)
            for name, (dtype, shape) in layout(method, outputs, inputs).items()
        }
    return found


def layout(method: str, outputs: int, inputs: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    groups = max(1, inputs // 32)
    return {
        "GPTQ": {"qweight": ("I32", (inputs // 8, outputs)), "qzeros": ("I32", (groups, outputs // 8)),
                 "scales": ("F16", (groups, outputs)), "g_idx": ("I32", (inputs,))},
        "GPTQ, 8 bits": {"qweight": ("I32", (inputs // 4, outputs)), "qzeros": ("I32", (groups, outputs // 4)),
                         "scales": ("F16", (groups, outputs)), "g_idx": ("I32", (inputs,))},
        "AWQ": {"qweight": ("I32", (inputs, outputs // 8)), "qzeros": ("I32", (groups, outputs // 8)),
                "scales": ("F16", (groups, outputs))},
        "fp8": {"weight": ("F8_E4M3", (outputs, inputs)), "weight_scale_inv": ("F32", (1, 1))},
        "W8A8": {"weight": ("I8", (outputs, inputs)), "weight_scale": ("BF16", (outputs, 1))},
        "W4A16": {"weight_packed": ("I32", (outputs, inputs // 8)), "weight_scale": ("BF16", (outputs, groups)),
                  "weight_shape": ("I64", (2,))},
        "nvfp4": {"weight": ("U8", (outputs, inputs // 2)), "weight_scale": ("F8_E4M3", (outputs, inputs // 16)),
                  "weight_scale_2": ("F32", ()), "input_scale": ("F32", ()), "k_scale": ("F32", ())},
        "bitsandbytes": {"weight": ("U8", (outputs * inputs // 2, 1)), "weight.absmax": ("F32", (groups * outputs,)),
                         "weight.quant_map": ("F32", (16,)),
                         "weight.quant_state.bitsandbytes__nf4": ("U8", (84,))},
    }[method]  # fmt: skip


METHODS: Mapping[str, Mapping[str, Any]] = {
    "GPTQ": GPTQ, "GPTQ, 8 bits": GPTQ | {"bits": 8}, "AWQ": AWQ, "fp8": FP8_BLOCKS, "W8A8": W8A8_INT, "W4A16": W4A16,
    "nvfp4": NVFP4 | {"exclude_modules": ["lm_head"]},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_packed_weights_are_as_many_as_plain_ones(method: str) -> None:
    model = read({**CONFIG, "quantization_config": METHODS[method]})
    found = comparison(model, packed(method))
    assert (found.stored, found.differences) == (parameters(read(CONFIG)), ())


def test_a_file_packed_in_another_way_is_told_and_widens() -> None:
    model = read({**CONFIG, "quantization_config": GPTQ | {"bits": 8}})
    found = as_stored(model, packed("GPTQ"))
    assert "qkv_proj has 8,192 weights by config.json and 4,096 in the files" in found.differences[0]
    assert found.differences[-1] == "and so 5 more products"
    reasons = forecast_generation(found, accelerator_named("NVIDIA-H100-80GB-HBM3"), GenerationRequest()).reasons
    assert any("files and config.json disagree: model.layers.0.self_attn.qkv_proj" in reason for reason in reasons)


def test_experts_of_gpt_oss_are_unpacked_from_blocks() -> None:
    case = next(each for each in MIXTURES if each.name == "GptOssForCausalLM")
    keys = {**case.small, "hidden_size": 64, "intermediate_size": 64}
    model = read({**keys, "quantization_config": GPT_OSS})
    stored = {}
    for name, value in oracle.built(case.architecture, keys).module.state_dict().items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            count, inputs, outputs = value.shape
            stored[f"{name}_blocks"] = StoredTensor(dtype="U8", shape=(count, outputs, inputs // 32, 16))
            stored[f"{name}_scales"] = StoredTensor(dtype="U8", shape=(count, outputs, inputs // 32))
        else:
            stored[name] = StoredTensor(dtype="BF16", shape=tuple(value.shape))
    found = comparison(model, stored)
    assert (found.stored, found.differences) == (parameters(model), ())


def test_experts_are_counted_one_by_one() -> None:
    case = next(each for each in MIXTURES if each.name == "MixtralForCausalLM")
    stored = dict(of_class(case))
    for name in [each for each in stored if ".experts." in each]:
        count, outputs, inputs = stored.pop(name).shape
        module = name.rpartition(".")[0]
        halves = ("w1", "w3") if name.endswith("gate_up_proj") else ("w2",)
        for half in halves:
            shape = (outputs // len(halves), inputs)
            stored |= {
                f"{module}.{expert}.{half}.weight": StoredTensor(dtype="BF16", shape=shape) for expert in range(count)
            }
    model = read(case.small)
    found = comparison(model, stored)
    assert (found.stored, found.differences) == (parameters(model), ())


LEFT_OUT = {
    "model.rotary_emb.inv_freq": ("F32", (8,)),
    "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (8,)),
    "model.embeddings.position_ids": ("I64", (1, 512)),
    "model.layers.0.attn.bias": ("F32", (1, 1, 512, 512)),
    "model.layers.0.self_attn.k_proj.k_scale": ("F32", ()),
    "model.layers.1.mlp.gate.e_score_correction_bias": ("F32", (8,)),
    "model.layers.2.eh_proj.weight": ("BF16", (64, 128)),
    "model.layers.2.mlp.down_proj.weight": ("BF16", (64, 128)),
    "mtp.layers.0.mlp.down_proj.weight": ("BF16", (64, 128)),
    "vision_tower.encoder.layers.5.mlp.fc1.weight": ("BF16", (64, 128)),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_no_parameter_is_left_out_by_name(name: str) -> None:
    dtype, shape = LEFT_OUT[name]
    together = {name: StoredTensor(dtype=dtype, shape=shape)}
    if name.startswith("model.layers.2."):
        together["model.layers.2.eh_proj.weight"] = StoredTensor(dtype="BF16", shape=(64, 128))
    model = read(CONFIG)
    found = comparison(model, plain() | together)
    assert (found.stored, found.differences) == (parameters(model), ())


def test_a_tied_copy_is_left_out() -> None:
    model = read({**CONFIG, "tie_word_embeddings": True})
    assert comparison(model, plain()).stored == parameters(model)


def test_rows_beyond_the_vocabulary_are_counted_and_told() -> None:
    padded = plain(model__embed_tokens__weight=("BF16", (320, 64)), lm_head__weight=("BF16", (320, 64)))
    found = as_stored(read(CONFIG), padded)
    assert parameters(found) == parameters(read(CONFIG)) + 2 * 64 * 64
    assert found.differences == (
        "config.json says 256 words and the table of the files has 320 rows, which are counted",
        "config.json says 256 outputs and the last product of the files has 320, which are run",
    )
    tied = as_stored(read({**CONFIG, "tie_word_embeddings": True}), padded)
    assert tied.decoder.head is not None
    assert tied.decoder.head.outputs == 320


def test_layers_of_the_files_are_counted_and_told() -> None:
    found = as_stored(read({**CONFIG, "num_hidden_layers": 5}), plain())
    assert found.decoder == read(CONFIG).decoder
    assert found.differences == ("config.json says 5 layers and the files hold 2, which are counted",)


def test_parameters_that_no_product_has_are_told() -> None:
    found = comparison(read(CONFIG), plain(model__layers__0__self_attn__sinks=("BF16", (4,))))
    assert found.differences == ("beside products there are 16,704 parameters by config.json and 16,708 in the files",)


def test_tensors_without_known_names_are_told() -> None:
    found = as_stored(read(CONFIG), {"w": StoredTensor(dtype="BF16", shape=(4, 4))})
    assert found.decoder == read(CONFIG).decoder
    assert "named" not in found.differences[0]
    assert "in a way that is not known" in found.differences[0]


@pytest.mark.parametrize(
    ("config", "changed", "said"),
    [
        ({**CONFIG, "intermediate_size": 256}, {}, "describes 32,768 weights of model.layers.0.mlp.gate_up_proj and"),
        ({**CONFIG, "num_key_value_heads": 4}, {}, "12,288 weights of model.layers.0.self_attn.qkv_proj and"),
        (CONFIG, {"model__embed_tokens__weight": ("BF16", (256, 32))}, "vectors of 64 elements and the files hold 32"),
    ],
)
def test_sizes_that_contradict_the_configuration_are_refused(config: Any, changed: Any, said: str) -> None:
    with pytest.raises(ModelFormatError, match="weights of the same model") as error:
        as_stored(read(config), plain(**changed))
    assert said in str(error.value)


def test_layers_of_several_kinds_are_not_guessed() -> None:
    case = next(each for each in MIXTURES if each.name == "Qwen3MoeForCausalLM")
    with pytest.raises(ModelFormatError, match="describes 2 layers of several kinds and the files hold 3"):
        as_stored(read({**case.small, "num_hidden_layers": 2}), of_class(case))


def test_a_folder_is_held_to_its_headers(tmp_path: Any) -> None:
    for name, content in checkpoints.model_folder({**CONFIG}, count=2).items():
        (tmp_path / name).write_bytes(content)
    assert language_model(fetch(str(tmp_path))).differences == ()
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 3}))
    assert language_model(fetch(str(tmp_path))).differences == (
        "config.json says 3 layers and the files hold 2, which are counted",
    )
