"""What the image of both processes holds, what it weighs, and that it runs as the chart runs it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests import small_models
from tests.harness.environment import ROOT
from tests.image.conftest import Image

ENVIRONMENT = Path("opt/joulecast")
BUDGET_BYTES = 300_000_000  # above the base: docs/adr/0173-build-lean-images-from-one-recipe.md
UNUSED = re.compile(r"/kubernetes/(aio/)?client/(models|api)/[^_]")  # typed objects
LOCKS = [ROOT / "requirements" / f"{name}.txt" for name in ("operator", "zones")]


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(image: Image) -> dict[str, str]:
    """The packages of the image by name, with their versions."""
    (packages,) = (image.root / ENVIRONMENT / "lib").glob("python3*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    return {canonical(each.metadata["Name"]): each.version for each in found}


def test_it_weighs_at_most_300_megabytes_above_its_base(image: Image) -> None:
    assert sum(path.stat().st_size for path in files(image.root / ENVIRONMENT)) <= BUDGET_BYTES


def test_it_adds_nothing_to_its_base_but_the_environment(image: Image) -> None:
    """What a stage before made, caches and the configuration of pip among it, stays behind."""
    assert not [name for name in ("source", "opt/build", "opt/wheels", "etc/pip.conf") if (image.root / name).exists()]
    assert [path.name for path in (image.root / "opt").iterdir()] == ["joulecast"]
    assert not any((image.root / "root").rglob("*.cache*"))


def test_it_holds_the_packages_of_the_lock_and_no_pip(image: Image) -> None:
    locked = "".join(lock.read_text() for lock in LOCKS)
    pins = {canonical(name) for name in re.findall(r"^([\w.-]+)==", locked, re.MULTILINE)}
    found = installed(image)
    assert found.keys() - pins == {"joulecast"}
    assert pins - found.keys() == set()


def test_it_knows_the_carbon_of_countries_and_has_none_of_codecarbons_code(image: Image) -> None:
    source = image.python("from joulecast.site import zone_carbon; print(zone_carbon('DEU').source)")
    assert source.startswith(f"codecarbon {installed(image)['codecarbon']}: Germany, ")
    left = [path.name for path in files(image.root / ENVIRONMENT) if "codecarbon" in path.parts]
    assert left == ["global_energy_mix.json"]


def test_tests_of_other_packages_are_left_out(image: Image) -> None:
    assert not [path for path in (image.root / ENVIRONMENT).rglob("tests") if path.is_dir()]


def test_every_module_that_is_used_is_compiled(image: Image) -> None:
    """The compiled module does not ask for the time of its source: its flags say so (PEP 552)."""
    used = [path for path in (image.root / ENVIRONMENT / "lib").rglob("*.py") if not UNUSED.search(str(path))]
    compiled = list((image.root / ENVIRONMENT / "lib").rglob("*.pyc"))
    assert len(compiled) == len(used) > 1000
    flags = {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled}
    assert flags == {0b01}  # hash-based, and not checked


def test_no_module_that_is_used_is_left_uncompiled(image: Image) -> None:
    program = """
import sys, joulecast_operator.controller, joulecast_operator.webhook, joulecast_operator.cluster.client
print("\\n".join(found for module in sys.modules.values() if (found := getattr(module, "__file__", None))))
"""
    left = {Path(path).name for path in image.python(program).splitlines() if UNUSED.search(path)}
    assert len(left) <= 5, left  # of hundreds: metadata of objects, which the client's own modules import


def test_its_bill_of_materials_names_every_package_with_its_version(image: Image) -> None:
    document = json.loads((image.root / ENVIRONMENT / "sbom.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    named = {canonical(each["name"]): each["version"] for each in document["components"]}
    assert named == installed(image)


def test_its_labels_say_what_it_is(image: Image) -> None:
    labels = {name.rpartition(".")[2]: value for name, value in image.config["Labels"].items()}
    assert labels["title"] == "joulecast"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])


def test_it_runs_as_a_user_who_can_write_to_tmp_alone(image: Image) -> None:
    program = """
import os, pathlib
pathlib.Path("/tmp/x").write_text("")
for folder in ("/", "/opt/joulecast", "/var/tmp"):
    try:
        pathlib.Path(folder, "x").write_text("")
    except OSError:
        continue
    raise SystemExit(f"{folder} can be written to")
print(os.getuid(), os.getgid())
"""
    assert image.python(program) == "65532 65532"


def test_both_processes_start(image: Image) -> None:
    for process in ("controller", "webhook"):
        done = image.run(*image.config["Entrypoint"], process, "--help")
        assert done.returncode == 0, done.stderr.decode()
        assert process in done.stdout.decode()
    assert image.config["Cmd"] == ["controller"]


def test_the_command_line_forecasts_a_file(image: Image, tmp_path: Path) -> None:
    model = small_models.classifier(tmp_path / "model.onnx").read_bytes()
    estimate = "joulecast estimate /tmp/model.onnx -b 8 -a NVIDIA-H100-80GB-HBM3 -o json"
    done = image.run("sh", "-c", f"cat > /tmp/model.onnx && exec {estimate}", stdin=model)
    assert done.returncode == 0, done.stderr.decode()
    (result,) = json.loads(done.stdout)["results"]
    assert result["joules_per_batch"] > 0


def test_neither_torch_nor_pip_can_be_imported(image: Image) -> None:
    program = "from importlib.util import find_spec; print([n for n in ('torch', 'pip', 'setuptools') if find_spec(n)])"
    assert image.python(program) == "[]"


def test_every_module_of_its_packages_can_be_imported(image: Image) -> None:
    """Nothing that was left out is missed: what joulecast imports, and all of its own modules."""
    program = """
import importlib, pkgutil
for package in ("joulecast", "joulecast_operator"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        try:
            found.name.endswith("__main__") or importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "torchvision", "timm", "transformers", "onnxruntime"):
                raise
"""
    image.python(program)
