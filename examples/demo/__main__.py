"""``make demo``: the whole of joulecast on one machine, against a real API server, a real registry and real Helm.

``KEEP=1`` leaves everything running and prints the KUBECONFIG.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from examples.demo import models, scenes, stop
from examples.demo.terminal import command, console, heading, say
from tests.harness import binaries
from tests.harness.cache import cache_directory
from tests.harness.processes import stop_directory
from tests.harness.steps import StepError

FIRST = ["--accelerator", "NVIDIA-H200", "--batch-size", "32", "--input", "x=batch,3,736,736"]


class Programs:
    """The real programs, built in the background where this machine has none yet."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._latest = ""
        self._thread = threading.Thread(target=self._build, name="programs", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        try:
            binaries.ensure(scenes.PROGRAMS, report=self._report)
        except Exception as error:
            self._error = error

    def _report(self, line: str) -> None:
        self._latest = line

    def wait(self) -> None:
        """Return once all are there. Raises what the build raised."""
        with console.status("looking for the control plane") as status:
            while self._thread.is_alive():
                self._thread.join(timeout=1)
                if self._latest:
                    status.update(self._latest)
                    if not console.is_terminal:
                        console.print(self._latest, markup=False)
                        self._latest = ""
        if self._error is not None:
            raise self._error


def first_minute(folder: Path) -> dict[str, Path]:
    """The forecast of a real model from an image on disk; returns all image layouts."""
    heading("A forecast from an image on disk: no GPU, no weights kept")
    layouts = models.layouts(folder)
    line = ["joulecast", "estimate", str(layouts[models.OCR]), *FIRST]
    command(" ".join(line))
    subprocess.run([str(Path(sys.executable).parent / "joulecast"), *line[1:]], check=True)
    return layouts


def main() -> int:
    keep = os.environ.get("KEEP", "") not in ("", "0")
    programs = Programs()
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=cache_directory()))
    if keep:
        stop.keep(folder)
    played = False
    try:
        layouts = first_minute(folder / "layouts")
        say("\nMeanwhile a real etcd, kube-apiserver, kube-controller-manager, Helm and registry are found or built.")
        programs.wait()
        scenes.play(folder, layouts, keep=keep)
        played = True
    except (StepError, RuntimeError, subprocess.CalledProcessError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; everything the demo started is stopped", markup=False)
        return 130
    finally:
        if not (keep and played):
            stop_directory(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
