"""Test that fetchers, and no other workers, get the controller's proxy settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from joulecast.sources.registries.proxies import VARIABLES
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.estimates.outcomes import Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.settings import Settings
from tests.harness.proxy import tunnelling
from tests.images import build
from tests.small_models import classifier
from tests.unit.sources.serving import serving

HOST = "203.0.113.7:5000"  # RFC 5737: nobody's, so that it is had through a proxy or not at all


def forecast(folder: Path) -> Outcome:
    async def run() -> Outcome:
        forecasts = Forecaster(Settings(cache_dir=folder / "cache", insecure_registries=(HOST,)))
        try:
            request = ForecastRequest(image=f"{HOST}/team/model:1", batch_sizes=(1,), accelerators=("NVIDIA-H200",))
            return await forecasts.forecast(request)
        finally:
            await forecasts.close()

    return asyncio.run(run())


def proxied(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_model_is_forecast_through_the_proxy(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = classifier(tmp_path / "m.onnx").read_bytes()
    with serving() as served, tunnelling({HOST: served.host}) as proxy:
        served.add(build([{"models/m.onnx": model}]))
        proxied(monkeypatch, {variable: proxy.url})
        outcome = forecast(tmp_path)
    assert getattr(outcome, "results", None), outcome
    assert set(proxy.seen) <= {f"GET {HOST}", f"HEAD {HOST}"}


def test_a_proxy_that_cannot_be_used_is_the_estimates_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxied(monkeypatch, {"HTTP_PROXY": "socks5://me:s3cret@proxy:1080"})
    outcome = forecast(tmp_path)
    assert getattr(outcome, "reason", None) == "InvalidProxy"
    assert "s3cret" not in str(outcome)


def test_profilers_hear_of_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxied(monkeypatch, {"HTTPS_PROXY": "http://me:s3cret@proxy:3128", "NO_PROXY": "10.0.0.0/8"})
    forecasts = Forecaster(Settings(cache_dir=tmp_path))
    programs = {pool._program.name: pool._program.environment for pool in (forecasts._fetchers, forecasts._profilers)}
    heard = {name: value for name, value in programs["fetcher"].items() if name in VARIABLES}
    assert heard == {"HTTPS_PROXY": "http://me:s3cret@proxy:3128", "NO_PROXY": "10.0.0.0/8"}
    assert not set(VARIABLES) & set(programs["profiler"])


def test_a_fetcher_signs_with_one_thread(tmp_path: Path) -> None:
    fetchers = Forecaster(Settings(cache_dir=tmp_path))._fetchers
    assert fetchers._program.environment["TOKIO_WORKER_THREADS"] == "1", "its memory does not grow with processors"
