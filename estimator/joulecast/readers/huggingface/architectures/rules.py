"""Rules by which families derive a size, or the window of each layer, from their keys."""

from __future__ import annotations

from collections.abc import Callable

from joulecast.blocks import Activation
from joulecast.errors import UnsupportedOperatorError
from joulecast.printable import bounded
from joulecast.readers.huggingface.configuration import Configuration

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_python_tanh": "gelu",
    "quick_gelu": "gelu",
}
"""Names of transformers' ``ACT2FN``; any other runs as one elementwise kernel too."""


def activation(config: Configuration, key: str) -> Activation:
    """Return the kind of the activation that ``key`` names; GELU without a key (BLOOM)."""
    return _ACTIVATIONS.get(config.text(key), "other") if key else "gelu"


def head_size(config: Configuration) -> int:
    """Return ``head_dim``, or the width shared evenly among the heads where it is left out."""
    own = config.optional_count("head_dim")
    return own if own is not None else even_head_size(config)


def even_head_size(config: Configuration) -> int:
    """Return the width shared evenly among the heads. Raises ModelFormatError where it cannot be."""
    width, heads = config.count("hidden_size"), config.count("num_attention_heads")
    if width % heads:
        raise config.refused("hidden_size", f"{heads} heads cannot share it evenly")
    return width // heads


def shared_heads(config: Configuration) -> int:
    """Return the number of heads of keys and values: as many as of queries where it is left out."""
    own = config.optional_count("num_key_value_heads")
    return own if own is not None else config.count("num_attention_heads")


def as_many_heads(config: Configuration) -> int:
    """Return the number of heads: each has keys and values of its own."""
    return config.count("num_attention_heads")


def falcon_kv_heads(config: Configuration) -> int:
    """Return Falcon's number of key and value heads: of its newer files by their number, else one, or one a head."""
    if config.flag("new_decoder_architecture"):
        own = config.optional_count("num_kv_heads")
        return own if own is not None else as_many_heads(config)
    return 1 if config.flag("multi_query") else as_many_heads(config)


def falcon_norms(config: Configuration) -> int:
    """Return how many normalisations a layer of Falcon has: one where attention and feed-forward share it."""
    if config.flag("new_decoder_architecture"):
        return config.count("num_ln_in_parallel_attn", most=2, default=2)
    return 1 if config.flag("parallel_attn") else 2


def stablelm_norms(config: Configuration) -> int:
    """Return how many normalisations a layer of StableLM has: one where attention and feed-forward share it."""
    return 1 if config.flag("use_parallel_residual") else 2


def opt_final_norm(config: Configuration) -> bool:
    """Return whether OPT has a normalisation after the last layer."""
    return config.flag("do_layer_norm_before") and not config.flag("_remove_final_layer_norm")


def four_times(key: str | None = None) -> Callable[[Configuration], int]:
    """Return the rule of an intermediate size under ``key``, four times the width where it is left out."""

    def size(config: Configuration) -> int:
        own = config.optional_count(key) if key else None
        return own if own is not None else 4 * config.count("hidden_size")

    return size


def no_positions(config: Configuration) -> tuple[int, int]:
    """Return that there are no vectors of relative positions, and no parameters of these."""
    return 0, 0


def disentangled_positions(config: Configuration) -> tuple[int, int]:
    """Return DeBERTa's relative positions (paper, section 3.1): a vector and a bias a bucket on each side.

    Raises UnsupportedOperatorError for forms before version 3, whose positions have products of their own.
    """
    if not config.flag("relative_attention"):
        return 0, 0
    types = config.value("pos_att_type") or []
    types = types.split("|") if isinstance(types, str) else types if isinstance(types, list) else []
    convolved = config.count("conv_kernel_size", least=0, default=0) > 0
    if convolved or not config.flag("share_att_key") or sorted(map(str, types)) != ["c2p", "p2c"]:
        raise UnsupportedOperatorError(
            f"config.json of {config.model_type} has conv_kernel_size, or not share_att_key and pos_att_type c2p|p2c:"
            " only the attention of version 3 is known",
            reason="UnknownArchitecture",
        )
    span = config.count("position_buckets", least=-1, default=-1)
    if span < 1:
        span = config.count("max_relative_positions", least=-1)
    if span < 1:
        span = config.count("max_position_embeddings")
    normalised = "layer_norm" in config.text("norm_rel_ebd", default="none")
    return 2 * span, config.count("hidden_size") * (2 * span + 2 * normalised)


