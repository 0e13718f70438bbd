"""Keep results in a folder of bounded size, from which the least recently used are removed.

All content can be computed again, so that losing it only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

_SLACK: Final = 0.8  # share of the capacity that a clean-up leaves, so that not every write starts a clean-up


def key(*parts: Any) -> str:
    """Return the file name of a result: a hash of the parts that identify it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """Keeps bytes by key in ``folder``, at most ``capacity_bytes`` in all. Disk errors count as misses."""

    def __init__(self, folder: Path, *, capacity_bytes: int) -> None:
        self._folder = folder
        self._capacity_bytes = capacity_bytes
        self._used_bytes = sum(size for _, size, _ in self._files())

    def __contains__(self, key: str) -> bool:
        try:
            return (self._folder / key).is_file()
        except OSError:
            return False

    def get(self, key: str) -> bytes | None:
        """Return the content of ``key``; None if it is not here."""
        path = self._folder / key
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write ``data`` completely or not at all."""
        if len(data) > self._capacity_bytes:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(self._folder / key, data)
            self._used_bytes += len(data)
        if self._used_bytes > self._capacity_bytes:
            self._evict()

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, partial = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def _evict(self) -> None:
        self._used_bytes = sum(size for _, size, _ in self._files())
        for _, size, path in sorted(self._files()):
            if self._used_bytes <= _SLACK * self._capacity_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                self._used_bytes -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    found.append((stat.st_mtime, stat.st_size, path))
        return found
