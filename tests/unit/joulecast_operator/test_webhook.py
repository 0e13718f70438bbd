from __future__ import annotations

import asyncio
import base64
import gc
import json
import shutil
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.api.objects import Key, Scope
from joulecast_operator.cluster.client import Cluster
from joulecast_operator.cluster.watches import STALE_SECONDS, Watches
from joulecast_operator.index.index import Index
from joulecast_operator.serving.admission_server import AdmissionServer
from joulecast_operator.serving.certificate import Certificate
from joulecast_operator.settings import Settings
from joulecast_operator.webhook import Admission, health_of, run
from joulecast_operator.workloads.admission import ALLOW_UNPATCHED, Decision, decide
from tests.harness.certificates import CertificateAuthority, KeyPair
from tests.harness.ports import free_port
from tests.unit.joulecast_operator.samples.workloads import IMAGE, Estimates, deployment, estimate


class Observed:
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def observe(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)

    def refused(self, reason: str) -> None:
        self.outcomes.append(reason)


def review(decide_request: Any, body: Any) -> tuple[dict[str, Any], list[str]]:
    observed = Observed()
    answer = Admission(decide_request, observed).review(body)
    json.dumps(answer)
    return answer["response"], observed.outcomes


def test_a_review_is_answered_with_a_patch_and_warnings() -> None:
    request = {"uid": "42", "operation": "CREATE", "namespace": "shop", "object": deployment(image=IMAGE)}
    index = Estimates(estimate())
    response, outcomes = review(lambda asked: decide(asked, index), {"request": request})
    assert (response["uid"], response["allowed"], response["patchType"]) == ("42", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"]))[0]["path"] == "/metadata/annotations"
    assert len(response["warnings"]) == 1
    assert outcomes == ["annotated"]


def test_an_object_that_is_only_warned_about_gets_no_patch() -> None:
    request = {"uid": "42", "operation": "CREATE", "namespace": "shop", "object": deployment(image=IMAGE)}
    index, observed = Estimates(estimate()), Observed()
    response = Admission(lambda asked: decide(asked, index), observed).warn({"request": request})["response"]
    assert response.keys() == {"uid", "allowed", "warnings"}
    assert "J per batch" in response["warnings"][0]
    assert observed.outcomes == ["annotated"]


def test_nothing_to_do_is_a_bare_allowance() -> None:
    response, outcomes = review(lambda _: Decision(outcome="unknown"), {"request": {"uid": "42"}})
    assert response == {"uid": "42", "allowed": True}
    assert outcomes == ["unknown"]


@pytest.mark.parametrize("error", [KeyError("bug"), RecursionError(), MemoryError(), AssertionError()])
def test_any_failure_of_ours_allows_unpatched_and_is_counted(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> Decision:
        raise error

    response, outcomes = review(broken, {"request": {"uid": "42"}})
    assert response == {"uid": "42", "allowed": True}
    assert outcomes == ["error"]
    assert "allowed as it is" in caplog.text


@pytest.mark.parametrize("body", [None, [], "x", 1, {}, {"request": None}, {"request": []}, {"request": {"uid": None}}])
def test_a_malformed_review_is_allowed(body: Any) -> None:
    response, _ = review(lambda asked: decide(asked, Estimates()), body)
    assert response == {"uid": "", "allowed": True}


@pytest.mark.slow
def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    authority, port = CertificateAuthority(tmp_path, "ca"), free_port()
    first, second = authority.server("first"), authority.server("second")
    mounted = tmp_path / "mounted"

    def put(pair: KeyPair) -> None:
        """Change the files like the kubelet: write a new folder, then switch the link to it."""
        folder = tmp_path / f"data-{pair.certificate.stem}"
        folder.mkdir()
        shutil.copy(pair.key, folder / "tls.key")
        shutil.copy(pair.certificate, folder / "tls.crt")
        (tmp_path / "link").symlink_to(folder)
        (tmp_path / "link").replace(mounted)

    def shown() -> str | None:
        try:
            return ssl.get_server_certificate(("127.0.0.1", port), timeout=300)
        except OSError:
            return None

    async def until_shown(pair: KeyPair) -> None:
        while await asyncio.to_thread(shown) != pair.certificate.read_text():
            await asyncio.sleep(0.05)

    async def renew() -> None:
        admission = Admission(lambda _: Decision(outcome="unknown"), Observed())
        certificate = Certificate(f"{mounted}/tls.crt", f"{mounted}/tls.key")
        server = AdmissionServer(
            admission.review,
            certificate,
            Observed(),
            warn=admission.warn,
            host="127.0.0.1",
            port=port,
            check_seconds=0.05,
        )
        put(first)
        task = asyncio.create_task(_exhaust(server))
        await asyncio.wait_for(until_shown(first), timeout=180)
        (mounted / "tls.crt").write_text("garbage")
        while certificate.refused is None:
            await asyncio.sleep(0.05)
        assert await asyncio.to_thread(shown) == first.certificate.read_text(), "the old one stays in use"
        put(second)
        await asyncio.wait_for(until_shown(second), timeout=180)
        assert gc.get_freeze_count() > 0  # its index is not walked by collections
        task.cancel()

    asyncio.run(renew())
    assert gc.get_freeze_count() == 0  # else extension modules report leaks where Python ends


async def _exhaust(server: AdmissionServer) -> None:
    async for _ in server(None):
        assert server.listening


def test_it_is_ready_with_an_index_and_a_port_and_sick_when_its_watch_is_stale(tmp_path: Path) -> None:
    clock = iter([0.0, STALE_SECONDS + 1, STALE_SECONDS + 1])
    index = Index(now=lambda: next(clock))
    pair, now = CertificateAuthority(tmp_path, "ca").server("own"), [time.time()]
    certificate = Certificate(str(pair.certificate), str(pair.key), now=lambda: now[0])
    certificate.load()
    admission = Admission(lambda _: ALLOW_UNPATCHED, Observed())
    server = AdmissionServer(admission.review, certificate, Observed(), warn=admission.warn, host="", port=1)
    health = health_of(index, server, Watches(index=index, cluster=Cluster(), scopes=()))
    assert health.unready() == "the index is being filled"
    index.ready = True
    assert health.unready() == "the port is not open yet"
    server.listening = True
    assert health.unready() is None
    assert health.sick() is None
    missed = {Key(kind=ESTIMATES.kind, namespace="shop", name="missed"): "5"}
    for _ in range(2):
        index.compare(Scope(kind=ESTIMATES), missed, "6")
    assert list(health.notes()) == certificate.notes() != []
    now[0] = certificate.expires
    assert "expired at" in str(health.unready())
    assert health.sick() == "the index has been behind the API server for 151 s"


@pytest.mark.parametrize("missing", ["certfile", "keyfile"])
def test_a_missing_certificate_file_is_one_sentence(tmp_path: Path, missing: str) -> None:
    paths = {name: tmp_path / name for name in ("certfile", "keyfile")}
    for name in paths.keys() - {missing}:
        paths[name].touch()
    with pytest.raises(SystemExit, match=f"--webhook-{missing} .*/{missing}: there is no such file"):
        run(Settings(webhook_certfile=str(paths["certfile"]), webhook_keyfile=str(paths["keyfile"])))


def test_names_without_an_authority_are_one_sentence(tmp_path: Path) -> None:
    pair = CertificateAuthority(tmp_path, "ca").server("own")
    files = {"webhook_certfile": str(pair.certificate), "webhook_keyfile": str(pair.key)}
    with pytest.raises(SystemExit, match="--webhook-client-names needs --webhook-client-ca-file"):
        run(Settings(**files, webhook_client_names=("kube-apiserver",)))


def test_a_file_that_holds_no_certificate_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    for name in ("certfile", "keyfile"):
        (tmp_path / name).write_text("garbage")
    with pytest.raises(SystemExit, match=r"certfile and .*keyfile cannot be served: .*; give a certificate"):
        run(Settings(webhook_certfile=str(tmp_path / "certfile"), webhook_keyfile=str(tmp_path / "keyfile")))