def biased_positions(config: Configuration) -> int:
    """Return the rows of DeBERTa's table of absolute positions, which version 3 lacks."""
    return config.count("max_position_embeddings") if config.flag("position_biased_input") else 0


def modernbert_windows(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``local_attention`` for layers by ``layer_types``, or else all but each third from the first on."""
    window = config.count("local_attention")
    if config.has("layer_types"):
        return _typed(config, layers, window)
    every = config.count("global_attn_every_n_layers", default=3)
    return tuple(window if number % every else None for number in range(layers))


def bucketed_positions(config: Configuration) -> tuple[int, int]:
    """Return T5's relative positions: no vectors, but a bias a bucket and head."""
    return 0, config.count("relative_attention_num_buckets") * config.count("num_attention_heads")


def t5_gated(config: Configuration) -> bool:
    """Return whether ``feed_forward_proj`` names a gated activation."""
    return config.text("feed_forward_proj").startswith("gated-")


def t5_projections(config: Configuration) -> tuple[str, ...]:
    """Return the products of T5's feed-forward block, of which the gated one has one more."""
    return ("wi_0", "wi_1", "wo") if t5_gated(config) else ("wi", "wo")


def t5_decoder_layers(config: Configuration) -> int:
    """Return the layers of T5's decoder: as many as of its encoder where it is left out."""
    own = config.optional_count("num_decoder_layers")
    return config.layers("num_decoder_layers") if own is not None else config.layers()


def whisper_frames(config: Configuration) -> tuple[tuple[int, int, int], ...]:
    """Return Whisper's two convolutions over frames of a spectrogram, the second of which halves them."""
    return (config.count("num_mel_bins"), 3, 1), (config.count("hidden_size"), 3, 2)


def no_window(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return that every layer attends to all tokens."""
    return (None,) * layers


def one_window(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``sliding_window`` for every layer."""
    return (config.optional_count("sliding_window"),) * layers


def window_after(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``sliding_window`` for layers from ``max_window_layers`` on, if ``use_sliding_window`` (Qwen2, Qwen3)."""
    window = config.optional_count("sliding_window") if config.flag("use_sliding_window") else None
    if config.has("layer_types"):
        return _typed(config, layers, window)
    first = config.count("max_window_layers", least=0) if window else 0
    return tuple(window if number >= first else None for number in range(layers))


def window_pattern(every: int) -> Callable[[Configuration, int], tuple[int | None, ...]]:
    """Return the rule of windows by ``layer_types``, or else of all layers but each ``every``-th."""

    def windows(config: Configuration, layers: int) -> tuple[int | None, ...]:
        window, own = config.optional_count("sliding_window"), config.has("sliding_window_pattern")
        pattern = config.count("sliding_window_pattern") if own else every
        if config.has("layer_types"):
            return _typed(config, layers, window)
        return tuple(window if (number + 1) % pattern else None for number in range(layers))

    return windows


def _typed(config: Configuration, layers: int, window: int | None) -> tuple[int | None, ...]:
    types = config.list_of("layer_types", str, layers) or []
    unknown = sorted(set(types) - {"sliding_attention", "full_attention"})
    if unknown:
        raise config.refused(
            "layer_types", f"layers of type {bounded(unknown[0], 40)!r} are not known in {config.model_type}"
        )
    if window is None and "sliding_attention" in types:
        raise config.refused("sliding_window", "layer_types has sliding_attention")
    return tuple(window if each == "sliding_attention" else None for each in types)


def local_attention(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return GPT-Neo's windows: ``attention_types`` holds kinds of layers with how often they repeat."""
    window, kinds = config.count("window_size"), list[str]()
    types = config.value("attention_types", [[["global", "local"], 12]])
    for each in types if isinstance(types, list) else ():
        names, times = each if isinstance(each, list) and len(each) == 2 else ([], 0)
        if isinstance(names, list) and type(times) is int and 0 < times * len(names) <= layers - len(kinds):
            kinds += names * times
    if len(kinds) != layers or not all(kind in ("global", "local") for kind in kinds):
        raise config.refused("attention_types", f"{layers} layers need as many times global or local in all")
    return tuple(window if kind == "local" else None for kind in kinds)
