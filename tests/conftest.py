"""Settings for every test."""

import os

from hypothesis import HealthCheck, settings

# CI=true: the same examples in each run; nowhere a deadline, on a machine that others use, too
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", **PATIENT)
settings.register_profile("ci", derandomize=True, **PATIENT)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# readline sets these to 80 columns where there is no terminal, and pytest-xdist's processes inherit them; without a
# terminal, joulecast's tables have no limit of width, which tests expect
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
