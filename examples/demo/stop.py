"""``make demo-stop``: end and remove what ``make demo KEEP=1`` left running, on this machine, of every clone."""

from __future__ import annotations

import shutil
from pathlib import Path

from examples.demo.terminal import say
from tests.harness.cache import cache_directory
from tests.harness.processes import stop_directory

PATTERN = "demo-*"


def main() -> None:
    folders = sorted(cache_directory().glob(PATTERN))
    for folder in folders:
        stopped = stop_directory(folder)
        shutil.rmtree(folder, ignore_errors=True)
        say(f"stopped {', '.join(stopped) or 'nothing'} and removed {Path(folder).name}")
    if not folders:
        say("no kept demo is here")


if __name__ == "__main__":
    main()
