"""Many objects: memory, time and what admission waits for, with 10,000 estimates of 20 results and 5,000 Deployments.

The forecasts of one namespace are joulecast's own; the others hold copies, which are right for the same images and
specs and are written into etcd: the API server would take a quarter of an hour. ``BENCH_ESTIMATES``,
``BENCH_DEPLOYMENTS``, ``BENCH_CROWD`` and ``BENCH_LOAD_SECONDS`` change sizes.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import json
import os
import re
import ssl
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.cluster import GROUP_PATH, KIND, is_ready, resident_mib, review, small_model
from tests import images
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import Installation
from tests.harness.processes import Process
from tests.harness.registry import Registry

NAMESPACES = 100
ESTIMATES = int(os.environ.get("BENCH_ESTIMATES", "10000"))
DEPLOYMENTS = int(os.environ.get("BENCH_DEPLOYMENTS", "5000"))
CROWD = int(os.environ.get("BENCH_CROWD", "2000"))
LOAD_SECONDS = int(os.environ.get("BENCH_LOAD_SECONDS", "300"))
IDLE_SECONDS = 130  # two comparisons with the server
REQUESTS_PER_SECOND = 200
RATE_OF_ADDRESS = 200  # requests a second, half of what the webhook answers one address
CONNECTIONS = 8  # an API server keeps a handful open to a webhook
WAIT_SECONDS = 600.0
QUIET_SECONDS, QUIET_SHARE = 2.0, 0.05  # a controller that uses less of a core than this has nothing left to do
UNDER_WAY = 50  # requests, as parallel clients have

BATCH_SIZES = [1, 8, 16, 32, 64]
ACCELERATORS = ["NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"]
PUTS = 50  # a request to etcd holds 1.5 MB
ESTIMATES_KEY = f"/registry/joulecast.dev/{KIND}/"
DEPLOYMENTS_KEY = "/registry/deployments/"
UID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DEPLOYMENTS_PATH = "/apis/apps/v1/namespaces/{}/deployments"
JOULES = "joulecast.dev/joules-per-batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``unit`` follows the number; ``wanted`` is the most that it should be."""

    what: str
    measured: float
    unit: str
    wanted: float | None = None


class Stage:
    """A control plane with joulecast, and a client that is its admin."""

    def __init__(self, plane: ControlPlane, registry: Registry, installation: Installation, folder: Path) -> None:
        self.plane, self.registry, self.installation, self.folder = plane, registry, installation, folder

    @property
    def processes(self) -> tuple[Process, Process]:
        return self.installation.controller, self.installation.webhook

    def image(self, number: int) -> str:
        return f"{self.registry.host}/bench/small:v{number:02}"

    def push(self, tags: int) -> None:
        layout = images.write_layout(images.build([{"models/model.onnx": small_model()}]), self.folder / "small")
        for number in range(tags):
            self.registry.push(layout, "bench/small", f"v{number:02}")


