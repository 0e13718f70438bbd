"""Settings for every test."""

import os

from hypothesis import HealthCheck, settings

# CI=true: the same examples in each run; nowhere a deadline, on a machine that others use, too
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", **PATIENT)
settings.register_profile("ci", derandomize=True, **PATIENT)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# a process that shares the tests with others inherits the size that readline guesses: no terminal is no limit of width
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
