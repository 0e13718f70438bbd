"""``make demo``: the whole of joulecast on one machine, against a real API server, a real registry and real Helm.

``KEEP=1`` leaves everything running and prints the KUBECONFIG. ``CLUSTER=1`` takes the cluster of your KUBECONFIG.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.demo import guest, models, scenes, stop, users_cluster
from examples.demo.programs import Programs
from examples.demo.terminal import command, console, heading, say
from tests.harness.cache import cache_directory
from tests.harness.processes import stop_directory
from tests.harness.steps import StepError

FIRST = ["--accelerator", "NVIDIA-H200", "--batch-size", "32", "--input", "x=batch,3,736,736"]


def first_minute(folder: Path) -> dict[str, Path]:
    """The forecast of a real model from an image on disk; returns all image layouts."""
    heading("A forecast from an image on disk: no GPU, no weights kept")
    layouts = models.layouts(folder)
    line = ["joulecast", "estimate", str(layouts[models.OCR]), *FIRST]
    command(" ".join(line))
    subprocess.run([str(Path(sys.executable).parent / "joulecast"), *line[1:]], check=True)
    return layouts


def own_cluster(folder: Path, *, keep: bool) -> None:
    """The demo with a control plane of its own."""
    programs = Programs(scenes.PROGRAMS)
    layouts = first_minute(folder / "layouts")
    say("\nMeanwhile a real etcd, kube-apiserver, kubectl, Helm and registry are found or built.")
    programs.wait()
    scenes.play(folder, layouts, keep=keep)


def as_guest(folder: Path) -> None:
    """The demo in the cluster of KUBECONFIG, which is checked before anything else if there is a kubectl for it."""
    if shutil.which("kubectl"):
        users_cluster.check()
    programs = Programs(guest.programs())
    layouts = first_minute(folder / "layouts")
    programs.wait()
    users_cluster.check()
    guest.play(folder, layouts)


def main() -> int:
    keep, cluster = (os.environ.get(name, "") not in ("", "0") for name in ("KEEP", "CLUSTER"))
    if keep and cluster:
        console.print("error: CLUSTER=1 leaves nothing in your cluster, so KEEP=1 does not go with it", style="red")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as after Ctrl-C
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=cache_directory()))
    if keep:
        stop.keep(folder)
    played = False
    try:
        as_guest(folder) if cluster else own_cluster(folder, keep=keep)
        played = True
    except (StepError, RuntimeError, subprocess.CalledProcessError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
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
