"""Set up matplotlib without a display, so that equal figures give equal bytes.

Needs the extra ``report``.
"""

from __future__ import annotations

from typing import Any

from joulecast.errors import JoulecastError


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``. Raises JoulecastError (MissingDependency) where it is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise JoulecastError(
            "drawing needs matplotlib, which is not installed: pip install 'joulecast[report]'",
            reason="MissingDependency",
        ) from None
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "joulecast"  # the same file for the same figures
    from matplotlib import pyplot as found

    return found
