"""Registries: ranges, authorisation, redirects, failures, and what a hostile one can make us do."""

from __future__ import annotations

import dataclasses
import json
import time
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources import FetchBudget, RegistryAccess, fetch, resolve
from joulecast.sources.registries.exchange import ATTEMPTS
from tests.images import INDEX_TYPE, MANIFEST_TYPE, build, digest_of
from tests.unit.sources.models import gemm_model, noisy_model, parsed
from tests.unit.sources.serving import Request, Served, basic, docker_config, dripping, token_answer

MODEL = gemm_model(width=600, count=4)
PATH = "/models/m.onnx"
IMAGE = build([{"etc/os-release": b"x" * 1000}, {"models/m.onnx": MODEL}])


def test_a_public_model_is_read_by_ranges(served: Served, access: RegistryAccess) -> None:
    reference = served.add(IMAGE)
    model = fetch(reference, access=access)
    assert (model.path, model.digest, model.verification) == ("models/m.onnx", IMAGE.digest, "Manifest")
    assert model.reference == reference
    assert [node.op_type for node in parsed(model.skeleton).graph.node] == ["MatMul"] * 4
    assert model.bytes_fetched == served.bytes_sent < len(MODEL) / 10
    assert model.image_bytes == sum(layer["size"] for layer in json.loads(IMAGE.manifest)["layers"])
    assert model.layer_digest == json.loads(IMAGE.manifest)["layers"][1]["digest"]
    assert all(request.headers["accept-encoding"] == "identity" for request in served.requests)


@pytest.mark.slow
def test_headers_that_drip_are_no_answer() -> None:
    """A byte of a header every tenth of a second, for as long as somebody listens: shorter waits than any timeout."""
    with dripping() as host, pytest.raises(ModelFetchError, match="does not answer in time") as caught:
        fetch(f"{host}/a/b:1", access=RegistryAccess(insecure_registries=(host,)), budget=FetchBudget(wall_seconds=2))
    assert caught.value.transient


@pytest.mark.parametrize("scheme", ["oci://", "docker://"])
def test_a_scheme_may_be_written(served: Served, access: RegistryAccess, scheme: str) -> None:
    assert fetch(scheme + served.add(IMAGE), access=access).digest == IMAGE.digest


def test_a_digest_may_be_named_and_is_checked(served: Served, access: RegistryAccess) -> None:
    served.add(IMAGE)
    pinned = f"{served.host}/team/model@{IMAGE.digest}"
    assert fetch(pinned, access=access).digest == IMAGE.digest
    served.manifests[f"team/model/{IMAGE.digest}"] = IMAGE.manifest + b" ", MANIFEST_TYPE
    with pytest.raises(ModelFetchError, match="digest") as caught:
        fetch(pinned, access=access)
    assert caught.value.reason == "DigestMismatch"


def test_a_lying_config_is_noticed(served: Served, access: RegistryAccess) -> None:
    reference = served.add(IMAGE)
    config = json.loads(IMAGE.manifest)["config"]
    served.blobs[config["digest"]] = b" " * config["size"]
    with pytest.raises(ModelFetchError) as caught:
        fetch(reference, access=access)
    assert caught.value.reason == "DigestMismatch"


def test_verifying_reads_the_layer_and_notices_a_lie(served: Served, access: RegistryAccess) -> None:
    reference = served.add(IMAGE)
    whole = fetch(reference, path=PATH, access=access, verify=True)
    assert whole.verification == "Full"
    assert whole.bytes_fetched > len(MODEL)
    followed = served.add(build([{"models/m.onnx": MODEL, "models/weights.bin": bytes(20 << 20)}]), tag="2")
    assert fetch(followed, path=PATH, access=access, verify=True).verification == "Full"
    digest = json.loads(IMAGE.manifest)["layers"][1]["digest"]
    served.blobs[digest] = IMAGE.blobs[digest][:-1] + b"x"
    assert fetch(reference, path=PATH, access=access).verification == "Manifest"
    with pytest.raises(ModelFetchError) as caught:
        fetch(reference, path=PATH, access=access, verify=True)
    assert caught.value.reason == "DigestMismatch"


def test_resolving_asks_for_a_head_only(served: Served, access: RegistryAccess) -> None:
    reference = served.add(IMAGE)
    assert resolve(reference, access=access) == IMAGE.digest
    assert [request.method for request in served.requests] == ["HEAD"]


