"""What starting each process loads, and what it must not."""

import subprocess
import sys

import pytest

FRAMEWORKS = {"torch", "torchvision", "transformers", "timm", "onnxruntime"}
KUBERNETES = {"kopf", "kubernetes", "prometheus_client", "joulecast_operator"}
FORMATS = {"onnx", "numpy"}


def loaded(statement: str) -> set[str]:
    """The top-level packages in `sys.modules` after `statement`, in a fresh Python."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize(
    "module", ["joulecast", "joulecast.cli", "joulecast.cli.application", "joulecast.api.forecasting"]
)
def test_the_library_and_the_command_line_load_no_framework_and_no_kubernetes(module: str) -> None:
    assert loaded(f"import {module}") & (FRAMEWORKS | KUBERNETES) == set()


def test_profiling_an_onnx_file_loads_no_framework() -> None:
    assert loaded("import joulecast.readers.onnx, joulecast.counting") & FRAMEWORKS == set()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["controller", "webhook", "metrics.page", "__main__"])
def test_the_main_processes_of_the_operator_load_no_model_format(module: str) -> None:
    """Their memory is bounded because only the killable workers read models."""
    assert loaded(f"import joulecast_operator.{module}") & (FRAMEWORKS | FORMATS) == set()


@pytest.mark.slow
def test_kubectl_joulecast_loads_only_what_its_extra_brings() -> None:
    of_operator = {"kopf", "aiohttp", "prometheus_client", "cryptography", "croniter", "obstore"}
    assert loaded("import joulecast_operator.kubectl.application") & (of_operator | FRAMEWORKS | {"onnx"}) == set()
