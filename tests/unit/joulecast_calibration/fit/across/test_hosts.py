"""Hosts as draws from a population: who tells of them, and what is said of one that nobody measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.datasheets import datasheets
from joulecast.energy.generic import generation_of
from joulecast_calibration.fit.across.hosts import HOST_SPREAD, Draw, decoding_draws, pace_of
from joulecast_calibration.fit.cards import HOST


def draws(*paces: float, generation: int = 4) -> tuple[Draw, ...]:
    return tuple(
        Draw(name=str(at), table="made", rows=1, generation=generation, log_pace=math.log(pace))
        for at, pace in enumerate(paces)
    )


def test_an_unknown_host_is_as_fast_as_hosts_of_its_generation_are_on_average() -> None:
    found = pace_of(4, draws(*[0.5] * 200))
    assert found.log_mean == pytest.approx(math.log(0.5), abs=0.01)
    assert found.log_spread == pytest.approx(HOST_SPREAD, abs=0.01)
    assert found.host.kernel_seconds == pytest.approx(HOST.kernel_seconds / 2, rel=0.01)


def test_few_hosts_say_less_than_many() -> None:
    few, many = (
        pace_of(5, draws(1.0) + draws(0.5, generation=5)),
        pace_of(5, draws(1.0) + draws(*[0.5] * 9, generation=5)),
    )
    assert math.log(0.5) < many.log_mean < few.log_mean < 0
    assert many.log_spread < few.log_spread


def test_a_generation_without_hosts_is_where_the_others_are_and_less_certain() -> None:
    told, untold = pace_of(4, draws(0.8, 0.8, 0.8)), pace_of(3, draws(0.8, 0.8, 0.8))
    assert untold.log_mean == pytest.approx(math.log(0.8))
    assert untold.log_spread > told.log_spread


def test_spread_recovers_hosts_that_were_drawn() -> None:
    """Nine in ten hosts lie within 1.645 spreads of what the other hosts say."""
    random = np.random.default_rng(0)
    hosts = draws(*np.exp(random.normal(-0.3, HOST_SPREAD, 400)).tolist())
    found = pace_of(4, hosts[:20])
    inside = [abs(draw.log_pace - found.log_mean) < 1.645 * found.log_spread for draw in hosts[20:]]
    assert 0.85 < np.mean(inside) < 0.95


def test_without_hosts_it_is_the_one_that_was_measured_and_wide() -> None:
    found = pace_of(5, ())
    assert found.host == HOST
    assert found.log_spread > HOST_SPREAD


def test_machines_that_decode_eagerly_are_one_host_each(tmp_path: Path) -> None:
    (tmp_path / "quantised_eager").mkdir()
    (tmp_path / "quantised_eager" / "ecocompute.csv").write_text(
        "gpu,quant,batch,layers,ms_per_step,usable\n"
        "RTX-5090,fp16,1,28,14.0,yes\nRTX-5090,fp16,1,28,13.0,yes\nRTX-5090,nf4,1,28,30.0,yes\n"
        "A800-80GB,fp16,1,32,27.5,yes\nA800-SXM4-80GB,fp16,1,32,27.0,yes\nA800-80GB,fp16,8,32,99.0,yes\n"
        "T4,fp16,1,32,500.0,no\n"
    )
    found = {draw.name: draw for draw in decoding_draws(tmp_path)}
    assert {name: draw.generation for name, draw in found.items()} == {"A800": 4, "RTX 5090": 5}
    assert found["RTX 5090"].log_pace < found["A800"].log_pace < 0


def test_cards_of_newer_buses_belong_to_newer_hosts() -> None:
    named = {sheet.key: generation_of(sheet) for sheet in datasheets()}
    assert (named["V100-SXM2"], named["A100-SXM4-80GB"], named["RTX-4090"], named["H200-SXM"]) == (3, 4, 4, 5)
