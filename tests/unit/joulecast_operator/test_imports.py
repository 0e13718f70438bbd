"""Test that the operator's main processes import neither torch nor a library for models."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("onnx", "numpy", "torch", "joulecast.readers", "joulecast.counting", "httpx2")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["controller", "webhook"])
def test_main_processes_import_nothing_heavy(module: str) -> None:
    code = f"import sys, joulecast_operator.{module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_fetcher_imports_no_model_library() -> None:
    loaded = "[name for name in ('onnx', 'numpy', 'torch') if name in sys.modules]"
    code = f"import sys, joulecast_operator.workers.fetcher; print({loaded})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["controller", "webhook"])
def test_the_cluster_client_loads_none_of_its_typed_groups(module: str) -> None:
    groups = (
        "{n for n in sys.modules if n.startswith('kubernetes.') and n.rpartition('.')[0].endswith(('.api', '.models'))}"
    )
    code = f"import sys, kopf; own = {groups}; import joulecast_operator.{module}; print({groups} - own)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
    assert "kubernetes.client.models" in subprocess.check_output(
        [sys.executable, "-c", f"import sys, kubernetes.client as c; c.V1Pod; print({groups})"], text=True
    )
