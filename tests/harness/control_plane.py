"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and, when asked, controller-manager and scheduler.

    with ControlPlane.start(directory) as control_plane:
        control_plane.kubectl("apply", "-f", "-", stdin=manifest)
        control_plane.helm("upgrade", "--install", ...)
        kubeconfig = control_plane.service_account_kubeconfig("joulecast-controller", namespace="joulecast")

Ports are free ones, so any number of control planes stand side by side, each in a directory of its own.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.harness import binaries, http
from tests.harness.certificates import CertificateAuthority, KeyPair, write_signing_key
from tests.harness.kubeconfig import write_kubeconfig
from tests.harness.ports import free_port
from tests.harness.processes import POLL_SECONDS, Process, stop_directory
from tests.harness.steps import Report

LOOPBACK = "127.0.0.1"
SERVICE_NETWORK = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"  # of the Service `kubernetes` in the namespace `default`
TOKEN_DURATION = "24h"  # a kept demo outlives the API server's default of one hour
COMMAND_SECONDS = 900.0  # of one kubectl or helm, which may wait for pods whose images are pulled
NAMESPACE_SECONDS = 120.0
PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "helm")
# what each identity asked for and was answered, without bodies: how a test finds a request that was forbidden
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


REPLACE_TRIES = 20
"""How often `replace` is tried where others write the object at the same time."""


class CommandError(RuntimeError):
    """A kubectl or helm that failed; the message holds the command and what it wrote."""