class Etcd:
    """Copies of objects as the API server stored them; what is replaced has the same length, as their encoding asks."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self._url, self._session = stage.plane.etcd_url, session

    async def stored(self, key: str) -> bytes:
        found = await self._ask("range", {"key": _base64(key.encode())})
        return base64.b64decode(found["kvs"][0]["value"])

    async def copy(self, copies: Iterable[tuple[str, bytes]]) -> None:
        """Each a key and what it holds, some at a time; the uid is a new one."""
        puts = [
            {"requestPut": {"key": _base64(key.encode()), "value": _base64(_another(value))}} for key, value in copies
        ]
        for start in range(0, len(puts), PUTS):
            await self._ask("txn", {"success": puts[start : start + PUTS]})

    async def delete(self, prefix: str) -> None:
        await self._ask(
            "deleterange", {"key": _base64(prefix.encode()), "range_end": _base64(prefix[:-1].encode() + b"0")}
        )

    async def _ask(self, what: str, body: object) -> Any:
        async with self._session.post(f"{self._url}/v3/kv/{what}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _another(stored: bytes) -> bytes:
    """The same object under another uid."""
    found = UID.search(stored)
    if found is None:
        raise RuntimeError("a stored object has no uid")
    return stored.replace(found[0], str(uuid.uuid4()).encode())


class Client:
    """Requests to the API server as its admin, a bounded number at a time."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self._url, self._tls, self._session = stage.plane.url, stage.plane.admin_tls, session
        self._gate = asyncio.Semaphore(UNDER_WAY)

    async def send(self, method: str, path: str, body: object = None, kind: str = "json") -> Any:
        headers = {"Content-Type": f"application/{kind}"}
        data = None if body is None else json.dumps(body).encode()
        async with (
            self._gate,
            self._session.request(method, self._url + path, data=data, headers=headers, ssl=self._tls) as answer,
        ):
            content = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path} answered {answer.status}: {content[:200].decode()}")
            return json.loads(content)

    async def every(self, calls: Iterable[Awaitable[Any]]) -> list[Any]:
        return await asyncio.gather(*calls)

    async def namespace(self, name: str) -> None:
        await self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def estimate(self, namespace: str, name: str, image: str) -> None:
        await self.send("POST", f"{GROUP_PATH}/namespaces/{namespace}/{KIND}", _estimate(name, image))

    async def deployment(self, namespace: str, name: str, image: str) -> None:
        await self.send("POST", DEPLOYMENTS_PATH.format(namespace), _deployment(name, image))

    async def ready(self, namespace: str) -> int:
        found = await self.send("GET", f"{GROUP_PATH}/namespaces/{namespace}/{KIND}")
        return sum(map(is_ready, found["items"]))

    async def annotated(self, path: str = "/apis/apps/v1/deployments") -> int:
        found = await self.send("GET", path)
        return sum(JOULES in (each["metadata"].get("annotations") or {}) for each in found["items"])


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> float:
    """Seconds until ``condition`` holds."""
    started = time.perf_counter()
    while not await condition():
        if time.perf_counter() - started > WAIT_SECONDS:
            raise RuntimeError(f"not within {WAIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(0.5)
    return time.perf_counter() - started


async def figures(stage: Stage) -> list[Figure]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=UNDER_WAY)) as session:
        client, etcd = Client(stage, session), Etcd(stage, session)
        per_namespace = ESTIMATES // NAMESPACES
        stage.push(per_namespace)
        crowded = await _crowd(stage, client, etcd)
        await _fill(stage, client, etcd, per_namespace)
        started = await _restarted(stage, client)
        return [
            *started,
            *await _idle(stage),
            *await _scrape(stage, session),
            *await _admission(stage, per_namespace),
            *_memory(stage),
            Figure(what="answers 429 in all", measured=throttled(stage), unit="", wanted=0),
            *crowded,
        ]


async def _fill(stage: Stage, client: Client, etcd: Etcd, per_namespace: int) -> None:
    await fill_estimates(stage, client, etcd, per_namespace)
    await client.deployment(team(0), "web-00000", stage.image(0))
    stored = await etcd.stored(f"{DEPLOYMENTS_KEY}{team(0)}/web-00000")
    await etcd.copy(_deployment_copy(stage, stored, number) for number in range(1, DEPLOYMENTS))


async def fill_estimates(stage: Stage, client: Client, etcd: Etcd, per_namespace: int) -> None:
    """Estimates of the first namespace by joulecast, of the others by copies; both processes are stopped then."""
    await client.every(client.namespace(team(number)) for number in range(NAMESPACES))
    names = {f"small-{number:02}": stage.image(number) for number in range(per_namespace)}
    await client.every(client.estimate(team(0), name, image) for name, image in names.items())

    async def all_ready() -> bool:
        return await client.ready(team(0)) == len(names)

    await until(all_ready, "the first namespace is Ready")
    for process in stage.processes:
        process.stop()
    for name in names:
        stored = await etcd.stored(f"{ESTIMATES_KEY}{team(0)}/{name}")
        await etcd.copy(
            (f"{ESTIMATES_KEY}{own}/{name}", stored.replace(team(0).encode(), own.encode()))
            for own in map(team, range(1, NAMESPACES))
        )


