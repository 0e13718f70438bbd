"""Write the table of what the classes of transformers know: ``python -m joulecast.readers.huggingface.classes``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from joulecast.readers.huggingface.architectures import ARCHITECTURES, COMPOSITES
from joulecast.readers.huggingface.known import GENERAL, TABLE

OWN = (*{entry.model_type for entry in ARCHITECTURES.values()}, *COMPOSITES)
"""Model types that have a class."""

Table = dict[str, dict[str, dict[str, Any]]]


def of_transformers(model_types: Iterable[str] = OWN) -> Table:
    """Return the table by the installed transformers. ``model_types``: each gets an entry."""
    from transformers import PretrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    general = _defaults(PretrainedConfig)
    table: Table = {GENERAL: {"defaults": general}}
    for model_type in sorted(model_types):
        own = CONFIG_MAPPING[model_type]
        defaults = {key: value for key, value in _defaults(own).items() if general.get(key, MISSING) != value}
        table[model_type] = {"defaults": defaults} | ({"names": own.attribute_map} if own.attribute_map else {})
    return table


def _defaults(kind: Any) -> dict[str, Any]:
    found = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def lines(table: Table) -> str:
    """Return the table as JSON with a line for each model type."""
    rows = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(lines(of_transformers()), encoding="utf-8")
