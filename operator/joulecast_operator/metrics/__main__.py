"""Print docs/metrics.md: `python -m joulecast_operator.metrics > docs/metrics.md`."""

import sys

from joulecast_operator.metrics.page import reference

sys.stdout.write(reference())
