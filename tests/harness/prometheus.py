"""A real Prometheus on loopback, told at any time what to scrape."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import yaml

from tests.harness import binaries, http
from tests.harness.ports import free_port
from tests.harness.processes import POLL_SECONDS, Process
from tests.harness.steps import Report

SCRAPE_SECONDS = 120.0  # the first scrape of a new target comes within two


class Prometheus:
    """A server that scrapes what `scrape` names, every second, and answers PromQL."""

    def __init__(
        self, directory: Path, *, token: str = "", detached: bool = False, report: Report | None = None
    ) -> None:
        """Prepare it in `directory`; with a bearer `token` it scrapes over TLS, and looks at no certificate."""
        self._token = token
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.host}"
        self._targets = self.directory / "targets.json"
        self._targets.write_text("[]")
        configuration = self.directory / "prometheus.yaml"
        configuration.write_text(yaml.safe_dump(self._configuration()))
        argv: list[str | Path] = [
            binaries.program("prometheus", report),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address={self.host}",
        ]
        is_ready = lambda: http.answers(f"{self.url}/-/ready")  # noqa: E731
        self.process = Process("prometheus", argv, directory=self.directory, is_ready=is_ready, detached=detached)

    @classmethod
    def start(cls, directory: Path, **options: Any) -> Self:
        """Prepare and start one; takes what the constructor takes. Raises `ProcessError` or `StepError`."""
        prometheus = cls(directory, **options)
        prometheus.process.start()
        return prometheus

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def scrape(self, *targets: str, job: str = "joulecast") -> None:
        """Scrape /metrics of `targets` ("127.0.0.1:PORT"), in place of those before; returns once each was scraped.

        What it scraped can be queried a moment later, and not while a scrape takes longer than a second.
        Raises `TimeoutError` that names the targets that did not answer, with the error of each.
        """
        groups = [{"targets": list(targets), "labels": {"job": job}}]
        partial = self._targets.with_suffix(".partial")
        partial.write_text(json.dumps(groups))
        partial.replace(self._targets)
        deadline = time.monotonic() + SCRAPE_SECONDS
        while missing := self._not_up(targets):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Prometheus could not scrape {missing}")
            time.sleep(POLL_SECONDS)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector that a PromQL expression gives now. Raises `OSError` if Prometheus refuses it."""
        document = http.get_json(f"{self.url}/api/v1/query?{urlencode({'query': expression})}")
        return list(document["data"]["result"])

    def _not_up(self, targets: tuple[str, ...]) -> dict[str, str]:
        active = http.get_json(f"{self.url}/api/v1/targets")["data"]["activeTargets"]
        states = {each["labels"]["instance"]: each for each in active}
        return {
            target: states.get(target, {}).get("lastError", "not discovered yet")
            for target in targets
            if states.get(target, {}).get("health") != "up"
        }

    def _configuration(self) -> dict[str, Any]:
        discovery = [{"files": [str(self._targets)], "refresh_interval": "1s"}]
        job: dict[str, Any] = {"job_name": "joulecast", "file_sd_configs": discovery}
        if self._token:
            credentials = self.directory / "token"
            credentials.write_text(self._token)
            job["authorization"] = {"credentials_file": str(credentials)}
            job |= {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}
        return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
