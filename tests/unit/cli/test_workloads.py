from __future__ import annotations

import pytest
import typer

from joulecast.cli import workloads


def test_shapes_and_values_are_read_by_name() -> None:
    pattern = workloads.parse(
        ["image=1,3,224,224", "mask=", "serving:0=2, 7"], ["sr=16000", "sizes=1,2,3", "one=5,", "scale=0.5", "on=true"]
    )
    assert pattern.input_shapes == {"image": (1, 3, 224, 224), "mask": (), "serving:0": (2, 7)}
    assert pattern.input_values == {"sr": 16_000, "sizes": [1, 2, 3], "one": [5], "scale": 0.5, "on": True}


def test_the_word_batch_stays_until_the_batch_size_is_known() -> None:
    pattern = workloads.parse(["x=batch,3,8,8", "state=2,batch,128"], [])
    assert pattern.input_shapes == {"x": ("batch", 3, 8, 8), "state": (2, "batch", 128)}


def test_a_value_may_be_a_nested_list() -> None:
    pattern = workloads.parse([], ["c=[[1]]", "m=[[1, 0.5], [2, 3]]", "on=[True, false]"])
    assert pattern.input_values == {"c": [[1]], "m": [[1, 0.5], [2, 3]], "on": [True, False]}


def test_the_name_may_hold_an_equals_sign() -> None:
    assert workloads.parse(["a=b=3"], []).input_shapes == {"a=b": (3,)}


@pytest.mark.parametrize(
    ("inputs", "values", "words"),
    [
        (["image"], [], "NAME=1,3,224,224"),
        (["=1,2"], [], "NAME=1,3,224,224"),
        (["x=1,-2"], [], "'-2'"),
        (["x=1,,2"], [], "''"),
        (["x=1.5"], [], "'1.5'"),
        (["x=²"], [], "'²'"),
        (["x=1", "x=2"], [], "twice"),
        ([], ["sr"], "NAME=16000"),
        ([], ["sr=fast"], "'fast' is not a number"),
        ([], ["sr="], "not a number"),
        ([], ["sr=nan"], "'nan' is not a finite number"),
        ([], ["sr=1,1e999"], "'1e999' is not a finite number"),
        ([], ["sr=[[1,2]"], "not a nested list"),
        ([], ["sr=[1,nan]"], "not a nested list"),
        ([], ["sr=[1e999]"], "not a finite number"),
        ([], ['sr=["a"]'], "not a finite number"),
    ],
)
def test_a_malformed_option_is_a_usage_error_that_shows_the_form(
    inputs: list[str], values: list[str], words: str
) -> None:
    with pytest.raises(typer.BadParameter, match=words) as caught:
        workloads.parse(inputs, values)
    assert caught.value.exit_code == 2
