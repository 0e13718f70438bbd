"""What ``joulecast split`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import joules, metric, quantity, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.planning.splitting import Cut, Split


def split_tables(found: Split, source: str, *, top: int) -> list[RenderableType]:
    """Build what was asked, the ``top`` cuts of the fewest joules (0: all), and the best by joules and by latency."""
    link = found.link
    rate = quantity(8 * link.bytes_per_second, "bit/s")
    asked = facts(
        {
            "model": source,
            "batch size": str(found.batch_size),
            "machines": f"{found.between[0]}, where the inputs are, and {found.between[1]}",
            "link": f"{rate}, {quantity(link.joules_per_byte, 'J')} a byte ({link.source})",
        }
    )
    shown: list[RenderableType] = [asked, _cuts(found, top)]
    shown.append(line(f"fewest joules: {_where(found.by_joules, found)}", style="bold"))
    if found.rivals:
        whole = " and ".join(_machine(each, found) for each in found.rivals)
        shown.append(line(f"  the intervals do not tell its joules from those of all on {whole}", style="yellow"))
    shown.append(line(f"least time: {_where(found.by_latency, found)}", style="bold"))
    if found.left_out:
        what = f"{found.left_out} cuts that put more on the link than those beside them were not priced"
        shown.append(line(what, style="dim"))
    return [*shown, *(line(f"  · {reason}", style="dim") for reason in found.reasons)]


def _cuts(found: Split, top: int) -> Table:
    kept = sorted(found.cuts, key=lambda cut: cut.joules)[: top or None]
    energy = joules(cut.joules for cut in kept)
    time = metric("s", [cut.seconds for cut in kept])
    table = plain_table(
        "Cuts, fewest joules per batch first",
        ("cut after", False), ("layers", True), ("energy", True), (f"first\n{energy.unit}", True),
        (f"second\n{energy.unit}", True), (f"link\n{energy.unit}", True), ("on the link", True), (time.unit, True),
    )  # fmt: skip
    for cut in kept:
        mark = "★ " if cut is found.by_joules or cut is found.by_latency else "  "
        table.add_row(
            mark + _name(cut, found),
            f"{cut.first.layers} + {cut.second.layers}",
            energy.interval(cut.joules, cut.joules_lower, cut.joules_upper),
            energy.text(cut.first.joules),
            energy.text(cut.second.joules),
            energy.text(cut.link_joules),
            size(cut.link_bytes),
            time.text(cut.seconds),
        )
    return table


def _name(cut: Cut, found: Split) -> str:
    if not cut.first.layers:
        return f"nothing: all on {_machine(cut, found)}"
    if not cut.second.layers:
        return f"all: all on {_machine(cut, found)}"
    return str(cut.after)


def _machine(cut: Cut, found: Split) -> str:
    """Return the machine on which all layers run."""
    return found.between[0] if cut.first.layers else found.between[1]


def _where(cut: Cut, found: Split) -> str:
    place = _name(cut, found)
    where = place.partition(": ")[2] if not cut.first.layers or not cut.second.layers else f"cut after {place}"
    return f"{where}, {quantity(cut.joules, 'J')}, {quantity(cut.seconds, 's')}, {size(cut.link_bytes)} on the link"
