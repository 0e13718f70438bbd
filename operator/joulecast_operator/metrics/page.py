"""Make the reference page docs/metrics.md from the declarations of all metrics."""

from __future__ import annotations

from typing import Final

from joulecast_operator.metrics import work
from joulecast_operator.metrics.calibrations import CALIBRATION_ERROR, CALIBRATION_INFO, CALIBRATION_PROGRESS
from joulecast_operator.metrics.certificates import CERTIFICATE_BEHIND
from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.metrics.estimates import FAMILIES
from joulecast_operator.metrics.fleet.costs import COSTS
from joulecast_operator.metrics.fleet.sites import SITE_METRICS
from joulecast_operator.metrics.fleet.workloads import WORKLOAD_METRICS
from joulecast_operator.metrics.plans import PLANS
from joulecast_operator.metrics.reconciles import OPERATOR, REFUSED
from joulecast_operator.metrics.webhook import CERTIFICATE_EXPIRY, DURATION, REFUSED_REQUESTS, REQUESTS
from joulecast_operator.metrics.work import ISOLATED

METRICS: Final = (
    *FAMILIES,
    *COSTS,
    *SITE_METRICS,
    *WORKLOAD_METRICS,
    CALIBRATION_ERROR,
    CALIBRATION_PROGRESS,
    CALIBRATION_INFO,
    *PLANS,
    ISOLATED,
    REFUSED,
    *work.METRICS,
    REQUESTS,
    REFUSED_REQUESTS,
    DURATION,
    CERTIFICATE_EXPIRY,
    CERTIFICATE_BEHIND,
    *OPERATOR,
)


def reference() -> str:
    """Return the content of docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Both processes serve `/metrics` on `--metrics-port`, over TLS, to accounts that may get that URL:",
        "[security.md](security.md#metrics). This page is generated:",
        "`python -m joulecast_operator.metrics > docs/metrics.md`.",
        "",
        "| metric | kind | served by | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [_reference_row(metric) for metric in METRICS]
    return "\n".join([*lines, "", *_REFERENCE_NOTES])


_REFERENCE_NOTES: Final = (
    "A result of a language model's requests has the metrics of requests and tokens in place of those of a batch.",
    "`workload_kind` and `workload` name the workload that an estimate targets or was created for; both are empty for",
    "one of an image.",
    "Forecasts are served while their estimate is Ready: the result that its summary names, or all results with",
    "`--metrics-all-results` (`metrics.allResults` of the chart). The series of a deleted estimate end. Those of",
    "a workload, three at most, are left out with `--metrics-workloads=false` (`metrics.workloads` of the chart). The",
    "usual `process_*` and `python_info` metrics are served too.",
    "",
)


def _reference_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {metric.process} | {labels} | {metric.text} |"
