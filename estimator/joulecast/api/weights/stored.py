"""What safetensors headers store of a model: its parameters, without what stands beside them, unpacked.

Layouts: AutoGPTQ and AutoAWQ (``qweight``), compressed-tensors (``weight_packed``), bitsandbytes (``weight`` of bytes
with ``quant_state`` beside it), gpt-oss (``_blocks``), modelopt (``weight`` of bytes).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.sources.facts.model_facts import StoredTensor

_BUFFERS = frozenset({
    "position_ids", "inv_freq", "masked_bias", "e_score_correction_bias", "final_logits_bias", "original_inv_freq",
    "embed_scale",
})  # fmt: skip
_SCALES = frozenset({
    "scales", "qzeros", "g_idx", "absmax", "nested_absmax", "quant_map", "nested_quant_map", "SCB", "weight_format",
    "weight_scale", "weight_scale_inv", "weight_scale_2", "weight_zero_point", "weight_shape", "weight_g_idx",
    "weight_global_scale", "input_scale", "input_zero_point", "input_global_scale", "activation_scale", "k_scale",
    "v_scale", "q_scale", "kv_scale", "prob_scale",
})  # fmt: skip
_PREDICTION = frozenset({"mtp", "eh_proj", "enorm", "hnorm", "shared_head"})
_TOWERS = frozenset({
    "vision_tower", "vision_model", "visual", "audio_tower", "multi_modal_projector", "mm_projector", "vision_embed",
})  # fmt: skip
_WEIGHTS = ("weight", "qweight", "weight_packed")
_PLACE = re.compile(r"(?:^|\.)((?:encoder\.|decoder\.)?(?:layers|layer|h|block|blocks)\.(\d{1,6})\..+)$", re.ASCII)
_EXPERT = re.compile(r"\.experts\.\d{1,6}\.", re.ASCII)
_ALONE = {"lm_head": "lm_head", "embed_out": "lm_head", "project_out": "project_out"}
_CAUSAL_MASK_DIMENSIONS = 4  # of attn.bias in files of GPT-2, GPT-Neo and GPT-NeoX


@dataclass(slots=True, kw_only=True)
class StoredWeights:
    """Elements of the parameters that headers describe.

    - ``modules``: of what is multiplied, by the place of its module (``place_of``), experts summed.
    - ``others``: of everything else (norms, tables, biases).
    - ``shapes``: of plain two-dimensional tensors outside the layers, by the last two steps of their module.
    - ``layers``: the numbers of each stack of layers, by the words before the number.
    - ``packed``: places of modules whose elements are stored several to a word.
    - ``left_out``: tensors that are no parameters, by why.
    """

    modules: Counter[str] = field(default_factory=Counter)
    others: int = 0
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layers: dict[str, set[int]] = field(default_factory=dict)
    packed: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def parameters(self) -> int:
        """Parameters in all."""
        return self.modules.total() + self.others


def place_of(path: str) -> str:
    """Return the part of a module's path that all of a family's files share: from its stack of layers on.

    Outside the layers it is the last two steps, or one name for what families place in several ways.
    """
    found = _PLACE.search(path)
    if found is not None:
        return _EXPERT.sub(".experts.", found[1])
    steps = path.split(".")
    return _ALONE.get(steps[-1]) or ".".join(steps[-2:])


def stored_weights(
    tensors: Mapping[str, StoredTensor], model: LanguageModel, places: Mapping[str, float]
) -> StoredWeights:
    """Return what ``tensors`` store of ``model``. ``places``: stored bits of an element of each module, by its place.

    Tensors that no model of one stack has as parameters are left out by name: buffers, scales of quantised weights,
    layers that predict several tokens, towers for images and sound, and copies of tied tables.
    """
    found = StoredWeights()
    predicting, copies = _predicting(tensors), _copies(tensors, model)
    for name, tensor in tensors.items():
        reason = "tied copies" if name in copies else _left_out(name, tensor, predicting)
        if reason is not None:
            found.left_out[reason] += 1
            continue
        _add(found, name, tensor, places)
    return found


def _add(found: StoredWeights, name: str, tensor: StoredTensor, places: Mapping[str, float]) -> None:
    module, _, last = name.rpartition(".")
    own = place_of(module)
    elements = math.prod(tensor.shape)
    inner = _PLACE.search(name)
    if inner is not None:
        stack = inner[1].partition(f".{inner[2]}.")[0]
        found.layers.setdefault(stack, set()).add(int(inner[2]))
    elif last == "weight" and len(tensor.shape) == 2:
        found.shapes[own] = tensor.shape
    whole = place_of(name.removesuffix("_blocks"))  # experts as one tensor have no module of their own
    if whole in places:
        own, last = whole, "weight"
    if own not in places or last not in _WEIGHTS:
        found.others += elements
        return
    held = _held(tensor.dtype, places[own])
    if held > 1:
        found.packed.add(own)
    found.modules[own] += round(elements * held)


def _held(dtype: str, bits: float) -> float:
    """Return how many weights of ``bits`` bits, scales included, one stored element holds."""
    stored = {"I32": 32, "U8": 8, "I8": 8, "U32": 32}.get(dtype, 0)
    own = int(bits)
    return stored / own if stored > own > 0 else 1


def _predicting(tensors: Iterable[str]) -> frozenset[str]:
    """Return the prefixes of layers that predict several tokens: those with a product that no other layer has."""
    return frozenset(name.rpartition(".eh_proj.")[0] + "." for name in tensors if ".eh_proj." in name)


def _left_out(name: str, tensor: StoredTensor, predicting: frozenset[str]) -> str | None:
    steps = name.split(".")
    last = steps[-1]
    if last in _BUFFERS or (last == "bias" and len(tensor.shape) == _CAUSAL_MASK_DIMENSIONS):
        return "buffers"
    if last in _SCALES or last.endswith("_scales") or last.startswith("bitsandbytes__"):
        return "scales"
    if not _PREDICTION.isdisjoint(steps) or any(name.startswith(prefix) for prefix in predicting):
        return "multi-token prediction"
    return None if _TOWERS.isdisjoint(steps) else "towers for images and sound"


def _copies(tensors: Iterable[str], model: LanguageModel) -> frozenset[str]:
    """Return the tensors that are stored a second time: a tied head, the table of a second stack, BERT's last bias."""
    table, head = model.decoder.embedding, model.decoder.head
    tied = head is not None and head.tied and place_of(head.path)
    outside = {name for name in tensors if _PLACE.search(name) is None}
    return frozenset(
        name
        for name in outside
        if (name.endswith(".weight") and tied and place_of(name.removesuffix(".weight")) == tied)
        or (table is not None and table.shared and name.endswith(".embed_tokens.weight"))
        or (name.endswith(".decoder.bias") and name.removesuffix(".decoder.bias") + ".bias" in outside)
    )
