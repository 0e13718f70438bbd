"""The meter's error by kind of load and of sensor, on simulated devices: ``python -m benchmarks.meter [--seeds N]``."""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Sequence

from benchmarks.meter_cases import CASES, Case, Outcome, constants_of, run
from joulecast_calibration.meter import CounterConstants, Policy
from joulecast_calibration.meter.simulated.presets import PRESETS


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meter", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="devices of each kind (default: 5)")
    parser.add_argument("--seconds", type=float, help="windows of this length, else as long as the meter finds good")
    parser.add_argument("--sensor", choices=sorted(PRESETS), action="append", help="only this one; may be repeated")
    options = parser.parse_args(arguments)
    names = tuple(options.sensor or PRESETS)
    policy = Policy.fixed(options.seconds) if options.seconds else None
    print("\n".join(table(names, range(options.seeds), policy)))


def table(names: Sequence[str], seeds: Sequence[int], policy: Policy | None) -> list[str]:
    """Lines: a row a case, a column a sensor."""
    constants = {(name, seed): constants_of(name, seed) for name in names for seed in seeds}
    rows = [[case.name, *(cell(case, name, seeds, constants, policy) for name in names)] for case in CASES]
    head = ["load", *names]
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows), "", *_legend()]


def cell(
    case: Case,
    name: str,
    seeds: Sequence[int],
    constants: dict[tuple[str, int], CounterConstants],
    policy: Policy | None,
) -> str:
    """Median and worst error of the windows, what they said against themselves, and how many were wrong in silence."""
    outcomes = [run(case, name, seed, constants[name, seed], policy) for seed in seeds]
    parts = [_errors(outcomes)]
    flags = Counter(flag for outcome in outcomes for flag in outcome.flags)
    parts += [f"{flag} {count}/{len(outcomes)}" for flag, count in flags.items()]
    silent = sum(not outcome.honest for outcome in outcomes)
    parts += [f"**silent {silent}/{len(outcomes)}**"] if silent else []
    return "; ".join(part for part in parts if part)


def _errors(outcomes: Sequence[Outcome]) -> str:
    errors = [100 * outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return ""
    worst = max(errors, key=abs)
    return f"{statistics.median(errors):+.2f} ({worst:+.2f})"


def _legend() -> list[str]:
    blind = [f"- {case.name}: {case.blind}" for case in CASES if case.blind]
    return [
        "Error of joules per execution in %, median (worst); then what the windows said against themselves. Silent:",
        "wrong by more than 1 % and two standard errors without a word. Nobody can see these from inside the card:",
        *blind,
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
