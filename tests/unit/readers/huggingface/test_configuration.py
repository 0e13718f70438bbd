"""Bytes of a ``config.json`` as checked values."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.errors import ModelFormatError
from joulecast.readers.huggingface import parse
from joulecast.readers.huggingface.configuration import LARGEST_BYTES, Configuration, Known


def test_an_object_is_parsed() -> None:
    assert parse(b'{"model_type": "llama", "layers": [1, 2]}') == {"model_type": "llama", "layers": [1, 2]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[1]", "holds a list of 1 entries in place of an object"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'has the key "c" twice'),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b" " * (LARGEST_BYTES + 1), "at most 1,048,576 are read"),
    ],
)
def test_bytes_that_hold_no_configuration_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(ModelFormatError, match=says):
        parse(data)


def configuration(**values: Any) -> Configuration:
    known = Known(defaults={"n_embd": 768, "bias": True, "n_inner": None}, names={"hidden_size": "n_embd"})
    return Configuration(values=values, model_type="test", known=known)


def test_what_is_left_out_is_the_default_of_the_class_and_is_recorded() -> None:
    config = configuration()
    assert (config.count("hidden_size"), config.flag("bias"), config.optional_count("n_inner")) == (768, True, None)
    assert config.taken == {"hidden_size": 768, "bias": True}


@pytest.mark.parametrize("name", ["hidden_size", "n_embd"])
def test_a_key_is_found_under_both_of_its_names(name: str) -> None:
    config = configuration(**{name: 64})
    assert config.count("hidden_size") == 64
    assert config.taken == {}


@pytest.mark.parametrize("value", [True, 1.0, "64", None, 0, -1, 1 << 25, [64], {"a": 1}, 10**400])
def test_a_size_is_a_plausible_whole_number(value: Any) -> None:
    with pytest.raises(
        ModelFormatError, match=r"hidden_size of config\.json is .*give a whole number from 1 to 16,777,216"
    ):
        configuration(hidden_size=value).count("hidden_size")


def test_a_stack_has_a_plausible_number_of_layers() -> None:
    with pytest.raises(ModelFormatError, match="from 1 to 1,024"):
        configuration(num_hidden_layers=1025).layers()


def test_what_has_no_default_must_be_there() -> None:
    with pytest.raises(ModelFormatError, match=r"config\.json of test has no vocab_size"):
        configuration().count("vocab_size")


@pytest.mark.parametrize("value", [1, "true", []])
def test_a_flag_is_true_or_false(value: Any) -> None:
    with pytest.raises(ModelFormatError, match="give true or false"):
        configuration(bias=value).flag("bias")


@pytest.mark.parametrize("value", [[1], ["a", 1], "ab", ["a", "b", "c"]])
def test_a_list_has_as_many_values_of_its_type_as_asked(value: Any) -> None:
    with pytest.raises(ModelFormatError, match="give a list of 2 values of type str"):
        configuration(types=value).list_of("types", str, 2)
