"""Both processes against a real API server: time to a forecast, memory, throttling, and what admission waits for.

There is no other tool to stand beside: the column next to each figure is what we promise.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.contenders import exported
from tests import images
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import Installation
from tests.harness.processes import Process
from tests.harness.registry import Registry

ESTIMATES = 1_000
INDEXED = 5_000
REQUESTS_PER_SECOND = 100
LOAD_SECONDS = 20
CONNECTIONS = 8  # an API server keeps a handful open to a webhook
NAMESPACES = 100  # teams that share a cluster, ten estimates each at a thousand
GROUP_PATH = "/apis/joulecast.dev/v1alpha1"
KIND = "inferenceenergyestimates"
WAIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    what: str
    measured: str
    promised: str


class Stage:
    """A control plane with joulecast and two images; what the figures are taken from."""

    def __init__(self, folder: Path, plane: ControlPlane, registry: Registry, installation: Installation) -> None:
        self.folder, self.plane, self.registry, self.installation = folder, plane, registry, installation
        self.api = httpx2.AsyncClient(base_url=plane.url, verify=plane.admin_tls, trust_env=False, timeout=60)

    def push(self, repository: str, model: bytes) -> str:
        image = images.build([{"models/model.onnx": model}])
        self.registry.push(images.write_layout(image, self.folder / repository), repository, "v1")
        return f"{self.registry.host}/{repository}:v1"

    async def create(self, name: str, spec: dict[str, Any], namespace: str = "default") -> None:
        body = {
            "apiVersion": "joulecast.dev/v1alpha1",
            "kind": "InferenceEnergyEstimate",
            "metadata": {"name": name},
            "spec": spec,
        }
        (await self.api.post(f"{GROUP_PATH}/namespaces/{namespace}/{KIND}", json=body)).raise_for_status()

    async def ready_seconds(self, name: str, spec: dict[str, Any]) -> float:
        """From the request that creates an estimate to the first sight of its Ready status."""
        started = time.perf_counter()
        await self.create(name, spec)
        while not is_ready((await self.api.get(f"{GROUP_PATH}/namespaces/default/{KIND}/{name}")).json()):
            if time.perf_counter() - started > WAIT_SECONDS:
                raise RuntimeError(f"estimate {name} was not Ready in {WAIT_SECONDS:.0f} s")
            await asyncio.sleep(0.02)
        return time.perf_counter() - started

    async def pour(self, prefix: str, count: int, image: str) -> None:
        """Create ``count`` estimates in turn over all namespaces, many requests under way at a time."""
        gate = asyncio.Semaphore(50)  # as parallel clients have under way

        async def one(number: int) -> None:
            async with gate:
                await self.create(f"{prefix}-{number}", of_image(image), f"team-{number % NAMESPACES}")

        await asyncio.gather(*(one(number) for number in range(count)))

    async def name_teams(self) -> None:
        for number in range(NAMESPACES):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}}
            (await self.api.post("/api/v1/namespaces", json=body)).raise_for_status()

    async def create_many(self, count: int, image: str) -> float:
        """All at once; seconds until every one is Ready."""
        started = time.perf_counter()
        await self.pour("many", count, image)
        while True:
            items = (await self.api.get(f"{GROUP_PATH}/{KIND}")).json()["items"]
            if sum(map(is_ready, items)) >= count:
                return time.perf_counter() - started
            if time.perf_counter() - started > WAIT_SECONDS:
                raise RuntimeError(f"not all {count} estimates were Ready in {WAIT_SECONDS:.0f} s")
            await asyncio.sleep(0.5)

    def throttled(self) -> int:
        """Requests that the API server answered with 429."""
        return sum(event.get("responseStatus", {}).get("code") == 429 for event in self.plane.audit_events())

    async def admission_milliseconds(self) -> list[float]:
        """Latencies of reviews sent at a fixed rate, whether or not earlier ones were answered."""
        tls = http.client_context(self.installation.authority.bundle)
        limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with httpx2.AsyncClient(verify=tls, trust_env=False, timeout=10, limits=limits) as client:
            started = time.perf_counter()
            total = REQUESTS_PER_SECOND * LOAD_SECONDS
            return await asyncio.gather(*(self._review(client, number, started) for number in range(total)))

    async def _review(self, client: httpx2.AsyncClient, number: int, started: float) -> float:
        due = started + number / REQUESTS_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        answer = await client.post(
            self.installation.webhook_address,
            json=review(number, f"{self.registry.host}/bench/small:v1", f"team-{number % NAMESPACES}"),
        )
        if not answer.json()["response"].get("patch"):
            raise RuntimeError(f"the webhook did not annotate: {answer.text[:200]}")
        return (time.perf_counter() - sent) * 1e3


def of_image(image: str) -> dict[str, Any]:
    """Return the spec of an estimate of a network in an image."""
    accelerators = {"names": ["NVIDIA-H200", "NVIDIA-L40S"]}
    return {"model": {"image": image}, "workload": {"batchSizes": [1]}, "accelerators": accelerators}


def resident_mib(process: Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmRSS for {process.name}")


def is_ready(estimate: dict[str, Any]) -> bool:
    conditions = estimate.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def review(number: int, image: str, namespace: str) -> dict[str, Any]:
    container = {"name": "server", "image": image}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"web-{number}", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    request = {
        "uid": str(number),
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "operation": "CREATE",
        "namespace": namespace,
        "name": workload["metadata"]["name"],
        "userInfo": {"username": "bench"},
        "object": workload,
        "oldObject": None,
        "dryRun": False,
        "options": {},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def figures(stage: Stage) -> list[Figure]:
    large = of_image(stage.push("bench/resnet50", exported("resnet50").read_bytes()))
    first = await stage.ready_seconds("first", large)
    again = statistics.median([await stage.ready_seconds(f"again-{number}", large) for number in range(5)])
    bare = await _webhook_seconds(stage)
    await stage.name_teams()
    small = stage.push("bench/small", small_model())
    many = await stage.create_many(ESTIMATES, small)
    memory = [resident_mib(process) for process in (stage.installation.controller, stage.installation.webhook)]
    latencies = sorted(await stage.admission_milliseconds())
    throttled = stage.throttled()
    index = await _index_seconds(stage, small)
    p99 = latencies[int(len(latencies) * 0.99) - 1]
    return [
        Figure(what="estimate of a ResNet-50 image applied → Ready", measured=f"{first:.2f} s", promised="≤ 3 s"),
        Figure(what="the same image again (median of 5)", measured=f"{again:.2f} s", promised="≤ 0.3 s"),
        Figure(what=f"{ESTIMATES:,} estimates at once → all Ready", measured=f"{many:.1f} s", promised="–"),
        Figure(what="answers 429 meanwhile", measured=str(throttled), promised="0"),
        Figure(
            what=f"controller's memory at {ESTIMATES:,} estimates",
            measured=f"{memory[0]:.0f} MiB",
            promised="≤ 143 MiB (150 MB)",
        ),
        Figure(
            what=f"webhook's memory at {ESTIMATES:,} estimates",
            measured=f"{memory[1]:.0f} MiB",
            promised="≤ 143 MiB (150 MB)",
        ),
        Figure(
            what=f"admission at {REQUESTS_PER_SECOND}/s: median, p99",
            measured=f"{statistics.median(latencies):.1f} ms, {p99:.1f} ms",
            promised="p99 ≤ 20 ms",
        ),
        Figure(
            what=f"index of {INDEXED:,} estimates ready, after a start that takes {bare:.2f} s with 6",
            measured=f"{index - bare:.2f} s",
            promised="≤ 2 s",
        ),
    ]


async def _index_seconds(stage: Stage, image: str) -> float:
    """Seconds of a webhook's start with ``INDEXED`` estimates in the cluster."""
    stage.installation.controller.stop()
    await stage.pour("indexed", INDEXED - ESTIMATES, image)
    return await _webhook_seconds(stage)


