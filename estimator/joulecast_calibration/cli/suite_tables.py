"""Tables that ``joulecast suite`` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import quantity

if TYPE_CHECKING:
    from rich.console import RenderableType

    from joulecast_calibration.suite.survey.rebuild import Difference

_NAMES_SHOWN = 12


def suite_tables(document: dict[str, Any]) -> list[RenderableType]:
    """Build totals, one line for each task, family and architecture, and what was skipped with its reason."""
    entries = document["architectures"]
    shown: list[RenderableType] = [
        facts(_totals(document)),
        _by(entries, "task", "Tasks"),
        _by(entries, "family", "Families"),
    ]
    shown.append(_architectures(entries))
    return [*shown, *(line(f"skipped: {each['name']}: {each['reason']}", style="dim") for each in document["skipped"])]


def _totals(document: dict[str, Any]) -> dict[str, str]:
    totals = document["totals"]
    return {
        "architectures": f"{totals['architectures']:,}",
        "executed layers": f"{totals['executed_layers']:,}",
        "distinct layers": f"{totals['distinct_layers']:,}",
        "in the sample": f"{totals['sampled_layers']:,}",
        "traced with": ", ".join(f"{name} {version}" for name, version in document["versions"].items()),
        "digest": document["digest"],
    }


def _by(entries: Sequence[dict[str, Any]], column: str, title: str) -> RenderableType:
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        groups[entry[column]].append(entry)
    table = plain_table(title, (column, False), ("architectures", True), ("graphs", True), ("executed layers", True))
    for name, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        graphs = len({entry["digest"] for entry in members})
        layers = sum(entry["executed_layers"] for entry in members)
        table.add_row(name, f"{len(members):,}", f"{graphs:,}", f"{layers:,}")
    return table


def _architectures(entries: Sequence[dict[str, Any]]) -> RenderableType:
    table = plain_table(
        "Architectures", ("architecture", False), ("task", False), ("family", False), ("params", True),
        ("layers", True), ("largest batch", True), ("digest", False),
    )  # fmt: skip
    for entry in entries:
        unseen = "  (kept unseen)" if entry["zero_shot"] else ""
        table.add_row(
            entry["name"] + unseen, entry["task"], entry["family"], quantity(entry["params"], ""),
            f"{entry['executed_layers']:,}", str(entry["largest_batch_size"] or "none"), entry["digest"][7:19],
        )  # fmt: skip
    return table


def difference_lines(found: Difference) -> list[str]:
    """Describe how a new index differs from the committed one, one sentence a difference."""
    lines = [f"{library} {before} → {now}" for library, before, now in found.versions]
    groups = {"added": found.added, "removed": found.removed, "with another graph": found.changed}
    lines += [f"{len(names)} {what}: {_listed(names)}" for what, names in groups.items() if names]
    return lines or ["the same graphs as in the committed index"]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