class ControlPlane:
    """Components as `Process` attributes (`etcd`, `apiserver`, `controller_manager`, `scheduler`), and its clients."""

    def __init__(
        self, directory: Path, *, detached: bool = False, address: str = LOOPBACK, pod_network: str = ""
    ) -> None:
        """Prepare certificates and kubeconfigs in `directory`; `detached` components outlive this process.

        For a cluster with a node, pods reach the API server at `address`, and have theirs from `pod_network`.
        """
        self.directory = directory.absolute()
        self.address = address
        self._pod_network = pod_network
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._detached = detached
        self._pki = self.directory / "pki"
        self.authority = CertificateAuthority(self._pki, "kubernetes-ca")
        self._front_proxy = CertificateAuthority(self._pki, "front-proxy-ca")
        self._signing_key = write_signing_key(self._pki, "service-accounts")
        admin = self.authority.client("admin", user="admin", group="system:masters")
        self.admin_tls = http.client_context(self.authority.bundle, admin.certificate, admin.key)
        self.kubeconfig = self._kubeconfig("admin", admin)
        self.etcd = self._etcd()
        self.apiserver = self._apiserver()
        self.controller_manager = self._controller("kube-controller-manager", self._controller_manager_flags)
        self.scheduler = self._controller("kube-scheduler", list)

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        controller_manager: bool = True,
        scheduler: bool = False,
        detached: bool = False,
        report: Report | None = None,
    ) -> Self:
        """Start a new control plane in `directory`, whose earlier processes are stopped; programs are built if need be.

        Raises `StepError` when a program cannot be built, `ProcessError` when one does not start.
        """
        wanted = ["kube-controller-manager"] * controller_manager + ["kube-scheduler"] * scheduler
        binaries.ensure([*PROGRAMS, *wanted], report)
        stop_directory(directory)
        plane = cls(directory, detached=detached)
        try:
            plane.run([plane.controller_manager] * controller_manager + [plane.scheduler] * scheduler)
        except BaseException:
            plane.stop()
            raise
        return plane

    def run(self, controllers: Sequence[Process]) -> None:
        """Start etcd, the API server and `controllers`. Raises `ProcessError`."""
        self.etcd.start()
        self.apiserver.start()
        for controller in controllers:
            controller.start(wait=False)
        for controller in controllers:
            controller.wait_ready()
        if self.controller_manager in controllers:
            self._wait_service_account("default", "default")

    def stop(self) -> None:
        """Stop what runs, last started first; the directory with logs stays."""
        for process in (self.scheduler, self.controller_manager, self.apiserver, self.etcd):
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """The environment of a client of this control plane; nothing is read from or written to the user's home."""
        home = self.directory / "clients"
        home.mkdir(exist_ok=True)
        return os.environ | {
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "KUBECACHEDIR": str(home / "kube"),
            "KUBERC": "off",
            "HELM_CACHE_HOME": str(home / "helm" / "cache"),
            "HELM_CONFIG_HOME": str(home / "helm" / "config"),
            "HELM_DATA_HOME": str(home / "helm" / "data"),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def kubectl(
        self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl, as the administrator unless another kubeconfig is given. With `check`, raises `CommandError`."""
        return self._run("kubectl", arguments, stdin, kubeconfig, check)

    def helm(
        self,
        *arguments: str | Path,
        stdin: str | None = None,
        kubeconfig: Path | None = None,
        check: bool = True,
        program: str = "helm",
    ) -> "subprocess.CompletedProcess[str]":
        """Run Helm 4, or Helm 3 as `program` "helm3", as `kubectl` does."""
        return self._run(program, arguments, stdin, kubeconfig, check)

    def apply(self, *documents: dict[str, Any], kubeconfig: Path | None = None) -> None:
        """`kubectl apply` the objects. Raises `CommandError`."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents), kubeconfig=kubeconfig)

    def replace(self, document: dict[str, Any]) -> str:
        """`kubectl replace` the object, and return what is printed. Raises `CommandError`.

        kubectl reads the object's version first. If a controller writes in between, the command is tried again.
        """
        body, tries = yaml.safe_dump(document), 0
        while True:
            try:
                return self.kubectl("replace", "-f", "-", stdin=body).stdout
            except CommandError as error:
                tries += 1
                if tries == REPLACE_TRIES or "(Conflict)" not in str(error):
                    raise

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
        """One object as the API server has it, None if there is none."""
        found = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found").stdout
        return json.loads(found) if found.strip() else None

    def create_namespace(self, name: str) -> str:
        """Create a namespace, ready for pods: its default ServiceAccount is there if a controller manager runs."""
        self.kubectl("create", "namespace", name)
        if self.controller_manager.is_running:
            self._wait_service_account("default", name)
        return name

    def service_account_kubeconfig(self, name: str, *, namespace: str) -> Path:
        """A kubeconfig that is an existing ServiceAccount for 24 hours. Raises `CommandError` if there is none."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration", TOKEN_DURATION).stdout.strip()
        return self._kubeconfig(f"{namespace}.{name}", token, namespace)

    def client_kubeconfig(self, name: str, client: KeyPair) -> Path:
        """A kubeconfig with a client certificate of `authority`."""
        return self._kubeconfig(name, client)

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """Every request answered so far, as audit.k8s.io/v1 events at level Metadata."""
        with self._audit_log.open() as lines:
            for line in lines:
                if line.endswith("\n"):  # else it is being written
                    yield json.loads(line)

    @property
    def _audit_log(self) -> Path:
        return self.directory / "audit.jsonl"

    def _run(
        self, program: str, arguments: Sequence[str | Path], stdin: str | None, kubeconfig: Path | None, check: bool
    ) -> "subprocess.CompletedProcess[str]":
        command = [str(binaries.program(program)), *map(str, arguments)]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=self.environment(kubeconfig),
            check=False,
        )
        if check and done.returncode != 0:
            line = " ".join([program, *command[1:]])
            raise CommandError(f"`{line}` failed (exit code {done.returncode}):\n{done.stderr}{done.stdout}")
        return done

    def _wait_service_account(self, name: str, namespace: str) -> None:
        deadline = time.monotonic() + NAMESPACE_SECONDS
        while self.get("serviceaccount", name, namespace) is None:
            if time.monotonic() > deadline:
                raise CommandError(f"kube-controller-manager made no ServiceAccount {namespace}/{name}")
            time.sleep(POLL_SECONDS)

    def _kubeconfig(self, name: str, user: Any, namespace: str = "default") -> Path:
        path = self.directory / f"{name}.kubeconfig"
        return write_kubeconfig(path, server=self.url, authority=self.authority.bundle, user=user, namespace=namespace)

    def _etcd(self) -> Process:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.etcd_url = client
        flags = {
            "name": "joulecast",
            "data-dir": self.directory / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"joulecast={peer}",
            "log-level": "warn",
        }
        argv: list[str | Path] = [binaries.program("etcd"), "--unsafe-no-fsync", *_flags(flags)]
        return self._process("etcd", argv, f"{client}/health")

    def _apiserver(self) -> Process:
        hosts = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", LOOPBACK, self.address)
        server = self.authority.server("kube-apiserver", (*hosts, FIRST_SERVICE_ADDRESS))
        proxy = self._front_proxy.client("front-proxy-client", user="front-proxy-client")
        policy = self.directory / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        admission = self.directory / "admission.yaml"
        admission.write_text(yaml.safe_dump(self._admission_configuration()))
        flags = {
            "etcd-servers": self.etcd_url,
            **self._addresses(),
            "secure-port": self.port,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "client-ca-file": self.authority.bundle,
            "proxy-client-cert-file": proxy.certificate,
            "proxy-client-key-file": proxy.key,
            "requestheader-client-ca-file": self._front_proxy.bundle,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._signing_key.certificate,
            "service-account-signing-key-file": self._signing_key.key,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "admission-control-config-file": admission,
            "service-cluster-ip-range": SERVICE_NETWORK,
            "audit-policy-file": policy,
            "audit-log-path": self._audit_log,
            "allow-privileged": "true",
            "profiling": "false",
        }
        argv: list[str | Path] = [binaries.program("kube-apiserver"), *_flags(flags)]
        return self._process("kube-apiserver", argv, f"{self.url}/readyz")

    def _addresses(self) -> dict[str, Any]:
        if self.address == LOOPBACK:  # which cannot be advertised from 1.37 on
            reconciler = {"endpoint-reconciler-type": "none"}
            return {"bind-address": LOOPBACK, "advertise-address": LOOPBACK, **reconciler}
        kubelets = self.authority.client("apiserver-kubelet-client", user="apiserver", group="system:masters")
        return {
            "bind-address": "0.0.0.0",
            "advertise-address": self.address,
            "kubelet-certificate-authority": self.authority.bundle,
            "kubelet-client-certificate": kubelets.certificate,
            "kubelet-client-key": kubelets.key,
            "kubelet-preferred-address-types": "InternalIP",
        }

    def _admission_configuration(self) -> dict[str, Any]:
        """Has the API server show a client certificate, as the user `kube-apiserver`, to webhooks that ask for one."""
        self.admission_authority = CertificateAuthority(self._pki, "admission-ca")
        client = self.admission_authority.client("admission", user="kube-apiserver")
        user = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
        kubeconfig = self.directory / "admission.kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "users": [{"name": "*", "user": user}]})
        )
        version = "apiserver.config.k8s.io/v1"
        webhooks = {"apiVersion": version, "kind": "WebhookAdmissionConfiguration", "kubeConfigFile": str(kubeconfig)}
        plugins = [{"name": "MutatingAdmissionWebhook", "configuration": webhooks}]
        return {"apiVersion": version, "kind": "AdmissionConfiguration", "plugins": plugins}

    def _controller_manager_flags(self) -> list[str]:
        flags = {
            "service-account-private-key-file": self._signing_key.key,
            "root-ca-file": self.authority.bundle,
            "cluster-signing-cert-file": self.authority.files.certificate,
            "cluster-signing-key-file": self.authority.files.key,
            "kube-api-qps": 200,  # its default of 20 makes a test of a thousand Deployments wait for minutes
            "kube-api-burst": 400,
            "node-monitor-grace-period": "1h",  # nodes that a test makes have no kubelet that reports them
        }
        if self._pod_network:
            flags |= {"allocate-node-cidrs": "true", "cluster-cidr": self._pod_network}
            flags |= {"service-cluster-ip-range": SERVICE_NETWORK}
        return ["--use-service-account-credentials", *_flags(flags)]

    def _controller(self, name: str, own_flags: Any) -> Process:
        kubeconfig = self._kubeconfig(name, self.authority.client(name, user=f"system:{name}"))
        port = free_port()
        flags = {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": port,
            "leader-elect": "false",
            "profiling": "false",
            **self._serving(name),
        }
        program = binaries.place(name)  # not built where it is not wanted
        return self._process(name, [program, *_flags(flags), *own_flags()], f"https://127.0.0.1:{port}/healthz")

    def _serving(self, name: str) -> dict[str, Path]:
        server = self.authority.server(f"{name}-serving")
        return {"tls-cert-file": server.certificate, "tls-private-key-file": server.key}

    def _process(self, name: str, argv: list[str | Path], url: str) -> Process:
        tls = self.admin_tls if url.startswith("https:") else None
        return Process(
            name,
            argv,
            directory=self.directory,
            environment=self.environment(),
            is_ready=lambda: http.answers(url, tls=tls),
            detached=self._detached,
        )


def _flags(values: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
