"""The meter on simulated devices: right at one second where the load is steady, and never wrong without a word."""

from functools import cache

import pytest

from benchmarks.meter import main
from benchmarks.meter_cases import CASES, LARGEST_ERROR, Outcome, constants_of, faults_of, run
from joulecast_calibration.meter import Policy
from joulecast_calibration.meter.simulated import PRESETS, SimulatedDevice, preset

BY_NAME = {case.name: case for case in CASES}
STEADY = (
    "steady, 2 ms",
    "steady, from rest",
    "steady, 20 µs at low power",
    "launch-bound, 0.3 of 3 ms",
    "over the power limit",
)
SEEN = [case for case in CASES if not case.blind]
constants = cache(constants_of)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("seed", range(4))
def test_a_steady_load_is_within_one_percent_at_one_second(name, seed):
    """The promise of docs/meter.md, on every kind of sensor."""
    for case in STEADY:
        outcome = run(BY_NAME[case], name, seed, constants(name, seed), Policy.fixed(1.0))
        assert outcome.error is not None, case
        assert abs(outcome.error) <= LARGEST_ERROR, case
        assert not {"unsteady", "in step with the sensor", "one execution"} & set(outcome.flags), case


@pytest.mark.parametrize("name", PRESETS)
def test_a_steady_load_is_within_one_percent_when_the_meter_finds_it_good(name):
    for seed in (1, 2, 3):
        assert abs(run(BY_NAME["steady, 2 ms"], name, seed, constants(name, seed)).error) <= LARGEST_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("case", SEEN, ids=lambda case: case.name)
@pytest.mark.parametrize("name", ["ampere", "turing", "volta"])
def test_a_window_of_a_second_that_is_wrong_says_so(case, name):
    outcome = run(case, name, 1, constants(name, 1), Policy.fixed(1.0))
    assert outcome.honest, outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_foreign_process_is_refused_where_it_is_listed_and_told_where_it_is_not(name):
    listed = run(BY_NAME["a foreign process comes"], name, 2, constants(name, 2))
    hidden = run(BY_NAME["a hidden foreign process comes"], name, 2, constants(name, 2))
    assert (listed.error, listed.flags) == (None, ("ForeignProcessOnDevice",))
    assert abs(hidden.error) > LARGEST_ERROR
    assert "unsteady" in hidden.flags


def test_what_nobody_can_see_is_wrong_and_named():
    for case in CASES:
        if case.blind:
            outcome = run(case, "ampere", 1, constants("ampere", 1))
            assert abs(outcome.error) > LARGEST_ERROR, case.name


def test_the_counter_of_that_case_wraps_in_the_window():
    case, found = BY_NAME["counter wraps at 32 bits"], constants("turing", 1)
    faults = faults_of(case, "turing", 1, found)
    device = SimulatedDevice(preset("turing"), seed=1, faults=faults)
    first = device.sensor.energy_joules()
    steady = run(BY_NAME["steady, 2 ms"], "turing", 1, found)
    assert 0 < faults.wrap_joules - first < 300.0
    assert run(case, "turing", 1, found).error == pytest.approx(steady.error, abs=2e-3)


def test_a_window_that_is_wrong_in_silence_is_told_apart():
    silent = Outcome(error=0.05, standard_error=0.01, flags=())
    assert not silent.honest
    assert Outcome(error=0.05, standard_error=0.01, flags=("unsteady",)).honest
    assert Outcome(error=0.015, standard_error=0.01, flags=()).honest
    assert Outcome(error=None, standard_error=0.0, flags=("ForeignProcessOnDevice",)).honest


def test_the_table_has_a_row_a_case(capsys):
    main(["--seeds", "1", "--sensor", "turing"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2 : 2 + len(CASES)]] == list(BY_NAME)
    assert lines[0] == "| load | turing |"
    assert "ForeignProcessOnDevice 1/1" in "\n".join(lines)
