"""docs/images.md tells of every reason that reading a model can fail for."""

from __future__ import annotations

import re
from pathlib import Path

import joulecast.sources
from joulecast.errors import ModelFormatError, ModelReferenceError

ROOT = Path(__file__).parents[3]


def test_every_reason_is_documented() -> None:
    folder = Path(joulecast.sources.__file__).parent
    used = {reason for path in folder.rglob("*.py") for reason in re.findall(r'reason="(\w+)"', path.read_text())}
    used |= {ModelFormatError.default_reason, ModelReferenceError.default_reason}
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "images.md").read_text(), re.MULTILINE)
    assert set(table) == used
