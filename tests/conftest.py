"""Settings for every test."""

import os

from hypothesis import settings

# CI=true: the same examples in each run, and no deadline on a machine that others use, too
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
