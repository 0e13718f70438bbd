"""joulecast as a user installs it, without nodes: the chart by real Helm, the processes under the chart's own accounts.

    with Installation.start(control_plane, directory, insecure_registries=[registry.host]) as installation:
        installation.controller.kill()
        installation.controller.start()

The processes run on this machine as `python -m joulecast_operator ROLE`, with the tokens of the ServiceAccounts that
the chart made, so exactly with its rights. This is the one way in which tests, demo and benchmarks install joulecast.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness import http
from tests.harness.certificates import CertificateAuthority
from tests.harness.control_plane import COMMAND_SECONDS, ControlPlane
from tests.harness.environment import ROOT
from tests.harness.ports import free_port
from tests.harness.processes import Process

NAMESPACE = "joulecast-system"
RELEASE = "joulecast"
CHART = ROOT / "charts" / "joulecast"
RUN = "import runpy; runpy.run_module('joulecast_operator', run_name='__main__')"


class Installation:
    """`controller` and `webhook` are `Process`es that serve /metrics, /healthz, /readyz at their `…_url`, in plain HTTP
    unless `secure_metrics`: /metrics is then at `secure_address`, as the chart has it."""

    def __init__(
        self,
        plane: ControlPlane,
        directory: Path,
        *,
        insecure_registries: Sequence[str] = (),
        values: Sequence[str] = (),
        options: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        detached: bool = False,
        secure_metrics: bool = False,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        helm: str = "helm",
    ) -> None:
        """Prepare; `values` go to `helm`, Helm 4 or Helm 3, as `--set`; `options` and `environment` to both processes,
        after the chart's."""
        self._release, self._namespace = release, namespace
        self.fullname = release if RELEASE in release else f"{release}-{RELEASE}"
        self.plane = plane
        self.helm = helm
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._values = list(values)
        self._options = [
            f"--insecure-registries={','.join(insecure_registries)}",
            *options,
        ]
        self._environment = environment or {}
        self._detached = detached
        self.authority = CertificateAuthority(self.directory, "webhook-ca")
        self.certificate = self.authority.server("webhook")
        self._webhook_port = free_port()
        self.webhook_address = f"https://127.0.0.1:{self._webhook_port}/admit"
        self._secure_metrics = secure_metrics
        self._metrics_ports = {role: free_port() for role in ("controller", "webhook")}
        self._health_ports = {role: free_port() for role in self._metrics_ports}

    @classmethod
    def start(cls, plane: ControlPlane, directory: Path, **options: Any) -> Self:
        """Install the chart and start both processes; takes what the constructor takes."""
        installation = cls(plane, directory, **options)
        installation.install()
        try:
            installation.start_processes()
        except BaseException:
            installation.stop()
            raise
        return installation

    @property
    def controller_url(self) -> str:
        return self._plain_url("controller")

    @property
    def webhook_url(self) -> str:
        return self._plain_url("webhook")

    def secure_address(self, role: str) -> str:
        """127.0.0.1:PORT of /metrics over TLS."""
        return f"127.0.0.1:{self._metrics_ports[role]}"

    def install(self, *options: str) -> None:
        """`helm upgrade --install`, the webhook by URL; `options` come last."""
        bundle = base64.b64encode(self.authority.bundle.read_bytes()).decode()
        self._helm("--set", f"webhook.url={self.webhook_address}", "--set", f"webhook.caBundle={bundle}", *options)

    def start_processes(self) -> None:
        self.controller = self._process("controller")
        self.webhook = self.webhook_process()
        for process in (self.webhook, self.controller):
            process.start(wait=False)
        for process in (self.webhook, self.controller):
            process.wait_ready()

    def start_controller(self) -> None:
        """Start the controller alone."""
        self.controller = self._process("controller")
        self.controller.start()

    def webhook_process(self, *options: str, prelude: str = "") -> Process:
        """The webhook with further `options`, not yet started; `prelude` is Python that runs in its process first, to
        break it on purpose."""
        serving = [
            "--webhook-host=127.0.0.1",
            f"--webhook-port={self._webhook_port}",
            f"--webhook-certfile={self.certificate.certificate}",
            f"--webhook-keyfile={self.certificate.key}",
        ]
        return self._process("webhook", *serving, *options, prelude=prelude)

    def account(self, part: str) -> Path:
        """A kubeconfig of the chart's ServiceAccount of `part`: controller, webhook or uninstall."""
        return self.plane.service_account_kubeconfig(f"{self.fullname}-{part}", namespace=self._namespace)

    def null_outputs(self) -> None:
        """What the chart's pre-delete Job runs, as its own account."""
        job = self._command("null-outputs", "uninstall", "null-outputs")
        subprocess.run(job.argv, env=job.environment, check=True, capture_output=True, timeout=COMMAND_SECONDS)

    def uninstall(self) -> None:
        release, namespace = self._release, self._namespace
        self.plane.helm("uninstall", release, "-n", namespace, "--no-hooks", "--ignore-not-found", program=self.helm)

    def stop(self) -> None:
        """Stop both processes; the release stays."""
        for process in (getattr(self, "controller", None), getattr(self, "webhook", None)):
            if process is not None:
                process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _helm(self, *arguments: str) -> None:
        chosen = [part for value in self._values for part in ("--set", value)]
        self.plane.helm(
            "upgrade",
            "--install",
            self._release,
            CHART,
            "-n",
            self._namespace,
            "--create-namespace",
            "--no-hooks",
            *arguments,
            *chosen,
            program=self.helm,
        )

    def _plain_url(self, role: str) -> str:
        ports = self._health_ports if self._secure_metrics else self._metrics_ports
        return f"http://127.0.0.1:{ports[role]}"

    def _process(self, role: str, *serving: str, prelude: str = "") -> Process:
        options = [
            f"--metrics-port={self._metrics_ports[role]}",
            f"--health-port={self._health_ports[role]}",
            f"--metrics-insecure={not self._secure_metrics}",
            f"--cache-dir={self.directory / 'cache'}",
        ]
        return self._command(
            role,
            role,
            role,
            *options,
            *serving,
            *self._options,
            prelude=prelude,
            is_ready=lambda: http.answers(f"{self._plain_url(role)}/readyz"),
        )

    def _command(self, name: str, account: str, *arguments: str, prelude: str = "", is_ready: Any = None) -> Process:
        program = ["-c", f"import sys\n{prelude}\n{RUN}"] if prelude else ["-m", "joulecast_operator"]
        return Process(
            name,
            [sys.executable, *program, *arguments],
            directory=self.directory,
            environment={
                **os.environ,
                "KUBECONFIG": str(self.account(account)),
                "NO_PROXY": "127.0.0.1,localhost",
                "JOULECAST_NAMESPACE": self._namespace,
                "JOULECAST_DEPLOYMENT": f"{self.fullname}-controller",
                **self._environment,
            },
            is_ready=is_ready,
            detached=self._detached,
        )
