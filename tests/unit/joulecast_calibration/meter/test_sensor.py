"""The machine's clock, and what the measuring path loads."""

from __future__ import annotations

import subprocess
import sys

from joulecast_calibration.meter.sensor import MonotonicClock


def test_time_only_goes_on() -> None:
    clock = MonotonicClock()
    before = clock.seconds()
    clock.sleep(0.002)
    assert clock.seconds() - before >= 0.002


def test_a_measuring_machine_needs_numpy_and_pynvml_only() -> None:
    program = (
        "import sys; import joulecast_calibration.meter, joulecast_calibration.meter.nvml;"
        "print(' '.join({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if not name.startswith("_")}  # underscores: what installed packages hook in
    assert ours <= {"joulecast", "joulecast_calibration", "numpy", "pynvml", "sitecustomize", "usercustomize"}
