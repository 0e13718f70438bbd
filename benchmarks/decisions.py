"""Decisions at two sizes: what admission waits for and where it saturates, the controller's first reconcile, and a
changed price.

One webhook process and one client on loopback, beside the API server, etcd and the controller on the same machine. The
objects are made as in ``benchmarks.scale``: by joulecast in one namespace, by copies in the others.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from itertools import zip_longest

import aiohttp

from benchmarks.cluster import GROUP_PATH, KIND, resident_mib
from benchmarks.scale import (
    JOULES,
    LOAD_SECONDS,
    NAMESPACES,
    REQUESTS_PER_SECOND,
    UNDER_WAY,
    Client,
    Etcd,
    Figure,
    Stage,
    cpu_seconds,
    fill_estimates,
    p99,
    reviews,
    shown,
    staged,
    team,
    throttled,
    until,
    until_quiet,
)
from joulecast_operator.api.kinds import ANNOTATED, SITES, Kind
from tests.cluster.release import workload

SIZES = (1_000, 10_000)
WORKLOADS = 3_000
WANTED_MILLISECONDS = 10.0
MOST_REQUESTS_PER_SECOND = 3_200  # sixteen times what is asked for: more than one client process can send
STEP_SECONDS = 10
SETTLE_SECONDS = 10
SITES_PATH = SITES.path()
WANTED_MIB = 150e6 / 2**20


async def figures(stage: Stage, estimates: int) -> list[Figure]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=UNDER_WAY)) as session:
        client, etcd = Client(stage, session), Etcd(stage, session)
        per_namespace = estimates // NAMESPACES
        stage.push(per_namespace)
        await fill_estimates(stage, client, etcd, per_namespace)
        for kind in ANNOTATED.values():
            await _fill(stage, client, etcd, kind, per_namespace)
        return [
            *await _started(stage, client),
            *await _admission(stage, per_namespace),
            await _saturation(stage, per_namespace),
            *await _repriced(stage, client),
            Figure(what="memory of the webhook", measured=resident_mib(stage.installation.webhook), unit="MiB"),
            Figure(what="answers 429 in all", measured=throttled(stage), unit="", wanted=0),
        ]


async def _fill(stage: Stage, client: Client, etcd: Etcd, kind: Kind, per_namespace: int) -> None:
    """Make the workloads of one kind, spread over all namespaces; each runs an image that an estimate is of."""
    count = WORKLOADS // len(ANNOTATED)
    name = lambda number: f"web-{number:05}"  # noqa: E731
    first = workload(kind.kind, name(0), team(0), image=stage.image(0))
    await client.send("POST", kind.path(team(0)), first)
    prefix = f"/registry/{kind.plural}/"
    stored = await etcd.stored(f"{prefix}{team(0)}/{name(0)}")

    def copy(number: int) -> tuple[str, bytes]:
        own, image = team(number % NAMESPACES), stage.image(number // NAMESPACES % per_namespace)
        found = stored
        for old, new in ((name(0), name(number)), (team(0), own), (stage.image(0), image)):
            found = found.replace(old.encode(), new.encode())
        return f"{prefix}{own}/{name(number)}", found

    await etcd.copy(map(copy, range(1, count)))


async def _started(stage: Stage, client: Client) -> list[Figure]:
    """From the controller's start until every workload is annotated, and what it then holds."""
    controller = stage.installation.controller
    stage.installation.webhook.start()
    started = time.perf_counter()
    controller.start()
    ready = time.perf_counter() - started

    async def all_annotated() -> bool:
        counts = [await client.annotated(kind.path()) for kind in ANNOTATED.values()]
        return sum(counts) >= len(ANNOTATED) * (WORKLOADS // len(ANNOTATED))

    await until(all_annotated, f"every workload has {JOULES}")
    first, used = time.perf_counter() - started, cpu_seconds(controller)
    await asyncio.sleep(SETTLE_SECONDS)
    return [
        Figure(what="start of the controller → ready", measured=ready, unit="s"),
        Figure(what="start of the controller → all workloads annotated", measured=first, unit="s"),
        Figure(what="the controller's processor time until then", measured=used, unit="s"),
        Figure(what="memory of the controller", measured=resident_mib(controller), unit="MiB", wanted=WANTED_MIB),
    ]


async def _admission(stage: Stage, per_namespace: int) -> list[Figure]:
    found = await reviews(stage, per_namespace, REQUESTS_PER_SECOND, LOAD_SECONDS)
    rate = f"admission at {REQUESTS_PER_SECOND}/s for {LOAD_SECONDS} s"
    return [
        Figure(what=f"{rate}: median", measured=statistics.median(found), unit="ms"),
        Figure(what=f"{rate}: p99", measured=p99(found), unit="ms", wanted=WANTED_MILLISECONDS),
        Figure(what=f"{rate}: slowest", measured=found[-1], unit="ms"),
    ]


async def _saturation(stage: Stage, per_namespace: int) -> Figure:
    """Double the rate until the p99 is above what is wanted, and return the last rate at which it was not."""
    kept, rate = 0, REQUESTS_PER_SECOND
    while rate <= MOST_REQUESTS_PER_SECOND:
        if p99(await reviews(stage, per_namespace, rate, STEP_SECONDS)) > WANTED_MILLISECONDS:
            break
        kept, rate = rate, 2 * rate
    what = f"highest rate of 200, 400, 800 … with a p99 of at most {WANTED_MILLISECONDS:g} ms"
    return Figure(what=what, measured=kept, unit="/s")


async def _repriced(stage: Stage, client: Client) -> list[Figure]:
    """Change the price of a site that all estimates are priced at."""
    controller = stage.installation.controller
    spec = {"currency": "EUR", "default": True, "pricePerKilowattHour": ["0.25"]}
    site = {"apiVersion": SITES.api_version, "kind": SITES.kind, "metadata": {"name": "all"}, "spec": spec}
    await client.send("POST", SITES_PATH, site)
    await until_quiet(controller, time.perf_counter(), cpu_seconds(controller))
    old_costs = await _costs(client)
    started, before = time.perf_counter(), cpu_seconds(controller)
    changed = {"spec": {"pricePerKilowattHour": ["0.5"]}}
    await client.send("PATCH", f"{SITES_PATH}/all", changed, kind="merge-patch+json")
    seconds, used = await until_quiet(controller, started, before)
    costs = zip(old_costs, await _costs(client), strict=True)
    if not all(math.isclose(new, 2 * old, rel_tol=1e-4) for old, new in costs):
        raise RuntimeError("an estimate does not have the cost of the changed price")
    what = "price of the site of all estimates changed → nothing left to do"
    return [
        Figure(what=what, measured=seconds, unit="s"),
        Figure(what="the controller's processor time meanwhile", measured=used, unit="s"),
        Figure(what="memory of the controller after all of it", measured=resident_mib(controller), unit="MiB"),
    ]


async def _costs(client: Client) -> list[float]:
    """Return what an hour costs by each estimate of every tenth namespace."""
    paths = [f"{GROUP_PATH}/namespaces/{team(number)}/{KIND}" for number in range(0, NAMESPACES, 10)]
    found = await client.every(client.send("GET", path) for path in paths)
    return [each["status"]["cost"]["moneyPerHour"]["mean"] for listed in found for each in listed["items"]]


def section() -> str:
    """The Markdown table: a column for each number of estimates."""
    found = []
    for estimates in SIZES:
        with staged() as stage:
            found.append(asyncio.run(figures(stage, estimates)))
    return table(found)


def table(columns: Sequence[Sequence[Figure]]) -> str:
    titles = " | ".join(f"{estimates:,} estimates" for estimates in SIZES)
    head = [f"| {WORKLOADS:,} workloads of five kinds | {titles} | wanted |", f"|---|{'---:|' * len(SIZES)}---:|"]
    return "\n".join([*head, *(_row(each) for each in zip_longest(*columns))])


def _row(figures: Sequence[Figure]) -> str:
    first = figures[0]
    wanted = "–" if first.wanted is None else f"≤ {shown(first.wanted, first.unit)}"
    cells = [first.what, *(shown(each.measured, each.unit) for each in figures), wanted]
    return f"| {' | '.join(cells)} |"
