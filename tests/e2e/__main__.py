"""Build programs and images, and run this package in namespaces: `python -m tests.e2e [PYTEST-ARGUMENTS]`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.e2e import images
from tests.harness import binaries
from tests.harness.cache import cache_directory, locked
from tests.harness.environment import ROOT
from tests.harness.node import isolation, prerequisites
from tests.harness.steps import StepError

DIRECTORY = "JOULECAST_E2E"  # the variable that tells the tests where they work, and that they are in their namespaces


def main() -> int:
    try:
        prerequisites.check()
        directory = _directory()
        with locked(directory.with_suffix(".lock"), "`make e2e`"):
            binaries.ensure((*binaries.PROGRAMS, *binaries.NODE_PROGRAMS))
            shutil.rmtree(directory, ignore_errors=True)
            images.build(directory / "images")
            return _tested(directory)
    except (StepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _directory() -> Path:
    directory = cache_directory() / "e2e"
    if isolation.is_hidden(directory):
        raise StepError(
            f"{directory} lies below a folder that the node gets a layer of its own for:"
            " set JOULECAST_CACHE to a folder elsewhere"
        )
    return directory


def _tested(directory: Path) -> int:
    # each file needs what those before it did
    command = [sys.executable, "-m", "pytest", ROOT / "tests" / "e2e", "--exitfirst", *sys.argv[1:]]
    code = isolation.run(command, environment={**os.environ, DIRECTORY: str(directory)})
    if code == 0:
        shutil.rmtree(directory)
    else:
        print(f"logs of all programs and pods: {directory}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
