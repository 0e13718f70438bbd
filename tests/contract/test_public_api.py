"""``import joulecast``: what it offers, what it costs, and that what is written of it is true."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import joulecast

PACKAGE = Path(joulecast.__file__).parent
HEAVY = ("onnx", "numpy", "torch", "onnxruntime", "typer", "rich", "httpx2", "yaml")


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, joulecast; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_a_dataclass_or_an_error_costs_no_library() -> None:
    loaded = run("import sys, joulecast; joulecast.Workload(); joulecast.WorkloadError; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


@pytest.mark.parametrize("name", joulecast.__all__)
def test_every_public_name_is_there_and_told_by_dir(name: str) -> None:
    assert getattr(joulecast, name) is not None
    assert name in dir(joulecast)


def test_checkers_see_the_same_names_as_programs() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == {name: f"joulecast.{module}" for name, module in joulecast._EXPORTS.items()}
    assert (PACKAGE / "py.typed").exists()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        joulecast.frobnicate  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_function_is_documented_and_typed() -> None:
    functions = [getattr(joulecast, name) for name in joulecast.__all__ if name.islower() and name != "__version__"]
    assert functions
    for function in functions:
        assert function.__doc__, function
        assert "return" in function.__annotations__, function


def test_all_errors_have_one_base() -> None:
    errors = [getattr(joulecast, name) for name in joulecast.__all__ if name.endswith("Error")]
    assert len(errors) > 5
    assert all(issubclass(error, joulecast.JoulecastError) for error in errors)
