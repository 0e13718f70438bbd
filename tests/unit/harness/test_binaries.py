"""Where the real programs are looked for, and what names a build."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import binaries
from tests.harness.steps import StepError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing in KUBEBUILDER_ASSETS."""
    monkeypatch.setenv("JOULECAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    binaries._installed_go.cache_clear()
    return tmp_path / "cache"


def program_in(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_nothing_is_found_in_an_empty_cache() -> None:
    assert not binaries.is_built()
    assert not binaries.is_built(["promtool"])


def test_kubebuilder_assets_come_first_each_program_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = binaries._cached(binaries.KUBERNETES)
    program_in(folder, "etcd"), program_in(folder, "helm")
    assets = program_in(tmp_path / "assets", "etcd").parent
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.program("etcd") == assets / "etcd"
    assert binaries.program("helm") == folder / "helm"
    assert not binaries.is_built(["kubectl"])


def test_the_key_follows_the_module_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {binaries._cached(module) for module in binaries.MODULES}
    monkeypatch.setattr(binaries, "_go_version", lambda: "go1.99.0")
    keys |= {binaries._cached(module) for module in binaries.MODULES}
    assert len(keys) == 2 * len(binaries.MODULES)


def test_versions_are_those_of_go_mod() -> None:
    version = binaries.KUBERNETES.version("k8s.io/kubernetes")
    flags = binaries._linker_flags(binaries.KUBERNETES)
    assert re.fullmatch(r"v1\.\d+\.\d+", version)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion={version}" in flags
        assert f"-X {package}.gitMajor=1" in flags
        assert f"-X {package}.gitMinor={version.split('.')[1]}" in flags


def test_prometheus_calls_itself_by_its_release() -> None:
    required = binaries.PROMETHEUS.version("github.com/prometheus/prometheus")
    assert required == "v0.315.0"
    assert "-X github.com/prometheus/common/version.Version=3.15.0" in binaries._linker_flags(binaries.PROMETHEUS)


def test_a_module_that_is_not_required_is_named() -> None:
    with pytest.raises(StepError, match=r"tests/tools/go\.mod requires no example\.invalid/none"):
        binaries.KUBERNETES.version("example.invalid/none")


@pytest.mark.parametrize(
    ("version", "usable"), [("go1.25.9", False), ("go1.26.0", True), ("go2.0", True), ("devel", False)]
)
def test_an_old_go_is_passed_over(version: str, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_in(tmp_path / "path", "go").write_text(f"#!/bin/sh\necho {version}\n")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert binaries._installed_go() == ((tmp_path / "path" / "go", version) if usable else None)
    if not usable:
        assert binaries._go_version() == f"go{binaries._pinned_go()}"


def test_a_failed_build_leaves_no_program_and_shows_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = program_in(tmp_path / "path", "go")
    go.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\necho no space left on device; exit 1\n')
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    lines: list[str] = []
    with pytest.raises(StepError, match=r"Prometheus.*failed \(exit code 1\)[\s\S]*no space left on device"):
        binaries.ensure(["promtool"], lines.append)
    assert not binaries.is_built(["promtool"])
    assert lines[-1].startswith("building Prometheus")


def test_a_build_is_renamed_into_place_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Go writes what a build of the module would, and counts how often it is called."""
    go, calls = program_in(tmp_path / "path", "go"), tmp_path / "calls"
    built = " ".join({"etcd": "server"}.get(name, name) for name in binaries.KUBERNETES.programs)
    go.write_text(
        f"""#!/bin/sh
[ "$1" = env ] && echo go1.26.0 && exit
echo called >> {calls}
while [ "$1" != -o ]; do shift; done
for name in {built}; do echo > "$2$name"; chmod 755 "$2$name"; done
"""
    )
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    for name in binaries.KUBERNETES.programs:
        assert binaries.program(name, lambda line: None).name == name
    assert calls.read_text() == "called\n"


def test_the_modules_are_tidy() -> None:
    """Each program of ours is a tool of its go.mod."""
    for module in binaries.MODULES:
        tools = re.search(r"^tool \((.*?)^\)", (module.directory / "go.mod").read_text(), re.MULTILINE | re.DOTALL)
        assert tools is not None
        names = {
            line.strip().rpartition("/")[2].replace("v3", "server") for line in tools[1].split("\n") if line.strip()
        }
        assert {module.renamed.get(name, name) for name in names} == set(module.programs)


def test_listing_programs_that_are_unknown_fails_with_one_sentence() -> None:
    command = [binaries.sys.executable, "-m", "tests.harness.binaries", "docker"]
    done = subprocess.run(command, cwd=binaries.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown program 'docker'; known are etcd, ")
