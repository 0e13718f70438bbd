"""The operator's main processes stay small: no model library, no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("onnx", "numpy", "torch", "joulecast.readers", "joulecast.counting", "httpx2")


@pytest.mark.parametrize("module", ["controller", "webhook"])
def test_main_processes_import_nothing_heavy(module: str) -> None:
    code = f"import sys, joulecast_operator.{module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_fetcher_imports_no_model_library() -> None:
    code = "import sys, joulecast_operator.fetcher; print([n for n in ('onnx', 'numpy', 'torch') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
