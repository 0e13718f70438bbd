from __future__ import annotations

import pytest

from joulecast_operator import settings


def test_a_flag_wins_over_the_environment() -> None:
    environ = {"JOULECAST_METRICS_PORT": "1", "JOULECAST_FETCHERS": "3", "OTHER": "x"}
    found = settings.load(["--metrics-port", "2"], environ)
    assert (found.metrics_port, found.fetchers) == (2, 3)


def test_lists_are_separated_by_commas() -> None:
    assert settings.load(["--insecure-registries=a:1, b"], {}).insecure_registries == ("a:1", "b")
    assert settings.load(["--insecure-registries="], {}).insecure_registries == ()


@pytest.mark.parametrize(
    "arguments",
    [["--metrics-port=x"], ["--fetchers=0"], ["--log-level=loud"], ["--nonsense=1"], ["--denied-networks=10.0.0.1/8"]],
)
def test_a_wrong_setting_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings.load(arguments, {})
    assert caught.value.code == 2
    assert arguments[0].partition("=")[0] in capsys.readouterr().err
