"""What ``generate`` of transformers runs around a decode step, greedily and without a compiler.

Counted in ``GenerationMixin._sample`` and what it calls (transformers 4.57, generation/utils.py and
stopping_criteria.py, masking_utils.py). The numbers are per step and do not depend on the model's depth.
"""

from __future__ import annotations

from joulecast.layers import LayerProfile
from joulecast.serving.eager.kernels import Launched

SCOPE = "generate"
_TOKENS = "int64"
_IDS, _MASK, _STOP = 5, 9, 10
"""Kernels over ids (padding of finished sequences, the next token appended), over the mask and positions (appended,
converted, summed, filled, tested), and of the criteria to stop (length, end of sequence, joined, tested, copied)."""
_VIEWS = 6


def loop_rows(sequences: int, vocabulary: int, longest: int, dtype: str) -> tuple[LayerProfile, ...]:
    """Return the rows of one step for ``sequences`` of up to ``longest`` tokens."""
    launched = Launched(scope=SCOPE, domain="transformers")
    logits, ids = (sequences * vocabulary, "float32"), (sequences * longest, _TOKENS)
    launched.kernel("", "Cast", dtype=dtype, reads=[(logits[0], dtype)], writes=[logits])
    launched.kernel("", "ArgMax", dtype="float32", reads=[logits], writes=[(sequences, _TOKENS)])
    launched.kernel("", "Ids", dtype=_TOKENS, reads=[ids], writes=[ids], launches=_IDS)
    launched.kernel("prepare_inputs", "Mask", dtype=_TOKENS, reads=[ids], writes=[ids], launches=_MASK)
    launched.kernel("stopping_criteria", "Stop", dtype=_TOKENS, reads=[(sequences, _TOKENS)], launches=_STOP)
    launched.views("", _VIEWS)
    return tuple(launched.rows)
