"""Measure in a calibration's pod: `python -m joulecast_operator.calibrations.pod … -- joulecast calibrate …`.

It runs the command and writes what the command reports into one ConfigMap. The pod's account may do nothing else. The
module needs only Python's standard library and joulecast, because the image has torch but no Kubernetes client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SUMMARY_BYTES: Final = 64 * 2**10
PROFILE_BYTES: Final = 2**18  # the bound of spec.coefficients of an AcceleratorEnergyProfile

_PERIOD_SECONDS: Final = 5.0
_REQUEST_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 600.0  # to send the result; an API server that is being upgraded is back by then
_LONGEST_PAUSE_SECONDS: Final = 30.0
_AWAY: Final = (OSError, http.client.HTTPException)
_FAILED: Final = {"kind": "calibration-summary", "schema_version": 1, "phase": "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The ConfigMap that takes the result.

    - ``server``: URL of the API server.
    - ``namespace``: namespace of the ConfigMap.
    - ``config_map``: its name.
    - ``credentials``: folder with the files ``token``, which the kubelet renews, and ``ca.crt``.
    """

    server: str
    namespace: str
    config_map: str
    credentials: Path

    def patch(self, data: dict[str, str]) -> None:
        """Merge ``data`` into the ConfigMap. Raises OSError or HTTPException."""
        token = (self.credentials / "token").read_text().strip()
        context = ssl.create_default_context(cafile=str(self.credentials / "ca.crt"))
        request = urllib.request.Request(  # noqa: S310  # `main` makes an https URL
            f"{self.server}/api/v1/namespaces/{self.namespace}/configmaps/{self.config_map}",
            data=json.dumps({"data": data}).encode(),
            method="PATCH",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
        )
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with direct.open(request, timeout=_REQUEST_SECONDS):
            pass


class ResultReporter:
    """Sends what the command writes into ``folder`` to the ConfigMap, with the number ``run``."""

    def __init__(self, destination: Destination, folder: Path, run: str) -> None:
        self._destination = destination
        self._summary = folder / "summary.json"
        self._profile = folder / "profile.json"
        self._run = run
        self._told = ""

    def progress(self) -> None:
        """Send the summary if it changed since the last call; after an error the next call sends it again."""
        text = _read(self._summary, SUMMARY_BYTES)
        if text and text != self._told:
            try:
                self._destination.patch({"run": self._run, "summary.json": text})
                self._told = text
            except _AWAY as error:
                print(f"cannot report the progress now, it is tried again: {error}", file=sys.stderr)

    def result(self, failure: str | None) -> bool:
        """Send the last summary, and the profile after a success, until it is accepted; tells whether it was in time.

        ``failure``: why the command failed; None if it succeeded.
        """
        text = _read(self._summary, SUMMARY_BYTES)
        if failure is not None and not _says_failed(text):
            text = json.dumps(_FAILED | {"message": failure})
        data = {"run": self._run, "summary.json": text}
        if failure is None:
            data["profile.json"] = _read(self._profile, PROFILE_BYTES)
        pause, deadline = 1.0, time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self._destination.patch(data)
            except _AWAY as error:
                print(f"cannot report the result now, it is tried again: {error}", file=sys.stderr)
            else:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def run(command: Sequence[str], reporter: ResultReporter) -> int:
    """Run the command and report its progress; return its exit code, or 1 if its result could not be reported."""
    stopped: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _: Any) -> None:
        stopped.append(number)
        for child in children:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    child = subprocess.Popen(command)  # from the Job's arguments
    children.append(child)
    if stopped:  # the signal came before there was a child to pass it on to
        child.send_signal(stopped[0])
    while child.poll() is None:
        reporter.progress()
        _wait(child)
    if stopped:  # the next pod goes on with the run, so there is no result to report
        reporter.progress()
        return 128 + stopped[0]
    failure = (
        None if child.returncode == 0 else f"the command failed with exit code {child.returncode}: see the pod's log"
    )
    reported = reporter.result(failure)
    return child.returncode if child.returncode else int(not reported)


def against(given: Path | None, product: str, runtime: str, folder: Path) -> list[str]:
    """Return the option `--against` with the profile to compare with: the cluster's, else the shipped one.

    Return [] if there is neither.
    """
    if given is not None and given.exists():
        return ["--against", str(given)]
    from joulecast.accelerators import catalogue
    from joulecast.errors import JoulecastError

    try:
        shipped = catalogue.find(product, runtime)
    except JoulecastError:
        return []
    path = folder / "shipped.json"
    path.write_text(shipped.to_json())
    return ["--against", str(path)]


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    named = f"[{host}]" if ":" in host else host
    destination = Destination(
        server=f"https://{named}:{port}",
        namespace=given.namespace,
        config_map=given.config_map,
        credentials=given.credentials,
    )
    outputs = ["--out", str(given.folder / "profile.json"), "--summary", str(given.folder / "summary.json")]
    command = [*given.command, *against(given.against, given.product, given.runtime, given.folder), *outputs]
    return run(command, ResultReporter(destination, given.folder, given.run))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m joulecast_operator.calibrations.pod", description=__doc__)
    parser.add_argument("--config-map", required=True, help="name of the ConfigMap that takes the result")
    parser.add_argument("--namespace", required=True, help="namespace of the ConfigMap")
    parser.add_argument("--run", required=True, help="number of the run, written with the result")
    parser.add_argument("--credentials", type=Path, required=True, help="folder with token and ca.crt")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the run; a later pod goes on there")
    parser.add_argument("--product", required=True, help="product name of the accelerator")
    parser.add_argument("--runtime", required=True, help="runtime that executes the networks")
    parser.add_argument("--against", type=Path, help="file of the profile in use; the shipped profile when left out")
    parser.add_argument("command", nargs="+", help="command to run")
    return parser


def _wait(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_PERIOD_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _read(path: Path, most_bytes: int) -> str:
    """Return a file's text; "" if there is no file or it is too large."""
    try:
        if path.stat().st_size > most_bytes:
            print(f"{path.name} is not reported, because it has more than {most_bytes} bytes", file=sys.stderr)
            return ""
        return path.read_text()
    except FileNotFoundError:
        return ""


def _says_failed(text: str) -> bool:
    try:
        return bool(json.loads(text)["phase"] == "failed")
    except (ValueError, KeyError, TypeError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
