"""Headers of weights against a configuration: they win where blocks can say it, and are told apart where not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulecast.api.weights.stored import StoredWeights, place_of, stored_weights
from joulecast.errors import ModelFormatError
from joulecast.printable import bounded
from joulecast.readers.huggingface.configuration import MOST_LAYERS
from joulecast.serving.parameters import parameters
from joulecast.serving.passes import BOTH_KINDS
from joulecast.serving.rows import collected

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.serving.kernels import HeldProduct
    from joulecast.sources.facts.model_facts import StoredTensor

_LISTED = 3  # of modules that differ; a file that differs in one layer differs in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``stored``: parameters in the files; ``described``: in the configuration; ``differences``: in clauses."""

    stored: int
    described: int
    differences: tuple[str, ...] = ()


def as_stored(model: LanguageModel, tensors: Mapping[str, StoredTensor]) -> LanguageModel:
    """Return ``model`` with the layers and vocabulary of ``tensors``, and with what else they contradict.

    Raises ModelFormatError where they contradict what blocks cannot say: layers of several kinds, or the size of
    weights that are stored as they are multiplied.
    """
    found = _found(model, tensors)
    own = _head(_table(_layers(model, found), found), found)
    compared = _compared(own, found if own is model else _found(own, tensors))
    return replace(own, differences=(*own.differences, *compared.differences))


def comparison(model: LanguageModel, tensors: Mapping[str, StoredTensor]) -> Comparison:
    """Return the parameters of ``tensors`` beside those of ``model``. Raises as ``as_stored`` does."""
    return _compared(model, _found(model, tensors))


def _compared(model: LanguageModel, found: StoredWeights) -> Comparison:
    described, products = parameters(model), collected(model, BOTH_KINDS).products
    if not found.modules:
        said = "the files name their tensors in a way that is not known, so that only config.json was read"
        return Comparison(stored=found.parameters, described=described, differences=(said,))
    wrong = [(each, stored) for each in products if (stored := _stored(found, each)) != each.weights]
    for each, stored in wrong:
        if stored and not any(place_of(path) in found.packed for path in (each.name, *each.paths)):
            raise _contradiction(each, stored)
    others = described - sum(each.weights for each in products)
    used = sum(_stored(found, each) for each in products)
    return Comparison(
        stored=found.parameters,
        described=described,
        differences=(*_in_products(wrong), *_in_others(found.parameters - used, others)),
    )


def _found(model: LanguageModel, tensors: Mapping[str, StoredTensor]) -> StoredWeights:
    products = collected(model, BOTH_KINDS).products
    places = {place_of(path): model.storage_of(path).bits for each in products for path in each.paths}
    merged = {place_of(each.name): model.storage_of(each.paths[0]).bits for each in products}
    return stored_weights(tensors, model, merged | places)


def _stored(found: StoredWeights, product: HeldProduct) -> int:
    """Return the weights in the files of the modules that a product merges, or of the merged module."""
    places = {place_of(path) for path in (product.name, *product.paths)}
    return sum(found.modules[place] for place in places)


def _layers(model: LanguageModel, found: StoredWeights) -> LanguageModel:
    layers = model.decoder.layers
    stack = place_of(f"{layers[0][0].path.format(0)}.x").partition(".0.")[0]
    stated, numbers = sum(times for _, times in layers), found.layers.get(stack, set())
    held = len(numbers)
    if not numbers or numbers == set(range(stated)):
        return model
    if numbers != set(range(held)) or held > MOST_LAYERS:
        raise ModelFormatError(
            f"the files hold {held} layers, numbered up to {max(numbers)}, where config.json describes {stated}: take"
            " all files of one model"
        )
    if len(layers) > 1:
        raise ModelFormatError(
            f"config.json describes {stated} layers of several kinds and the files hold {held}: take config.json and"
            " weights of the same model"
        )
    return _said(
        replace(model, decoder=replace(model.decoder, layers=((layers[0][0], held),))),
        f"config.json says {stated} layers and the files hold {held}, which are counted",
    )


def _table(model: LanguageModel, found: StoredWeights) -> LanguageModel:
    table, head = model.decoder.embedding, model.decoder.head
    shape = None if table is None or not table.rows else found.shapes.get(place_of(table.path))
    if table is None or shape is None or shape == (table.rows, table.width):
        return model
    rows, width = shape
    if width != table.width:
        raise ModelFormatError(
            f"config.json describes vectors of {table.width} elements and the files hold {width}: take config.json and"
            " weights of the same model"
        )
    tied = head is not None and head.tied
    stack = replace(
        model.decoder,
        embedding=replace(table, rows=rows),
        head=replace(head, outputs=rows) if head is not None and tied else head,
    )
    said = f"config.json says {table.rows} words and the table of the files has {rows} rows, which are counted"
    return _said(replace(model, decoder=stack), said)


def _head(model: LanguageModel, found: StoredWeights) -> LanguageModel:
    head = model.decoder.head
    shape = None if head is None or head.tied or not head.outputs else found.shapes.get(place_of(head.path))
    if head is None or shape is None or shape == (head.outputs, head.inputs) or shape[1] != head.inputs:
        return model
    stack = replace(model.decoder, head=replace(head, outputs=shape[0]))
    said = f"config.json says {head.outputs} outputs and the last product of the files has {shape[0]}, which are run"
    return _said(replace(model, decoder=stack), said)


def _said(model: LanguageModel, difference: str) -> LanguageModel:
    return replace(model, differences=(*model.differences, difference))


def _in_products(wrong: list[tuple[HeldProduct, int]]) -> tuple[str, ...]:
    told = tuple(
        f"{bounded(each.name, 80)} has {each.weights:,} weights by config.json and {stored:,} in the files"
        for each, stored in wrong[:_LISTED]
    )
    return (*told, f"and so {len(wrong) - _LISTED} more products") if len(wrong) > _LISTED else told


def _in_others(stored: int, described: int) -> tuple[str, ...]:
    if stored == described:
        return ()
    return (f"beside products there are {described:,} parameters by config.json and {stored:,} in the files",)


def _contradiction(product: HeldProduct, stored: int) -> ModelFormatError:
    return ModelFormatError(
        f"config.json describes {product.weights:,} weights of {bounded(product.name, 80)} and the files hold"
        f" {stored:,}: take config.json and weights of the same model"
    )
