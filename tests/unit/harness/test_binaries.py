"""Where the real programs are looked for, and what names a build."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import binaries
from tests.harness.steps import Standing, StepError


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


def test_helm_3_knows_the_kubernetes_of_its_client() -> None:
    """Else `helm template` and `helm lint` take the cluster for one of 1.20."""
    flags = binaries._linker_flags(binaries.HELM_3)
    minor = binaries.HELM_3.version("k8s.io/client-go").split(".")[1]
    for package in ("chartutil", "lint/rules"):
        assert f"-X helm.sh/helm/v3/pkg/{package}.k8sVersionMinor={minor}" in flags
    assert f"-X helm.sh/helm/v3/internal/version.version={binaries.HELM_3.version('helm.sh/helm/v3')}" in flags


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
    answers = '[ "$1" = env ] && echo go1.26.0 && exit\n[ "$1" = list ] && exit\n'
    go.write_text(f"#!/bin/sh\n{answers}echo no space left on device; exit 1\n")
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    told: list[Standing] = []
    with pytest.raises(StepError, match=r"promtool.*failed \(exit code 1\)[\s\S]*no space left on device"):
        binaries.ensure(["promtool"], told.append)
    assert not binaries.is_built(["promtool"])
    assert str(told[-1]).startswith("building promtool (minutes, the first time only): failed after")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in for Go on PATH that writes the programs it is asked for; returns the list of what it was told."""
    program, told = program_in(tmp_path / "path", "go"), tmp_path / "told"
    program.write_text(
        f"""#!/bin/sh
[ "$1" = env ] && echo go1.26.0 && exit
echo "$1" "$GOGC" >> {told}
[ "$1" = list ] && echo go: downloading a module && printf 'one/a\\n\\none/b\\none/c\\n' && exit
while [ "$1" != -o ]; do shift; done
folder=$2; shift 2
for package; do
  name=${{package%/v3}}; name=${{name##*/}}
  echo "$name" >> {told}; echo "$package" >&2; echo > "$folder$name"; chmod 755 "$folder$name"
done
"""
    )
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return told


def test_only_what_is_missing_is_built_in_the_order_of_the_question(go: Path) -> None:
    binaries.ensure(["kubectl", "etcd"])
    binaries.ensure(["etcd", "helm", "kubectl"])
    assert binaries.is_built(["etcd", "helm", "kubectl"])
    assert not binaries.is_built(["registry"])
    words = go.read_text().split()
    assert [word for word in words if word in {"kubectl", "server", "helm"}] == ["kubectl", "server", "helm"]
    assert (words.count("list"), words.count("build")) == (2, 2)


def test_every_program_is_built_under_its_usual_name(go: Path) -> None:
    every = (*binaries.PROGRAMS, *binaries.NODE_PROGRAMS)
    binaries.ensure(every)
    assert binaries.is_built(every)
    assert go.read_text().count("build") == len(binaries.MODULES)


def test_the_report_counts_packages_that_are_not_in_gos_cache(go: Path) -> None:
    told: list[Standing] = []
    binaries.program("small-registry", told.append)
    assert {(each.total, each.parts) for each in told if each.title.startswith("building")} == {(3, "packages")}
    assert told[-1].done == 1


def test_gos_memory_settings_are_the_users_if_there_are_some(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOGC", "50")
    binaries.program("small-registry")
    assert "build 50" in go.read_text().splitlines()


def test_each_program_is_a_tool_of_its_module() -> None:
    for module in binaries.MODULES:
        assert set(module.packages()) == set(module.programs)


def test_listing_programs_that_are_unknown_fails_with_one_sentence() -> None:
    command = [binaries.sys.executable, "-m", "tests.harness.binaries", "docker"]
    done = subprocess.run(command, cwd=binaries.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown program 'docker'; known are etcd, ")