def test_resolving_falls_back_to_a_get(served: Served, access: RegistryAccess) -> None:
    reference = served.add(IMAGE)
    served.answer = lambda request: (405, {}, b"") if request.method == "HEAD" else None
    assert resolve(reference, access=access) == IMAGE.digest


def test_an_index_leads_to_the_platform(served: Served, access: RegistryAccess) -> None:
    arm = build([{"models/m.onnx": MODEL}], architecture="arm64")
    for image in (IMAGE, arm):
        served.add(image, tag=image.digest)
    entries = [
        {"mediaType": MANIFEST_TYPE, "digest": image.digest, "size": len(image.manifest), "platform": platform}
        for image, platform in (
            (arm, {"os": "unknown", "architecture": "unknown"}),
            (arm, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
            (IMAGE, {"os": "linux", "architecture": "amd64"}),
        )
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    served.manifests["team/model/1"] = index, INDEX_TYPE
    reference = f"{served.host}/team/model:1"
    assert fetch(reference, access=access).digest == resolve(reference, access=access) == IMAGE.digest
    assert fetch(reference, access=access, platform="linux/arm64").digest == arm.digest
    assert resolve(reference, access=access, platform="linux/arm64") == arm.digest
    with pytest.raises(ModelFetchError, match="linux/s390x but for linux/arm64/v8, linux/amd64") as caught:
        fetch(reference, access=access, platform="linux/s390x")
    assert caught.value.reason == "PlatformNotFound"


def test_an_index_that_names_itself_is_refused(served: Served, access: RegistryAccess) -> None:
    digest = digest_of(b"x")
    index = json.dumps({"manifests": [{"mediaType": INDEX_TYPE, "digest": digest, "size": 1}]}).encode()
    served.answer = lambda request: (200, {"Content-Type": INDEX_TYPE}, index)
    with pytest.raises(ModelFetchError) as caught:
        fetch(f"{served.host}/team/model:1", access=access)
    assert caught.value.reason == "DigestMismatch"


class TestRanges:
    def test_without_ranges_the_stream_is_read_from_its_first_byte(
        self, served: Served, access: RegistryAccess
    ) -> None:
        reference = served.add(IMAGE)
        served.ranges = False
        model = fetch(reference, path=PATH, access=access)
        assert len(parsed(model.skeleton).graph.initializer) == 4
        assert len([path for path in served.paths() if "/blobs/" in path]) == 1

    @pytest.mark.parametrize(
        "header", ["bytes 1-100/*", "bytes 1-99/100", "bytes 0-10000000/20000000", "pages 0-9/10", "bytes 0-9/10", None]
    )
    def test_another_range_than_asked_is_refused(
        self, served: Served, access: RegistryAccess, header: str | None
    ) -> None:
        reference = served.add(IMAGE)
        headers = {"Content-Range": header} if header else {}
        served.answer = lambda request: (206, headers, b"x" * 100) if "/blobs/" in request.path else None
        with pytest.raises(ModelFetchError, match="another range") as caught:
            fetch(reference, path=PATH, access=access)
        assert sum("/blobs/" in path for path in served.paths()) == 1
        assert caught.value.reason == "RegistryMisbehaved"

    def test_more_than_was_asked_is_refused(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)

        def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            found = None if "/blobs/" not in request.path else served.ranged(request, served.blobs[request.path[-71:]])
            return found and (found[0], found[1], found[2] + b"x" * 100_000)

        served.answer = answer
        with pytest.raises(ModelFetchError, match="more than was requested"):
            fetch(reference, path=PATH, access=access)

    def test_an_encoded_blob_is_refused(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (200, {"Content-Encoding": "gzip"}, b"x") if "/blobs/" in request.path else None
        with pytest.raises(ModelFetchError, match="requested without encoding"):
            fetch(reference, path=PATH, access=access)

    def test_a_server_may_give_less_than_asked(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)

        def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            if "/blobs/" not in request.path:
                return None
            first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
            blob = served.blobs[request.path[-71:]]
            last = min(last, first + 999)
            return 206, {"Content-Range": f"bytes {first}-{last}/*"}, blob[first : last + 1]

        served.answer = answer
        assert len(parsed(fetch(reference, path=PATH, access=access).skeleton).graph.node) == 4


class TestAuthorisation:
    def test_basic(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (
            None
            if request.headers.get("authorization") == basic("ann", "pass:word")
            else (401, {"WWW-Authenticate": 'Basic realm="r"'}, b"SECRET BODY")
        )
        known = dataclasses.replace(
            access, docker_config=docker_config(served.host, username="ann", password="pass:word")
        )
        assert fetch(reference, access=known).digest == IMAGE.digest
        assert served.requests[0].headers.get("authorization") is None
        for unknown in (
            access,
            dataclasses.replace(access, docker_config=docker_config(served.host, username="ann", password="no")),
        ):
            served.requests.clear()
            with pytest.raises(ModelFetchError) as caught:
                fetch(reference, access=unknown)
            assert (caught.value.reason, caught.value.transient) == ("Unauthorized", False)
            assert "SECRET" not in str(caught.value)
            assert len(served.requests) <= 2

    @pytest.mark.parametrize("accepted", [None, basic("ann", "word")])
    def test_bearer(self, served: Served, access: RegistryAccess, accepted: str | None) -> None:
        reference = served.add(IMAGE)
        served.answer = token_answer(f"http://{served.host}/token", "t0ken", accepted)
        auth = accepted.removeprefix("Basic ") if accepted else ""
        known = dataclasses.replace(access, docker_config=docker_config(served.host, auth=auth) if auth else {})
        assert fetch(reference, access=known).digest == IMAGE.digest
        tokens = [path for path in served.paths() if path.startswith("/token")]
        assert [parse_qs(path.partition("?")[2]) for path in tokens] == [
            {"service": ["reg"], "scope": ["repository:team/model:pull"]}
        ]

    def test_an_identity_token_is_exchanged(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        usual = token_answer(f"http://{served.host}/token", "t0ken", None)

        def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            if request.path != "/token":
                return usual(request)
            form = parse_qs(request.body.decode())
            assert form["grant_type"] == ["refresh_token"]
            is_known = form["refresh_token"] == ["long-lived"]
            return (
                (200, {}, json.dumps({"access_token": f"t0ken-{form['scope'][0]}"}).encode())
                if is_known
                else (401, {}, b"")
            )

        served.answer = answer
        known = dataclasses.replace(access, docker_config=docker_config(served.host, identitytoken="long-lived"))
        assert fetch(reference, access=known).digest == IMAGE.digest

    def test_wrong_credentials_at_the_token_service(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = token_answer(f"http://{served.host}/token", "t0ken", basic("ann", "word"))
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, access=access)
        assert caught.value.reason == "Unauthorized"
        assert "SECRET" not in str(caught.value)

    def test_a_token_that_runs_out_is_renewed(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        state = {"count": 0}

        def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            state["count"] += 1
            period = state["count"] // 5
            return token_answer(f"http://{served.host}/token", f"t{period}", None)(request)

        served.answer = answer
        assert fetch(reference, access=access, path=PATH).digest == IMAGE.digest

    def test_a_plain_http_realm_elsewhere_gets_nothing(
        self, served: Served, other: Served, access: RegistryAccess
    ) -> None:
        reference = served.add(IMAGE)
        served.answer = token_answer(f"http://{other.host}/token", "t0ken", None)
        known = dataclasses.replace(access, docker_config=docker_config(served.host, username="a", password="b"))
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, access=known)
        assert caught.value.reason == "ForbiddenAddress"
        assert other.requests == []

    def test_a_token_service_that_gives_none(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{served.host}/token"'}
        served.answer = lambda request: (200, {}, b"[]") if "/token" in request.path else (401, challenge, b"")
        with pytest.raises(ModelFetchError, match="returns no token"):
            fetch(reference, access=access)


class TestRedirects:
    @staticmethod
    def storage(other: Served, served: Served) -> None:
        """Blobs come from ``other`` by presigned addresses that hold for eight requests and allow only GET."""
        state = {"signature": 0, "uses": 0}

        def redirect(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            if "/blobs/" not in request.path:
                return None
            if request.headers.get("authorization") != basic("a", "b"):
                return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b""
            state["signature"] += 1
            state["uses"] = 0
            location = f"http://eve:eve@{other.host}/storage/{request.path[-71:]}?signature={state['signature']}"
            return 307, {"Location": location}, b""

        def store(request: Request) -> tuple[int, dict[str, str], bytes] | None:
            state["uses"] += 1
            if not request.path.endswith(f"={state['signature']}") or state["uses"] > 8 or request.method != "GET":
                return 403, {}, b"SECRET BODY"
            return other.ranged(request, served.blobs[request.path.partition("?")[0][-71:]])

        served.answer, other.answer = redirect, store

    def test_the_target_is_remembered_renewed_and_never_given_credentials(
        self, served: Served, other: Served, access: RegistryAccess
    ) -> None:
        model = noisy_model(300_000, 30)
        reference = served.add(build([{"models/m.onnx": model}]))
        self.storage(other, served)
        known = RegistryAccess(
            insecure_registries=(served.host, other.host),
            docker_config=docker_config(served.host, username="a", password="b"),
        )
        assert len(parsed(fetch(reference, path=PATH, access=known).skeleton).graph.initializer) == 30
        asked = [path for path in served.paths() if "/blobs/" in path]
        assert 1 < len(asked) < len(other.requests) / 4
        assert basic("a", "b") in {request.headers.get("authorization") for request in served.requests}
        assert all("authorization" not in request.headers for request in other.requests)
        assert {request.method for request in other.requests} == {"GET"}

    def test_never_to_an_address_that_is_denied(self, served: Served, other: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        self.storage(other, served)
        known = dataclasses.replace(access, docker_config=docker_config(served.host, username="a", password="b"))
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, path=PATH, access=known)
        assert (caught.value.reason, caught.value.transient) == ("ForbiddenAddress", False)
        assert other.requests == []

    @pytest.mark.parametrize(
        "location",
        ["https://169.254.169.254/latest/meta-data", "https://[::ffff:169.254.169.254]/", "https://localhost/x"],
    )
    def test_never_to_metadata_or_loopback_by_https(
        self, served: Served, access: RegistryAccess, location: str
    ) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (302, {"Location": location}, b"") if "/blobs/" in request.path else None
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, path=PATH, access=access)
        assert caught.value.reason == "ForbiddenAddress"

    def test_not_without_end(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (302, {"Location": request.path + "x"}, b"")
        with pytest.raises(ModelFetchError, match="redirects more than"):
            fetch(reference, access=access)
        assert len(served.requests) < 10


class TestHostileHeaders:
    """Whatever a registry writes into its headers and documents, there is one clear error."""

    words = st.one_of(
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60),
        st.sampled_from(
            [
                "http://[", "https://a:99999/", "//", "ftp://x/y", "https://", "http://user:pass@127.0.0.1/", "file:///etc/passwd",
                "https://xn--/", "https://a..b/", "?", "https://[::1", "http://\u00ff/", "https:///x", "javascript:1",
            ]
        ),
    )  # fmt: skip

    @pytest.mark.slow
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(word=words)
    def test_locations_and_realms(self, served: Served, access: RegistryAccess, word: str) -> None:
        reference = f"{served.host}/team/model:1"
        quoted = word.replace("\\", "").replace('"', "")
        for answer in (
            (307, {"Location": word}, b""),
            (401, {"WWW-Authenticate": f'Bearer realm="{quoted}"'}, b""),
            (401, {"WWW-Authenticate": word}, b""),
            (429, {"Retry-After": "0" if word.isdigit() else word[:9]}, b""),
        ):
            served.answer = lambda request, answer=answer: answer
            with pytest.raises(ModelFetchError) as caught:
                fetch(reference, access=access, budget=FetchBudget(wall_seconds=0.3))
            assert str(caught.value).count("\n") == 0

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("sha256:" + "a" * 64),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["layers", "config", "manifests", "digest", "size", "mediaType", "annotations", "platform", "os"]
                ),
                inner,
            )
        ),
        max_leaves=25,
    )

    @pytest.mark.slow
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(document=json_values)
    def test_documents(self, served: Served, access: RegistryAccess, document: object) -> None:
        served.manifests["team/model/1"] = json.dumps(document).encode(), MANIFEST_TYPE
        with pytest.raises(ModelFetchError):
            fetch(f"{served.host}/team/model:1", access=access)


class TestFailures:
    def test_what_is_not_there(self, served: Served, access: RegistryAccess) -> None:
        with pytest.raises(ModelFetchError, match=r"team/model:1 does not exist") as caught:
            fetch(f"{served.host}/team/model:1", access=access)
        assert (caught.value.reason, caught.value.transient) == ("NotFound", False)
        assert "SECRET" not in str(caught.value)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_passing_failure_is_waited_out(self, served: Served, access: RegistryAccess, status: int) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (status, {"Retry-After": "0"}, b"") if len(served.requests) % 2 else None
        assert fetch(reference, access=access).digest == IMAGE.digest

    def test_a_lasting_failure_is_unavailable(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (503, {"Retry-After": "0"}, b"SECRET BODY")
        with pytest.raises(ModelFetchError, match="answers 503") as caught:
            fetch(reference, access=access)
        assert (caught.value.reason, caught.value.transient) == ("RegistryUnavailable", True)
        assert len(served.requests) == ATTEMPTS

    def test_a_long_wait_is_not_sat_out(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        served.answer = lambda request: (429, {"Retry-After": "3600"}, b"")
        started = time.monotonic()
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, access=access)
        assert caught.value.reason == "RegistryUnavailable"
        assert time.monotonic() - started < 600, "it waited for the hour that it was told"

    def test_nobody_there(self) -> None:
        with pytest.raises(ModelFetchError, match="cannot be connected to") as caught:
            fetch("127.0.0.1:1/team/model:1", access=RegistryAccess(insecure_registries=("127.0.0.1",)))
        assert caught.value.reason == "RegistryUnavailable"

    @pytest.mark.slow
    def test_no_such_host(self) -> None:
        with pytest.raises(ModelFetchError) as caught:
            fetch("registry.invalid/team/model:1")
        assert caught.value.reason == "RegistryUnavailable"

    def test_a_slow_one_runs_into_the_time_budget(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)

        def answer(request: Request) -> None:
            time.sleep(0.3)

        served.answer = answer
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, access=access, budget=FetchBudget(wall_seconds=0.5))
        assert caught.value.reason in {"FetchBudgetExceeded", "RegistryUnavailable"}

    @pytest.mark.parametrize(
        "content", [b"[]", b"{", b'{"layers": 3}', b'{"layers": [{"digest": "../../etc", "size": 1}]}']
    )
    def test_documents_that_are_none(self, served: Served, access: RegistryAccess, content: bytes) -> None:
        served.manifests["team/model/1"] = content, MANIFEST_TYPE
        with pytest.raises(ModelFetchError) as caught:
            fetch(f"{served.host}/team/model:1", access=access)
        assert caught.value.reason in {"RegistryMisbehaved", "UnsupportedMediaType"}

    def test_a_manifest_without_end(self, served: Served, access: RegistryAccess) -> None:
        served.manifests["team/model/1"] = b" " * (5 << 20), MANIFEST_TYPE
        with pytest.raises(ModelFetchError, match="more than was requested"):
            fetch(f"{served.host}/team/model:1", access=access)
        assert served.bytes_sent <= 5 << 20

    def test_the_byte_budget_holds(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(build([{"models/m.onnx": noisy_model(1 << 20, 4)}], compression="gzip"))
        with pytest.raises(ModelFetchError) as caught:
            fetch(reference, access=access, budget=FetchBudget(fetched_bytes=1 << 20))
        assert (caught.value.reason, caught.value.transient) == ("FetchBudgetExceeded", False)


class TestWhichRegistries:
    def test_loopback_is_denied_unless_listed(self, served: Served) -> None:
        with pytest.raises(ModelFetchError) as caught:
            fetch(served.add(IMAGE))
        assert caught.value.reason == "ForbiddenAddress"
        assert served.requests == []

    def test_a_name_that_resolves_to_a_denied_address(self) -> None:
        with pytest.raises(ModelFetchError) as caught:
            fetch("localhost:5000/team/model:1")
        assert caught.value.reason == "ForbiddenAddress"

    def test_only_allowed_ones(self, served: Served, access: RegistryAccess) -> None:
        reference = served.add(IMAGE)
        assert fetch(reference, access=dataclasses.replace(access, allowed_registries=(served.host,))).digest
        for narrow in ({"allowed_registries": ("*.example.com",)}, {"denied_registries": ("127.0.0.1",)}):
            with pytest.raises(ModelReferenceError) as caught:
                fetch(reference, access=dataclasses.replace(access, **narrow))
            assert caught.value.reason == "ForbiddenRegistry"

    def test_local_paths_can_be_closed(self, tmp_path: object) -> None:
        with pytest.raises(ModelReferenceError) as caught:
            fetch("/etc/hostname", access=RegistryAccess(local_paths=False))
        assert caught.value.reason == "InvalidModelReference"

    def test_a_mirror_comes_first_and_its_failure_does_not_matter(self, served: Served, other: Served) -> None:
        reference = served.add(IMAGE)
        other.add(IMAGE, repository="mirror/team/model")
        access = RegistryAccess(
            insecure_registries=("127.0.0.1",),
            mirrors={served.host: (f"http://{other.host}/mirror",)},
            docker_config=docker_config(served.host, username="a", password="b"),
        )
        assert fetch(reference, access=access).digest == IMAGE.digest
        assert served.requests == []
        assert other.requests
        other.manifests.clear()
        served.requests.clear()
        assert resolve(reference, access=access) == IMAGE.digest
        assert served.requests
        assert fetch(reference, access=access).digest == IMAGE.digest
        assert served.requests
