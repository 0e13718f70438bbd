"""The numbers of a model's symbolic dimensions, and who set them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulecast.errors import WorkloadError
from joulecast.readers.onnx.workload.dimensions import Dimension, evaluated, names, solved

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Binding:
    """The numbers of symbols, with who set them; ``batch_symbol`` as found by ``batch.batch_symbol``."""

    batch_size: int
    batch_symbol: str | None
    numbers: dict[str, tuple[int, str]] = field(default_factory=dict)
    used_batch: bool = False

    def learn(self, symbol: str, number: int, source: str) -> None:
        known, said_by = self.numbers.setdefault(symbol, (number, source))
        if known != number:
            raise WorkloadError(
                f"dimension {symbol!r} is {known} by {said_by} but {number} by {source}; give both inputs the"
                f" same number"
            )

    def solve(self, formula: str, number: int, source: str) -> None:
        """Take what a formula's number says of its one unknown symbol.

        Raises ``WorkloadError`` where the formula gives another number.
        """
        expected = evaluated(formula, self.known)
        if expected is not None and expected != number:
            terms = ", ".join(f"{name} is {self.known[name]}" for name in names(formula))
            raise WorkloadError(
                f"dimension {formula!r} is {expected}, because {terms}, but {number} by {source}; give numbers that"
                " agree"
            )
        found = solved(formula, self.known, number)
        if found is not None:
            self.learn(*found, source)

    @property
    def known(self) -> dict[str, int]:
        return {symbol: number for symbol, (number, _) in self.numbers.items()}

    def number(self, dimension: Dimension, position: int, declared: Sequence[Dimension] = ()) -> int | None:
        """Return the dimension's number, ``None`` if the workload leaves it open.

        A leading dimension without a name is the batch unless the batch stands elsewhere in the shape.
        """
        if isinstance(dimension, int):
            return dimension
        if isinstance(dimension, str):
            return self.symbol(dimension)
        if position == 0 and (self.batch_symbol is None or self.batch_symbol not in declared):
            self.used_batch = True
            return self.batch
        return None

    def is_batch(self, declared: Sequence[Dimension], position: int) -> bool:
        """Decide whether the dimension is the batch, and its number the workload's batch size."""
        dimension = declared[position]
        if self.batch_symbol in self.numbers or isinstance(dimension, int):
            return False
        if isinstance(dimension, str):
            return dimension == self.batch_symbol and dimension not in self.numbers
        return position == 0 and (self.batch_symbol is None or self.batch_symbol not in declared)

    def symbol(self, dimension: str) -> int | None:
        """Return the number of a symbol or of a formula of symbols."""
        if dimension in self.numbers:
            return self.numbers[dimension][0]
        if dimension == self.batch_symbol:
            self.used_batch = True
            return self.batch
        inner = {name: self.symbol(name) for name in names(dimension) if name != dimension}
        return evaluated(dimension, {name: number for name, number in inner.items() if number is not None})

    @property
    def batch(self) -> int:
        symbol = self.batch_symbol
        return self.numbers[symbol][0] if symbol in self.numbers else self.batch_size
