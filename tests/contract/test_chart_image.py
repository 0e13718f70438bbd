"""The recipe of the images, by its structure; tests/e2e builds and runs them where buildah is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.calibrations.jobs import _USER, CalibrationRun, job
from joulecast_operator.calibrations.nodes import Target

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments on one line."""
    lines = [line for line in RECIPE.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def stages() -> list[list[tuple[str, str]]]:
    """Instructions by stage; what stands before the first FROM is left out."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def final_stage() -> list[tuple[str, str]]:
    return stages()[-1]


def named(name: str) -> list[tuple[str, str]]:
    """The stage of that name."""
    (found,) = [stage for stage in stages() if stage[0][1].endswith(f" AS {name}")]
    return found


PIP_INSTALL = re.compile(r"pip (?:--python \S+ )?install ([^&\n]+)")


def test_every_base_is_an_argument_with_a_default() -> None:
    defaults = dict(argument.split("=", 1) for argument in arguments("ARG"))
    own = {rest.rpartition(" AS ")[2] for rest in arguments("FROM")} | {"scratch"}
    bases = {base for rest in arguments("FROM") if (base := rest.split()[0]) not in own}
    assert bases == {f"${{{name}}}" for name in defaults}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", default) for default in defaults.values())


def test_packages_come_from_the_locks_by_hash_and_no_source_is_compiled() -> None:
    installs = PIP_INSTALL.findall("\n".join(arguments("RUN")))
    locked = [install for install in installs if "-r " in install]
    assert len(locked) == 4
    assert all({"--require-hashes", "--only-binary"} <= set(install.split()) for install in locked)
    assert all({"--no-deps", "--no-index"} <= set(install.split()) for install in installs if install not in locked)


def test_what_fetches_packages_takes_the_configuration_and_the_authorities_of_the_machine_as_secrets() -> None:
    fetching = [rest for rest in arguments("RUN") if "--require-hashes" in rest]
    assert len(fetching) == 4
    for rest in fetching:
        assert "--mount=type=secret,id=pip,target=/etc/pip.conf " in rest
        assert "--mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt " in rest


def test_what_runs_is_the_operators_lock_without_torch() -> None:
    assert any(rest.split(" -r ")[-1] == "/source/requirements/operator.txt" for _, rest in named("build"))
    (zones,) = [rest for _, rest in named("build") if "-r /source/requirements/zones.txt" in rest]
    assert "--no-deps" in zones
    assert "-path '*/codecarbon/*' ! -name global_energy_mix.json" in zones, "the table of countries alone is kept"
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "operator.txt").read_text(), re.MULTILINE)
    assert not {"torch", "torchvision", "transformers", "timm", "onnxruntime", "hatchling"} & set(pins)
    assert {"kopf", "prometheus-client", "pydantic", "onnx"} <= set(pins)


@pytest.mark.parametrize("name", ["build", "build-calibration"])
def test_what_runs_has_no_pip_and_no_tests_and_says_what_it_consists_of(name: str) -> None:
    made = " ".join(rest for word, rest in named(name) if word == "RUN")
    assert "-m venv --without-pip /opt/joulecast " in made
    assert "cyclonedx-py environment" in made
    assert "-name tests" in made
    assert made.index("-name tests") < made.index("-m compileall")


def test_compiled_modules_hold_whatever_time_a_builder_gives_their_sources() -> None:
    """A read-only image cannot compile a module again, and builders set the times of files."""
    compiling = [rest for rest in arguments("RUN") if "compileall" in rest]
    assert len(compiling) == 2
    assert all("--invalidation-mode unchecked-hash" in rest for rest in compiling)
    installing = [install for install in PIP_INSTALL.findall("\n".join(arguments("RUN"))) if "image.txt" not in install]
    assert all("--no-compile" in install for install in installing)


@pytest.mark.parametrize("stage", [final_stage(), named("calibration")], ids=["processes", "calibration"])
def test_it_runs_as_a_user_by_number_that_is_not_root(stage: list[tuple[str, str]]) -> None:
    users = [rest for word, rest in stage if word == "USER"]
    assert len(users) == 1
    assert all(int(part) > 0 for part in users[0].split(":"))
    assert [word for word, _ in stage].index("USER") < [word for word, _ in stage].index("ENTRYPOINT")


@pytest.mark.parametrize(
    ("stage", "source"),
    [(final_stage(), "build"), (named("calibration"), "build-calibration")],
    ids=["processes", "calibration"],
)
def test_a_stage_that_runs_only_takes_what_was_installed(stage: list[tuple[str, str]], source: str) -> None:
    words = [word for word, _ in stage]
    assert "RUN" not in words
    assert "ADD" not in words
    assert [rest for word, rest in stage if word == "COPY"] == [f"--from={source} /opt/joulecast /opt/joulecast"]


def test_calibrations_have_torch_and_the_same_wheel_by_the_lock() -> None:
    build = [rest for word, rest in named("build-calibration") if word in ("RUN", "COPY")]
    assert any(rest.endswith("-r /source/requirements/calibration.txt") for rest in build)
    assert "--from=wheel /opt/wheels /opt/wheels" in build
    assert any("--no-index /opt/wheels/joulecast-*.whl" in rest for rest in build)
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "calibration.txt").read_text(), re.MULTILINE)
    assert {"torch", "torchvision", "timm", "transformers", "nvidia-ml-py", "scikit-learn"} <= set(pins)
    assert not {"kopf", "kubernetes"} & set(pins)


def test_both_environments_are_made_alike_but_for_the_locks_and_what_is_not_compiled() -> None:
    """Stages have no parameters, so the recipe has the same instructions twice."""
    processes, calibrations = (
        [re.sub(r" -x '[^']+'", "", " ".join(each)) for each in named(name)[1:]]
        for name in ("build", "build-calibration")
    )
    processes = [
        each.replace(" requirements/zones.txt", "") for each in processes if "-r /source/requirements/zones" not in each
    ]
    assert processes == [each.replace("/calibration.txt", "/operator.txt") for each in calibrations]


def test_the_jobs_command_line_finds_its_programs_in_the_calibration_stage() -> None:
    """`python3` and `joulecast` on PATH, the user of the Job's pod, the driver's parts for CUDA and NVML."""
    environment = " ".join(rest for word, rest in named("calibration") if word == "ENV").split()
    assert "PATH=/opt/joulecast/bin:$PATH" in environment
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment
    assert [rest for word, rest in named("calibration") if word == "USER"] == [f"{_USER}:{_USER}"]
    spec = CalibrationSpec(accelerator="NVIDIA-L40S", quick=True)
    metadata = {"name": "a", "namespace": "n", "uid": "0123456789"}
    target = Target(product="NVIDIA-L40S", labels={})
    made = job(
        CalibrationRun(calibration={"metadata": metadata}, spec=spec, number=1, target=target, image="joulecast-torch")
    )
    (container,) = made["spec"]["template"]["spec"]["containers"]
    python, *module = container["command"]
    assert (python, module) == ("python3", ["-m", "joulecast_operator.calibrations.pod"])
    program = container["args"][container["args"].index("--") + 1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert program in project["project"]["scripts"]
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [
        "estimator/joulecast",
        "estimator/joulecast_calibration",
        "operator/joulecast_operator",
    ]


@pytest.mark.slow
def test_what_the_jobs_command_line_imports_is_in_the_calibration_stage() -> None:
    """The pod's module, `joulecast calibrate` and all that measures and fits, with every other package out of reach."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "calibrate" in done.stdout


IMPORTS = f"""
import importlib.metadata, pkgutil, re, sys
pins = re.findall(r"^([\\w.-]+)==", open({str(ROOT / "requirements" / "calibration.txt")!r}).read(), re.M)
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
inside = {{plain(pin) for pin in pins}} | {{"joulecast", "pip", "setuptools"}}
outside = {{
    module
    for module, owners in importlib.metadata.packages_distributions().items()
    if not inside & {{plain(owner) for owner in owners}}
}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in outside:
            raise ModuleNotFoundError(name + " is not in the image", name=name)
sys.meta_path.insert(0, Absent())
assert "kopf" in outside and "torch" not in outside
import joulecast_operator.calibrations.pod
import joulecast_calibration
for found in pkgutil.walk_packages(joulecast_calibration.__path__, "joulecast_calibration."):
    if not found.name.startswith("joulecast_calibration.evaluate") and not found.name.endswith("__main__"):
        __import__(found.name)
from joulecast.cli import main
sys.argv = ["joulecast", "calibrate", "--help"]
main()
"""


def test_its_user_is_the_charts() -> None:
    helpers = (ROOT / "charts" / "joulecast" / "templates" / "_helpers.tpl").read_text()
    user = next(rest for word, rest in final_stage() if word == "USER")
    assert user == ":".join(re.findall(r"runAs(?:User|Group): (\d+)", helpers))


def test_what_is_copied_exists_and_the_ignore_file_lets_it_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [part for rest in arguments("COPY") if "--from" not in rest for part in rest.split()[:-1]]
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
