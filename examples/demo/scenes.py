"""The demo's story in a cluster, scene by scene, as a user would type it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from examples.demo import models
from examples.demo.stage import OURS, Stage
from examples.demo.terminal import command, console, heading, say
from joulecast_operator.api.annotations import OUTPUT_KEYS
from tests.harness import binaries
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.harness.registry import SmallRegistry

PROGRAMS = ("small-registry", "etcd", "kube-apiserver", "kubectl", "helm")  # no pods run, so no controller manager
WAIT_SECONDS = 300.0  # a busy machine; on an idle one each takes a second or two
DRY_RUN_BATCH_SIZE = "1"
DEPLOYMENTS = ("ocr", "voice-activity", "chat")
SERIES = ("joules_per_batch", "joules_per_request", "joules_per_output_token", "inter_token_latency_seconds")


class Cluster(Stage):
    """A control plane, a registry with the models, and joulecast installed."""

    def __init__(self, folder: Path, layouts: dict[str, Path], *, keep: bool) -> None:
        with ExitStack() as stack:
            plane = ControlPlane.start(folder / "control-plane", controller_manager=False, detached=keep)
            self.plane = stack.enter_context(plane)
            registry = stack.enter_context(SmallRegistry.start(folder / "registry", detached=keep))
            super().__init__(folder, registry)
            self.push(layouts | models.chat(folder / "layouts"))
            self.installation = stack.enter_context(
                Installation.start(self.plane, folder / "joulecast", insecure_registries=[registry.host], detached=keep)
            )
            self._stack = stack.pop_all()

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.plane.kubectl(*arguments)

    def stop(self) -> None:
        self._stack.close()


def play(folder: Path, layouts: dict[str, Path], *, keep: bool) -> None:
    """All scenes; leaves nothing behind unless ``keep``."""
    heading("A real API server and registry on loopback, joulecast installed with Helm")
    cluster = Cluster(folder, layouts, keep=keep)
    try:
        for scene in (estimate, known, unknown, dry_run, served, configuration, metrics, layers):
            scene(cluster)
    except BaseException:
        cluster.stop()
        raise
    if keep:
        farewell_kept(cluster)
    else:
        clean_up(cluster)
        farewell()


def estimate(cluster: Stage) -> None:
    heading("Ask for a forecast")
    cluster.apply("estimate.yaml")
    started = time.monotonic()
    cluster.show("wait", "--for=condition=Ready", "iee/ocr-detector", f"--timeout={WAIT_SECONDS:.0f}s")
    say(f"Ready {time.monotonic() - started:.1f} s after it was applied, read from the registry by ranges.")
    cluster.show("get", "iee")


def known(cluster: Cluster) -> None:
    heading("Deploy that image: the API server answers with the forecast")
    cluster.apply("deployment.yaml")
    cluster.show_annotations("ocr")


def unknown(cluster: Cluster) -> None:
    heading("Deploy a model that nobody asked about: Pending, then annotated")
    cluster.apply("node.yaml")
    cluster.apply("deployment-unknown.yaml")
    say(f"state at once: {cluster.annotations('voice-activity').get(OURS + 'state', 'none')}")
    wait_until(
        lambda: cluster.annotations("voice-activity").get(OURS + "state") == "Ready", "the voice-activity forecast"
    )
    cluster.show_annotations("voice-activity")
    cluster.show("get", "iee")


def dry_run(cluster: Cluster) -> None:
    heading("Ask without changing anything: the server's dry run, at another batch size")
    manifest = cluster.manifest("deployment.yaml")
    text = manifest.read_text().replace(
        "  name: ocr\n", f'  name: ocr\n  annotations: {{{OURS}batch-size: "{DRY_RUN_BATCH_SIZE}"}}\n', 1
    )
    manifest.write_text(text)
    line = f'apply --dry-run=server -f deployment.yaml   # with {OURS}batch-size: "{DRY_RUN_BATCH_SIZE}"'
    cluster.show("apply", "--dry-run=server", "-f", str(manifest), text=line)


def served(cluster: Cluster) -> None:
    heading("Deploy a language model that vLLM serves out of an image volume")
    cluster.apply("deployment-vllm.yaml")
    cluster.show("wait", "--for=condition=Ready", "iee/chat", f"--timeout={WAIT_SECONDS:.0f}s")
    understood = "{.status.understood.engine}: {.status.understood.used} of {.status.understood.model}"
    cluster.show("get", "iee", "chat", "-o", f"jsonpath={understood}")
    wait_until(lambda: cluster.annotations("chat").get(OURS + "state") == "Ready", "the forecast of chat")
    cluster.show_annotations("chat")
    cluster.apply("deployment-vllm.yaml", "--dry-run=server")


def configuration(cluster: Stage) -> None:
    heading("Seventy billion parameters from a published config.json, on four cards")
    cluster.apply("language-model-configuration.yaml")
    cluster.show("wait", "--for=condition=Ready", "iee/llama-3-70b", f"--timeout={WAIT_SECONDS:.0f}s")
    cluster.show("get", "iee")


def metrics(cluster: Cluster) -> None:
    heading("What Prometheus scrapes")
    url = cluster.installation.controller_url + "/metrics"
    command(f"curl {url} | grep joulecast_predicted")
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  our own process on loopback
        lines = response.read().decode().splitlines()
    wanted = tuple(f"joulecast_predicted_{name}{{" for name in SERIES)
    shown = [line for line in lines if line.startswith(wanted)]
    console.print("\n".join(shown), markup=False, soft_wrap=True)


def layers(cluster: Stage) -> None:
    heading("The ten rows that cost most")
    command(f"{cluster.typed} get iee ocr-detector -o jsonpath='{{.status.topLayers}}'")
    found = cluster.get("iee", "ocr-detector")
    for row in found["status"]["topLayers"][:10]:
        console.print(f"{row['joules']:10.3g} J  {row['share']:6.1%}  {row['opType']:<16} {row['name']}", markup=False)


def clean_up(cluster: Cluster) -> None:
    heading("Clean up: outputs go with their estimate, and all of them before the release does")
    cluster.show("delete", "iee", "ocr-detector")
    wait_until(lambda: OURS + "joules-per-batch" not in cluster.annotations("ocr"), "the removal of ocr's annotations")
    say("the forecast is off deployment/ocr")
    cluster.installation.null_outputs()  # as `helm uninstall` does: by a Job, while the controller still runs
    cluster.installation.stop()
    left = {name: sorted(set(cluster.annotations(name)) & OUTPUT_KEYS) for name in DEPLOYMENTS}
    if any(left.values()):
        raise RuntimeError(f"outputs are left on the Deployments: {json.dumps(left)}")
    say("no output of joulecast is left on any Deployment")
    command("helm uninstall joulecast")
    cluster.installation.uninstall()
    cluster.show("delete", *(f"deployment/{name}" for name in DEPLOYMENTS), "node/gpu-node")
    cluster.stop()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Raises RuntimeError naming ``what`` if it does not come about."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{what} did not come about in {WAIT_SECONDS:.0f} s; see the logs beside the demo's folder"
            )
        time.sleep(0.1)


def farewell() -> None:
    heading("Done; everything the demo started is stopped and removed")
    say("Next: `make demo KEEP=1` leaves it running; docs/kubernetes.md says how to install it in a cluster;")
    say("`.venv/bin/joulecast estimate YOUR.onnx --accelerator NVIDIA-H200 --explain` forecasts a model of yours.")


def farewell_kept(cluster: Cluster) -> None:
    heading("It goes on running")
    console.print(f"export KUBECONFIG={cluster.plane.kubeconfig}", markup=False, soft_wrap=True)
    console.print(f"export PATH={binaries.program('kubectl').parent}:$PATH  # kubectl", markup=False, soft_wrap=True)
    console.print(f"images may be pushed to {cluster.registry.host}, by plain HTTP", markup=False, soft_wrap=True)
    say("Its API server has no kube-controller-manager: Deployments get no pods, and what an object owns outlives it.")
    say(f"joulecast is in the namespace {NAMESPACE}; logs are in {cluster.folder}. `make demo-stop` stops it all.")