async def _webhook_seconds(stage: Stage) -> float:
    """From the webhook's start, imports included, until it is ready."""
    stage.installation.webhook.stop()
    started = time.perf_counter()
    stage.installation.webhook.start()
    return time.perf_counter() - started


def small_model() -> bytes:
    import onnx
    from onnx import helper

    rows = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 64]) for name in ("x", "y")]
    weight = helper.make_tensor("w", onnx.TensorProto.FLOAT, [64, 64], [0.0] * 4096)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "small", rows[:1], rows[1:], [weight])
    return onnx.ModelProto(ir_version=10, graph=graph, opset_import=[helper.make_opsetid("", 21)]).SerializeToString()


@contextmanager
def staged(insecure_registries: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Stage]:
    """Run a control plane, a registry and joulecast with these ``options``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ControlPlane.start(folder / "plane") as plane, Registry.start(folder / "registry") as registry:
            hosts = [registry.host, *insecure_registries]
            with Installation.start(
                plane, folder / "joulecast", insecure_registries=hosts, options=options
            ) as installation:
                yield Stage(folder, plane, registry, installation)


def section() -> str:
    """The Markdown table of measured and promised figures."""
    with staged() as stage:
        found = asyncio.run(figures(stage))
    rows = [f"| {figure.what} | {figure.measured} | {figure.promised} |" for figure in found]
    return "\n".join(["| what | measured | promised |", "|---|---:|---:|", *rows])
