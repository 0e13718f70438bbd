"""Which commands a container starts, as Kubernetes and a shell would read its lists of words."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.workloads.engines.commands import LONGEST_LINE, UNKNOWN, command_line, commands


def words(*command: str, **container: Any) -> list[tuple[str, ...]]:
    return [each.words for each in commands(command_line({"command": list(command)} | container))]


def test_args_follow_the_command() -> None:
    assert words("/usr/bin/vllm", args=["serve", "m"]) == [("/usr/bin/vllm", "serve", "m")]
    (found,) = commands(command_line({"command": ["/usr/bin/vllm", "serve"]}))
    assert found.program == "vllm"


def test_a_variable_of_kubernetes_is_replaced_where_the_container_states_its_value() -> None:
    env = [{"name": "MODEL", "value": "org/name"}, {"name": "HIDDEN", "valueFrom": {"secretKeyRef": {}}}]
    ((_, known, hidden, dollar),) = words("vllm", "$(MODEL)", "$(HIDDEN)", "$$(MODEL)", env=env)
    assert (known, dollar) == ("org/name", "$(MODEL)")
    assert UNKNOWN.search(hidden)
    assert not UNKNOWN.search(known)


def test_each_command_of_a_script_is_found_and_an_assignment_holds_from_then_on() -> None:
    found = words("sh", "-c", "echo start; CARDS=2\nvllm serve m -tp $CARDS && true")
    assert [each[0] for each in found] == ["echo", "vllm", "true"]
    assert found[1] == ("vllm", "serve", "m", "-tp", "2")


def test_a_script_whose_quotes_do_not_close_starts_nothing_that_is_read() -> None:
    assert words("sh", "-c", "vllm serve 'm") == []


def test_a_line_that_is_too_long_is_not_read() -> None:
    assert words("vllm", "serve", "m" * LONGEST_LINE) == []


@pytest.mark.parametrize("odd", [None, "vllm serve m", 3, {"0": "vllm"}, [None, 3, {}, []]])
def test_what_is_no_list_of_words_is_passed_over(odd: Any) -> None:
    line = command_line({"command": odd, "args": odd, "env": odd})
    assert (line.command, line.args, line.variables, line.characters) == ((), (), (), 0)
