"""The cache outside the tree: built programs and downloaded models, shared by every clone on this machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """`JOULECAST_CACHE`, else `joulecast` under the XDG cache directory; made if it is not there."""
    base = os.environ.get("JOULECAST_CACHE")
    directory = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "joulecast"
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the file lock `path`; says once whom it waits for. The kernel lets it go when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run to finish {waiting_for} ({path})", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
