"""``make demo-stop``: end and remove what ``make demo KEEP=1`` left running, on this machine, of every clone."""

from __future__ import annotations

import shutil
from pathlib import Path

from examples.demo.terminal import say
from tests.harness.cache import cache_directory
from tests.harness.processes import stop_directory

MARK = "kept"


def keep(folder: Path) -> None:
    """Mark the folder of a demo as one to stop; a demo that is still playing in another clone has no such mark."""
    (folder / MARK).touch()


def kept(cache: Path) -> list[Path]:
    """The folders of kept demos."""
    return sorted(mark.parent for mark in cache.glob(f"demo-*/{MARK}"))


def main() -> None:
    folders = kept(cache_directory())
    for folder in folders:
        stopped = stop_directory(folder)
        shutil.rmtree(folder, ignore_errors=True)
        say(f"stopped {', '.join(stopped) or 'nothing'} and removed {folder.name}")
    if not folders:
        say("no kept demo is here")


if __name__ == "__main__":
    main()
