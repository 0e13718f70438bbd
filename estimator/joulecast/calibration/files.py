"""Files that are whole whenever they are read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from joulecast.errors import MeasurementError


def write_whole(path: Path, text: str) -> None:
    """``text`` into ``path``, all of it or nothing, whoever dies meanwhile; its folder is made. Raises
    MeasurementError (NotWritable)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(fresh).chmod(0o644)
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise MeasurementError(
            f"{path} cannot be written ({error.strerror}): give a place that you may write to", reason="NotWritable"
        ) from None
