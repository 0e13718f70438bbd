"""Configurations as language models: what is taken, what is listed, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.blocks import Attention
from joulecast.errors import JoulecastError, ModelFormatError, UnsupportedOperatorError
from joulecast.readers.huggingface import products, read
from joulecast.readers.huggingface.architectures import ARCHITECTURES, COMPOSITES
from tests.models.served import CASES, MIXTURES
from tests.models.served.case import Case

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96,
    "max_position_embeddings": 512, "torch_dtype": "float16",
}  # fmt: skip


def test_the_model_says_what_it_is() -> None:
    model = read(LLAMA)
    assert (model.model_type, model.architecture, model.dtype) == ("llama", "LlamaForCausalLM", "float16")
    assert (model.context, model.generates) == (512, True)
    assert (model.storage.bits, model.storage.arithmetic, model.storage.method) == (16, "fp16", None)
    ((layer, times),) = model.decoder.layers
    assert (layer.path, times) == ("model.layers.{}", 2)


@pytest.mark.parametrize(
    ("model_type", "key", "context"),
    [
        ("gpt2", "n_positions", 514),
        ("whisper", "max_target_positions", 514),
        ("roberta", "max_position_embeddings", 512),
    ],
)
def test_the_longest_sequence_is_what_the_table_of_positions_holds(model_type: str, key: str, context: int) -> None:
    assert read({"model_type": model_type, key: 514}).context == context


def test_defaults_are_listed() -> None:
    assert read(LLAMA).defaults == {
        "attention_bias": False, "hidden_act": "silu", "mlp_bias": False, "tie_word_embeddings": False,
    }  # fmt: skip


def test_gemma_3_4b_omits_its_head_counts() -> None:
    """The keys of google/gemma-3-4b-it that bear on its text model."""
    model = read({
        "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "torch_dtype": "bfloat16",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
    })  # fmt: skip
    attention = model.decoder.layers[0][0].mixers[0]
    assert isinstance(attention, Attention)
    assert (attention.heads, attention.kv_heads, attention.head_size, attention.window) == (8, 4, 256, 1024)
    assert [times for _, times in model.decoder.layers] == [5, 1] * 5 + [4]
    defaults = {key: model.defaults[f"text_config.{key}"] for key in ("num_attention_heads", "num_key_value_heads")}
    assert defaults == {"num_attention_heads": 8, "num_key_value_heads": 4}
    assert model.notes == ("the vision tower of gemma3 is not priced: only its text model is read",)
    assert next(products(model)) == "language_model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("key", ["sliding_window_pattern", "_sliding_window_pattern"])
def test_a_pattern_says_which_layers_have_a_window(key: str) -> None:
    keys = {"model_type": "gemma3_text", "architectures": None, "num_hidden_layers": 6, "sliding_window": 8}
    layers = read({**LLAMA, **keys, key: 3}).decoder.each_layer()
    windows = [mixer.window for layer in layers for mixer in layer.mixers if isinstance(mixer, Attention)]
    assert windows == [8, 8, None] * 2


def test_keys_that_nothing_reads_are_listed_where_they_ask_for_something() -> None:
    asked = {"num_nextn_predict_layers": 1, "use_mrope": False, "rope_scaling": None, "bos_token_id": 7}
    assert read({**LLAMA, **asked}).ignored == ("num_nextn_predict_layers",)


def test_keys_are_listed_within_bounds_and_made_safe_to_show() -> None:
    model = read({**LLAMA, **{f"a{number:04}\x1b[31m" + "x" * 1000: 1 for number in range(120)}})
    assert len(model.ignored) == 51
    assert model.ignored[-1] == "and 70 more"
    assert all(key.isprintable() and len(key) <= 80 for key in model.ignored)


@pytest.mark.parametrize("case", [case for case in (*CASES, *MIXTURES) if case.published], ids=lambda case: case.name)
def test_published_configurations_have_no_key_that_nothing_reads(case: Case) -> None:
    assert read({**case.published, "architectures": [case.architecture]}).ignored == ()


def refusal(**keys: Any) -> JoulecastError:
    with pytest.raises(JoulecastError) as caught:
        read({**LLAMA, **keys})
    return caught.value


def test_an_unknown_model_type_is_refused_by_name() -> None:
    error = refusal(model_type="lama")
    assert isinstance(error, UnsupportedOperatorError)
    assert error.reason == "UnknownArchitecture"
    assert "model_type 'lama' of config.json is not among the known architectures (is llama meant?)" in str(error)


def test_remote_code_is_never_run_and_the_way_out_is_named() -> None:
    remote = {"model_type": "mymodel", "auto_map": {"AutoModelForCausalLM": "modeling.MyModel"}}
    error = refusal(**remote)
    assert error.reason == "UnknownArchitecture"
    assert "code of its own (auto_map), which is never run" in str(error)
    assert read({**LLAMA, **remote, "architectures": ["MyModelForCausalLM"]}, architecture="llama").generates
    assert read({**LLAMA, "auto_map": remote["auto_map"]}) == read(LLAMA)


def test_a_head_that_is_not_known_is_refused_by_the_name_of_its_class() -> None:
    assert "names the class 'LlamaForQuestionAnswering'" in str(refusal(architectures=["LlamaForQuestionAnswering"]))
    assert "names the class 'MistralForCausalLM'" in str(refusal(architectures=["MistralForCausalLM"]))


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("bert", "BertLMHeadModel"),
        ("bert", "BertForQuestionAnswering"),
        ("bart", "BartForSequenceClassification"),
        ("llama", "LlamaForMaskedLM"),
        ("deberta-v2", "DebertaV2ForCausalLM"),
    ],
)
def test_no_head_is_guessed(model_type: str, name: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=f"names the class '{name}', whose head is not known"):
        read({"model_type": model_type, "architectures": [name]})


@pytest.mark.parametrize("tied", [True, False])
def test_whether_the_head_of_a_composite_is_tied_is_said_by_the_whole(tied: bool) -> None:
    text = {**LLAMA, "model_type": "mistral", "architectures": ["MistralForCausalLM"], "tie_word_embeddings": not tied}
    whole = {"model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "text_config": text}
    head = read({**whole, "tie_word_embeddings": tied}).decoder.head
    assert head is not None
    assert (head.tied, head.path) == (tied, "language_model.lm_head")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"model_type": None}, "config.json has no model_type"),
        ({"architectures": [1]}, "architectures of config.json is a list of 1 entries, but each of its entries"),
        ({"model_type": "deberta-v2", "pooler_hidden_size": 32}, "pooler_hidden_size of config.json is 32, but hidden"),
        ({"hidden_size": 65, "head_dim": None}, "hidden_size of config.json is 65, but 4 heads"),
        ({"num_key_value_heads": 3}, "num_attention_heads of config.json is 4, but groups of heads for 3"),
        ({"torch_dtype": "float8_e4m3fn"}, "torch_dtype of config.json is 'float8_e4m3fn': give one of bfloat16"),
        ({"rope_parameters": {"partial_rotary_factor": "x"}}, "its partial_rotary_factor is no number"),
        ({"model_type": "gpt_neo", "num_layers": 3}, "attention_types of config.json is null, but 3 layers"),
        ({"model_type": "qwen3", "layer_types": ["full_attention", "odd"]}, "layers of type 'odd' are not known"),
        ({"model_type": "gemma3", "text_config": [1]}, "text_config of config.json is a list of 1 entries"),
    ],
)
def test_values_that_contradict_each_other_are_refused(keys: dict[str, Any], says: str) -> None:
    keys = {"architectures": None, **keys}
    error = refusal(**keys)
    assert isinstance(error, ModelFormatError)
    assert says in str(error)


@pytest.mark.parametrize(
    ("model_type", "keys"),
    [("phi", {"qk_layernorm": True}), ("bert", {"is_decoder": True}), ("deberta-v2", {"conv_kernel_size": 3})],
)
def test_what_is_not_understood_is_refused(model_type: str, keys: dict[str, Any]) -> None:
    relative = {"relative_attention": True, "share_att_key": True, "pos_att_type": ["c2p", "p2c"]}
    assert refusal(model_type=model_type, architectures=None, **relative, **keys).reason == "UnknownArchitecture"


def test_a_quantisation_that_is_not_known_is_refused() -> None:
    assert refusal(quantization_config={"quant_method": "odd"}).reason == "UnsupportedQuantisation"


WITHOUT_DEFAULT = {"deepseek_v2": {"num_experts_per_tok": 6}}
"""Keys that a class needs and has no default for."""


@pytest.mark.parametrize("model_type", [*ARCHITECTURES, *COMPOSITES])
def test_a_configuration_of_defaults_alone_can_be_read(model_type: str) -> None:
    assert read({"model_type": model_type, **WITHOUT_DEFAULT.get(model_type, {})}).defaults["architectures"]


def test_a_long_name_of_a_layer_is_cut_in_the_message() -> None:
    config = {"model_type": "gpt_oss", "num_hidden_layers": 1, "layer_types": ["x" * 5000]}
    with pytest.raises(ModelFormatError, match="layers of type 'xxx") as error:
        read(config)
    assert len(str(error.value)) < 300
