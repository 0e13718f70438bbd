"""Torch functions that are one row each although torch takes them apart, or copies, on its way to the operators.

What is not here is recorded as the ATen operators it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REQUIRED = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function's parameters in the order of its positional form, with their defaults.

    - ``aliases``: other dotted names of the same function with the same parameters.
    - ``reversed_aliases``: names with the first two exchanged.
    - ``variadic``: the last parameter takes all further arguments.
    """

    parameters: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    reversed_aliases: tuple[str, ...] = ()
    variadic: bool = False

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name, without those that equal their default."""
        args = self._gathered(args) if self.variadic else args
        given = dict(zip(self.parameters, args, strict=False)) | dict(kwargs)
        return {name: value for name, value in given.items() if not _same(value, self.parameters.get(name, REQUIRED))}

    def _gathered(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        last = len(self.parameters) - 1
        rest = args[last:]
        return (*args[:last], tuple(rest[0]) if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest)


def _same(value: Any, default: Any) -> bool:
    return default is not REQUIRED and type(value) is type(default) and bool(value == default)


def signature(
    required: str, aliases: tuple[str, ...] = (), reversed_aliases: tuple[str, ...] = (), **defaults: Any
) -> Signature:
    parameters = {**dict.fromkeys(required.split(), REQUIRED), **defaults}
    return Signature(parameters=parameters, aliases=aliases, reversed_aliases=reversed_aliases)


_F = "torch.nn.functional"
_V = "torch._C._VariableFunctions"


_RECURRENT = signature("input hx params has_biases num_layers dropout train bidirectional batch_first")

_CELL = signature("input hx w_ih w_hh", b_ih=None, b_hh=None)

FUNCTIONS: Mapping[str, Signature] = {
    f"{_F}.linear": signature("input weight", bias=None),
    f"{_F}.scaled_dot_product_attention": signature(
        "query key value", attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
    ),
    f"{_F}.batch_norm": signature(
        "input running_mean running_var", weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
    ),
    f"{_F}.instance_norm": signature(
        "input", running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
        eps=1e-5,
    ),
    f"{_F}.rms_norm": signature("input normalized_shape", aliases=("torch.rms_norm",), weight=None, eps=None),
    "torch.matmul": signature(
        "input other",
        aliases=("torch.Tensor.matmul", "torch.Tensor.__matmul__", "torch.linalg.matmul"),
        reversed_aliases=("torch.Tensor.__rmatmul__",),
    ),
    "torch.einsum": Signature(parameters={"equation": REQUIRED, "operands": REQUIRED}, variadic=True),
    "torch.softmax": signature("input dim", aliases=("torch.Tensor.softmax", "torch.special.softmax"), dtype=None),
    "torch.log_softmax": signature(
        "input dim", aliases=("torch.Tensor.log_softmax", "torch.special.log_softmax"), dtype=None
    ),
    f"{_F}.bilinear": signature("input1 input2 weight", bias=None),
    **{f"{_V}.{name}": _RECURRENT for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    **{f"{_V}.{name}": _CELL for name in ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")},
}  # fmt: skip
"""By the dotted name under which a call is recorded."""