def _deployment_copy(stage: Stage, stored: bytes, number: int) -> tuple[str, bytes]:
    own, name, image = team(number % NAMESPACES), f"web-{number:05}", stage.image(number // NAMESPACES)
    replaced = {"web-00000": name, team(0): own, stage.image(0): image}
    for old, new in replaced.items():
        stored = stored.replace(old.encode(), new.encode())
    return f"{DEPLOYMENTS_KEY}{own}/{name}", stored


def team(number: int) -> str:
    return f"team-{number:02}"


async def _restarted(stage: Stage, client: Client) -> list[Figure]:
    """From the starts of both processes to ready, and from there until every Deployment is annotated."""
    seconds = []
    for process in reversed(stage.processes):
        started = time.perf_counter()
        process.start()
        seconds.append(time.perf_counter() - started)

    async def all_annotated() -> bool:
        return await client.annotated() >= DEPLOYMENTS

    annotated = await until(all_annotated, "every Deployment is annotated")
    return [
        Figure(what="start of the webhook → ready", measured=seconds[0], unit="s", wanted=15),
        Figure(what="start of the controller → ready", measured=seconds[1], unit="s", wanted=15),
        Figure(what="all estimates Ready → all Deployments annotated", measured=annotated, unit="s", wanted=60),
    ]


async def _idle(stage: Stage) -> list[Figure]:
    await asyncio.sleep(30)  # what the start left to do is done
    before = [cpu_seconds(process) for process in stage.processes]
    await asyncio.sleep(IDLE_SECONDS)
    used = [cpu_seconds(process) - start for process, start in zip(stage.processes, before, strict=True)]
    return [
        Figure(what=f"{name}, nothing to do", measured=100 * seconds / IDLE_SECONDS, unit="% of a core", wanted=2)
        for name, seconds in zip(("controller", "webhook"), used, strict=True)
    ]


async def _scrape(stage: Stage, session: aiohttp.ClientSession) -> list[Figure]:
    """As Prometheus does it, which accepts gzip."""
    seconds, size = [], 0
    for _ in range(5):
        started = time.perf_counter()
        headers = {"Accept-Encoding": "gzip"}
        async with session.get(
            f"{stage.installation.controller_url}/metrics", headers=headers, auto_decompress=False
        ) as answer:
            page = await answer.read()
            compressed = answer.headers.get("Content-Encoding") == "gzip"
        seconds.append(time.perf_counter() - started)
        size = len(gzip.decompress(page)) if compressed else len(page)
    return [
        Figure(what="scrape (median of 5)", measured=statistics.median(seconds), unit="s", wanted=1),
        Figure(what="scrape as sent", measured=len(page) / 1e6, unit="MB", wanted=5),
        Figure(what="scrape, unpacked", measured=size / 1e6, unit="MB"),
    ]


async def _admission(stage: Stage, per_namespace: int) -> list[Figure]:
    found = await reviews(stage, per_namespace, REQUESTS_PER_SECOND, LOAD_SECONDS)
    rate = f"admission at {REQUESTS_PER_SECOND}/s for {LOAD_SECONDS} s"
    return [
        Figure(what=f"{rate}: median", measured=statistics.median(found), unit="ms"),
        Figure(what=f"{rate}: p99", measured=p99(found), unit="ms", wanted=10),
        Figure(what=f"{rate}: slowest", measured=found[-1], unit="ms", wanted=100),
    ]


def p99(milliseconds: Sequence[float]) -> float:
    """What 99 of 100 sorted latencies do not exceed."""
    return milliseconds[int(len(milliseconds) * 0.99) - 1]


async def reviews(stage: Stage, per_namespace: int, rate: int, seconds: int) -> list[float]:
    """Send ``rate`` reviews a second, whether or not earlier ones were answered; milliseconds of each, sorted.

    The webhook bounds the rate of each address, so they come from as many as the rate needs.
    """
    tls = http.client_context(stage.installation.authority.bundle)
    gc.disable()  # a collection of this process would count as the webhook's time
    async with AsyncExitStack() as opened:
        sessions = [
            await opened.enter_async_context(_from_address(number)) for number in range(-(-rate // RATE_OF_ADDRESS))
        ]
        started = time.perf_counter()
        answers = []
        for number in range(rate * seconds):
            await asyncio.sleep(started + number / rate - time.perf_counter())
            session = sessions[number % len(sessions)]
            answers.append(asyncio.create_task(_reviewed(stage, session, tls, number, per_namespace)))
        found = sorted(await asyncio.gather(*answers))
    gc.enable()
    return found


def _from_address(number: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, local_addr=(f"127.0.0.{1 + number}", 0))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))


async def _reviewed(
    stage: Stage,
    session: aiohttp.ClientSession,
    tls: ssl.SSLContext,
    number: int,
    per_namespace: int,
) -> float:
    body = review(number, stage.image(number // NAMESPACES % per_namespace), team(number % NAMESPACES))
    sent = time.perf_counter()
    async with session.post(stage.installation.webhook_address, json=body, ssl=tls) as answer:
        text = await answer.text()
    milliseconds = (time.perf_counter() - sent) * 1e3
    if answer.status != 200 or not json.loads(text)["response"].get("patch"):
        raise RuntimeError(f"the webhook did not annotate: {text[:200]}")
    return milliseconds


async def _crowd(stage: Stage, client: Client, etcd: Etcd) -> list[Figure]:
    """As many estimates as Deployments in one namespace, of one image, each of which concerns all others."""
    await client.namespace("crowd")
    await client.estimate("crowd", "small-0000", stage.image(0))

    async def is_first_ready() -> bool:
        return await client.ready("crowd") == 1

    await until(is_first_ready, "the first of the crowd is Ready")
    stage.installation.controller.stop()
    await client.deployment("crowd", "web-0000", stage.image(0))
    for prefix, name in ((ESTIMATES_KEY, "small-"), (DEPLOYMENTS_KEY, "web-")):
        stored = await etcd.stored(f"{prefix}crowd/{name}0000")
        await etcd.copy(
            (f"{prefix}crowd/{name}{n:04}", stored.replace(f"{name}0000".encode(), f"{name}{n:04}".encode()))
            for n in range(1, CROWD)
        )
    started = time.perf_counter()
    stage.installation.controller.start()

    async def all_annotated() -> bool:
        return await client.annotated(DEPLOYMENTS_PATH.format("crowd")) == CROWD

    await until(all_annotated, "the crowd is annotated")
    annotated = time.perf_counter() - started
    touched = await _touched(stage, etcd)
    for prefix in (ESTIMATES_KEY, DEPLOYMENTS_KEY):
        await etcd.delete(f"{prefix}crowd/")
    name = f"{CROWD:,} estimates and {CROWD:,} Deployments of one image in one namespace"
    return [
        Figure(what=f"{name}: start → all annotated", measured=annotated, unit="s", wanted=20),
        Figure(what="each of these estimates changed → nothing left to do", measured=touched[0], unit="s", wanted=20),
        Figure(what="the controller's processor time meanwhile", measured=touched[1], unit="s"),
    ]


async def _touched(stage: Stage, etcd: Etcd) -> tuple[float, float]:
    """Seconds and processor seconds until the controller has seen to a change of every estimate of the crowd."""
    controller = stage.installation.controller
    started, before = time.perf_counter(), cpu_seconds(controller)
    keys = [f"{ESTIMATES_KEY}crowd/small-{n:04}" for n in range(CROWD)]
    await etcd.copy([(key, await etcd.stored(key)) for key in keys])
    return await until_quiet(controller, started, before)


async def until_quiet(controller: Process, started: float, before: float) -> tuple[float, float]:
    """Wait until the controller has nothing left to do.

    Return the seconds since ``started``, and the processor seconds that it has used more than ``before``.
    """
    while True:
        used = cpu_seconds(controller)
        await asyncio.sleep(QUIET_SECONDS)
        if cpu_seconds(controller) - used < QUIET_SHARE * QUIET_SECONDS:
            return time.perf_counter() - started - QUIET_SECONDS, used - before
        if time.perf_counter() - started > WAIT_SECONDS:
            raise RuntimeError(f"the controller was not quiet within {WAIT_SECONDS:.0f} s")


def _memory(stage: Stage) -> list[Figure]:
    """After all of the above."""
    return [
        Figure(what="memory of the controller", measured=resident_mib(stage.processes[0]), unit="MiB", wanted=200),
        Figure(what="memory of the webhook", measured=resident_mib(stage.processes[1]), unit="MiB", wanted=150),
    ]


def throttled(stage: Stage) -> int:
    return sum(event.get("responseStatus", {}).get("code") == 429 for event in stage.plane.audit_events())


def cpu_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _estimate(name: str, image: str) -> dict[str, Any]:
    """Its tag is looked up once a day, so that an idle minute has no look-ups in it."""
    return {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "InferenceEnergyEstimate",
        "metadata": {"name": name},
        "spec": {
            "model": {"image": image},
            "workload": {"batchSizes": BATCH_SIZES},
            "accelerators": {"names": ACCELERATORS},
            "resolveInterval": "24h",
        },
    }


def _deployment(name: str, image: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "server", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


@contextmanager
def staged() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            ControlPlane.start(folder / "plane", controller_manager=False) as plane,
            Registry.start(folder / "registry") as registry,
        ):
            hosts = [registry.host]
            with Installation.start(plane, folder / "joulecast", insecure_registries=hosts) as installation:
                yield Stage(plane, registry, installation, folder)


def section() -> str:
    """The Markdown table of measured and wanted figures."""
    with staged() as stage:
        found = asyncio.run(figures(stage))
    return table(found)


def table(found: Sequence[Figure]) -> str:
    results = len(ACCELERATORS) * len(BATCH_SIZES)
    sizes = f"{ESTIMATES:,} estimates of {results} results, {DEPLOYMENTS:,} Deployments, {NAMESPACES} namespaces:"
    head = [sizes, "", "| what | measured | wanted |", "|---|---:|---:|"]
    return "\n".join([*head, *map(_row, found)])


def _row(figure: Figure) -> str:
    wanted = "–" if figure.wanted is None else f"≤ {figure.wanted:g} {figure.unit}".strip()
    cells = [figure.what, shown(figure.measured, figure.unit), wanted]
    return f"| {' | '.join(cells)} |"


def shown(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".strip() if value < 100 else f"{value:,.0f} {unit}".strip()
