"""Elements picked from a tensor, or put into one, by indices."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry, over_tensors


def _gather(op_type: str, data: str, indices: str) -> NamingRule:
    def rule(reading: Reading) -> None:
        names = (reading.name(data), *(name for name in reading.names(indices) if name))
        reading.node(op_type, names)

    return entry(rule, PARAMETERS[data])


PARAMETERS = {"weight": "weight indices", "self": "self dim index"}


def _index(reading: Reading) -> None:
    """Add a read of whole slices along one dimension, or of single elements by the indices of several."""
    given = [(axis, name) for axis, name in enumerate(reading.names("indices")) if name]
    if len(given) == 1:
        reading.node("Gather", (reading.name("self"), given[0][1]), axis=given[0][0])
    else:
        reading.node("GatherND", (reading.name("self"), *(name for _, name in given)))


def _bag(reading: Reading) -> None:
    """Add one kernel that picks the rows of each bag and sums or averages them."""
    weight, indices = reading.given("weight"), reading.given("indices")
    rows = reading.tensor("rows", (*indices.shape, weight.shape[-1]), weight.dtype)
    reading.node("Gather", (weight.name, indices.name), (rows,), part=1)
    reading.node("ReduceSum", (rows,), reading.outputs[:1], axes=(0,), joined="Gather")


TABLE: Mapping[str, NamingRule] = {
    "aten.embedding": _gather("Gather", "weight", "indices"),
    **{f"aten.{name}": entry(_bag, "weight indices") for name in ("_embedding_bag", "_embedding_bag_forward_only")},
    "aten.index_select": _gather("Gather", "self", "index"),
    "aten.gather": _gather("GatherElements", "self", "index"),
    "aten.take_along_dim": _gather("GatherElements", "self", "index"),
    "aten.index": entry(_index, "self indices"),
    "aten._unsafe_index": entry(_index, "self indices"),
    "aten.take": over_tensors("GatherElements"),
    "aten.masked_select": over_tensors("Compress"),
    **{
        f"aten.{name}": over_tensors("ScatterElements")
        for name in "scatter scatter_add scatter_reduce index_add index_copy index_fill masked_scatter one_hot".split()
    },
    **{
        f"aten.{name}": over_tensors("ScatterND")
        for name in "index_put _index_put_impl _unsafe_index_put slice_scatter select_scatter diagonal_scatter".split()
    },
    "aten.topk": over_tensors("TopK"),
    "aten.sort": over_tensors("TopK"),
    "aten.argsort": over_tensors("TopK"),
    "aten.kthvalue": over_tensors("TopK"),
    "aten.median": over_tensors("TopK"),
    "aten.nonzero": over_tensors("NonZero"),
    "aten.nonzero_static": over_tensors("NonZero"),
}
