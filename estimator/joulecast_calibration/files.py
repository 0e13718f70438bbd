"""Write files that are complete whenever they are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from joulecast.errors import MeasurementError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write ``content`` to ``path`` completely or not at all, even if the process is killed.

    Text is written as UTF-8, and the folder is created. Raises MeasurementError (NotWritable).
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, str | bytes]) -> None:
    """Write several files as ``write_whole`` does; none takes its place before all of them are on the disk."""
    fresh: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            fresh[path] = _written_beside(path, content)
        for path, written in fresh.items():
            written.replace(path)
    except OSError as error:
        raise MeasurementError(
            f"{path} cannot be written ({error.strerror}): give a place that you may write to", reason="NotWritable"
        ) from None
    finally:
        for written in fresh.values():
            written.unlink(missing_ok=True)


def _written_beside(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
