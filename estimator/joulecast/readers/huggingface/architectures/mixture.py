"""Where families of mixtures of experts keep their sizes, and which of their layers are routed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from joulecast.blocks import Experts, FeedForward
from joulecast.readers.huggingface.architectures.rules import activation
from joulecast.readers.huggingface.configuration import MOST_LAYERS, Configuration

GATED = ("gate_proj", "up_proj", "down_proj")

Routed = Callable[[Configuration, int], bool]
"""Whether a layer sends its tokens to experts."""


def always(config: Configuration, number: int) -> bool:
    """Return that every layer is routed."""
    return True


def stepped(config: Configuration, number: int) -> bool:
    """Return whether the layer is one in ``decoder_sparse_step`` and not among ``mlp_only_layers`` (Qwen)."""
    step = config.count("decoder_sparse_step", default=1)
    return (number + 1) % step == 0 and number not in numbers(config, "mlp_only_layers")


def after_dense(config: Configuration, number: int) -> bool:
    """Return whether the layer comes after the first dense ones, or is ``sparse`` by its type (DeepSeek, GLM)."""
    types = config.list_of("mlp_layer_types", str, config.layers())
    if types is not None:
        return bool(types[number] == "sparse")
    frequency = config.count("moe_layer_freq", default=1)
    return number >= config.count("first_k_dense_replace", least=0, default=1) and number % frequency == 0


def numbers(config: Configuration, key: str) -> frozenset[int]:
    """Return the numbers of layers under ``key``; none where it is null or left out."""
    listed = config.value(key)
    if listed is None:
        return frozenset()
    if isinstance(listed, list) and len(listed) <= MOST_LAYERS and all(type(each) is int for each in listed):
        return frozenset(listed)
    raise config.refused(key, "it is no list of layers' numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A rule for the experts of a layer.

    - ``path``, ``router``, ``expert_path``, ``projections``, ``shared_path``, ``shared_projections``: of modules in
      published files; without a gate, the first of ``shared_projections`` is left out.
    - ``count``, ``chosen``, ``intermediate``: keys of the sizes; ``shared``: rule for the width of the shared block, 0
      for none.
    - ``routed``: which layers have experts; the others have the family's dense block.
    - ``activation``: key of the activation; ``bias``: experts and router have one.
    """

    path: str = "mlp"
    router: str = "gate"
    projections: tuple[str, ...] = GATED
    count: str = "num_experts"
    chosen: str = "num_experts_per_tok"
    intermediate: str = "moe_intermediate_size"
    shared: Callable[[Configuration], int] | None = None
    expert_path: str = "experts"
    shared_path: str = "shared_expert"
    shared_projections: tuple[str, ...] = GATED
    shared_gate: bool = False
    routed: Routed = always
    activation: str = "hidden_act"
    gated: bool = True
    bias: bool = False
    correction: bool = False

    def __call__(self, config: Configuration, number: int, usual: Callable[[], FeedForward]) -> FeedForward | Experts:
        """Return the block of layer ``number``. Raises ModelFormatError for values that contradict each other."""
        if not self.routed(config, number):
            return usual()
        count, chosen = config.count(self.count), config.count(self.chosen)
        if chosen > count:
            raise config.refused(self.chosen, f"there are {count} experts to choose from")
        shared = self.shared(config) if self.shared is not None else 0
        intermediate, beside = config.count(self.intermediate), self.shared_projections[not self.gated :]
        return Experts(
            path=self.path,
            count=count,
            chosen=chosen,
            expert=self._block(config, self.expert_path, intermediate, self.projections, bias=self.bias),
            shared=self._block(config, self.shared_path, shared, beside) if shared else None,
            shared_gate=self.shared_gate and shared > 0,
            router_bias=self.bias,
            correction=self.correction,
            router=self.router,
        )

    def _block(
        self, config: Configuration, path: str, intermediate: int, projections: tuple[str, ...], *, bias: bool = False
    ) -> FeedForward:
        return FeedForward(
            path=path,
            width=config.count("hidden_size"),
            intermediate=intermediate,
            gated=self.gated,
            projections=projections,
            activation=activation(config, self.activation),
            bias=bias,
        )
