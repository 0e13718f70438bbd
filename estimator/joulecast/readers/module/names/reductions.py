"""Sums, means, extremes and running sums over dimensions."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry, over_tensors


def _reduction(op_type: str, parameters: str = "self dim keepdim") -> NamingRule:
    def rule(reading: Reading) -> None:
        given = reading.given("self")
        axes = reading.value("dim")
        axes = (axes,) if isinstance(axes, int) else axes
        reading.node(
            op_type,
            (given.name,),
            axes=tuple(axes) if axes else tuple(range(len(given.shape))),
            keepdims=int(bool(reading.value("keepdim", False))),
        )

    return entry(rule, parameters)


SIMPLE = """mean:ReduceMean sum:ReduceSum nansum:ReduceSum amax:ReduceMax amin:ReduceMin prod:ReduceProd
    logsumexp:ReduceLogSumExp any:ReduceMax all:ReduceMin max:ReduceMax min:ReduceMin argmax:ArgMax argmin:ArgMin
    aminmax:ReduceMax count_nonzero:ReduceSum"""

TABLE: Mapping[str, NamingRule] = {
    **{f"aten.{pair.split(':')[0]}": _reduction(pair.split(":")[1]) for pair in SIMPLE.split()},
    **{f"aten.{name}.other": over_tensors(op_type) for name, op_type in (("max", "Max"), ("min", "Min"))},
    "aten.linalg_vector_norm": _reduction("ReduceL2", "self ord dim keepdim"),
    "aten.norm": _reduction("ReduceL2", "self p dim keepdim"),
    **{f"aten.{name}": over_tensors("ReduceSumSquare") for name in "var std var_mean std_mean".split()},
    "aten.histc": over_tensors("ScatterElements"),
    "aten.bincount": over_tensors("ScatterElements"),
    "aten._cdist_forward": over_tensors("ReduceL2"),
    "aten.cumsum": over_tensors("CumSum"),
    "aten.logcumsumexp": over_tensors("CumSum"),
    "aten.cummax": over_tensors("CumSum"),
    "aten.cummin": over_tensors("CumSum"),
    "aten.cumprod": over_tensors("CumProd"),
    "aten._fft_r2c": over_tensors("DFT"),
    "aten._fft_c2r": over_tensors("DFT"),
    "aten._fft_c2c": over_tensors("DFT"),
    "aten.stft": over_tensors("STFT"),
}
