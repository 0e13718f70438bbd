"""One tool counts one model in a process of its own, and prints: ``python -m benchmarks.contenders TOOL MODEL``.

Seconds are those of the counting call, after imports and after the model object exists; the caller times the whole
process, imports and model included. A tool that needs a framework's module gets one with random weights.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.language_models import CONFIGURATIONS, TOKENS
from tests import wheels
from tests.harness.cache import cache_directory

ONNX_INPUTS: dict[str, dict[str, tuple[int, ...]]] = {"ocr-detector": {"x": (1, 3, 736, 736)}}
"""Models that exist as a file only."""

TORCH_MODELS = ("resnet50", "bert-base")
MODELS = (*ONNX_INPUTS, *TORCH_MODELS)
BERT_TOKENS = 128


def onnx_file(model: str) -> Path:
    """The file a user would have: the detector as it ships, the others exported once with their weights."""
    if model == "ocr-detector":
        return wheels.ocr("det")
    return cache_directory() / "bench" / f"{model}.onnx"


def torch_module(model: str) -> tuple[Any, tuple[Any, ...]]:
    import torch

    if model in CONFIGURATIONS:
        return _language_module(CONFIGURATIONS[model]), (torch.zeros(1, TOKENS, dtype=torch.long, device="meta"),)
    if model == "resnet50":
        import torchvision

        return torchvision.models.resnet50(weights=None).eval(), (torch.zeros(1, 3, 224, 224),)
    import transformers

    bert = transformers.BertModel(transformers.BertConfig()).eval()
    return bert, (torch.zeros(1, BERT_TOKENS, dtype=torch.long),)


def _language_module(config: Mapping[str, Any]) -> Any:
    """Return the class of transformers on the meta device, which has shapes and no weights; the last token's logits."""
    import torch
    import transformers

    class LastLogit(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            own = {key: value for key, value in config.items() if key != "quantization_config"}
            made = transformers.AutoConfig.for_model(**own)
            with torch.device("meta"):
                self.model = transformers.AutoModelForCausalLM.from_config(made, dtype=torch.bfloat16).eval()

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool, device="meta")  # else its values are asked for
            asked = {"attention_mask": mask, "use_cache": False, "logits_to_keep": 1}
            logits: torch.Tensor = self.model(tokens, **asked).logits
            return logits

    return LastLogit()


def exported(model: str) -> Path:
    """``onnx_file(model)``, written once by a process of its own: a child begins with its parent's peak of memory."""
    target = onnx_file(model)
    if not target.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.contenders", "export", model], check=True)
    return target


def export(model: str) -> None:
    """Write ``onnx_file(model)`` with weights inside."""
    import torch

    target = onnx_file(model)

    target.parent.mkdir(parents=True, exist_ok=True)
    module, inputs = torch_module(model)
    program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
    partial = target.with_suffix(".partial")
    program.save(str(partial), external_data=False)
    partial.rename(target)


def joulecast(model: str) -> Callable[[], int]:
    from joulecast import profile

    shapes = ONNX_INPUTS.get(model)
    if model in CONFIGURATIONS:
        folder = Path(tempfile.mkdtemp())
        (folder / "config.json").write_text(json.dumps(CONFIGURATIONS[model]))
        return lambda: profile(str(folder), input_shapes={"input_ids": (1, TOKENS)}).totals.macs
    return lambda: profile(str(onnx_file(model)), input_shapes=shapes).totals.macs


def onnx_tool(model: str) -> Callable[[], int]:
    import numpy
    from onnx_tool import Model

    shapes = ONNX_INPUTS.get(model)

    def count() -> int:
        graph = Model(str(onnx_file(model))).graph
        feeds = None if shapes is None else {name: numpy.zeros(shape, numpy.float32) for name, shape in shapes.items()}
        graph.shape_infer(feeds)
        graph.profile()
        return int(sum(graph.macs))

    return count


def fvcore(model: str) -> Callable[[], int]:
    from fvcore.nn import FlopCountAnalysis

    module, inputs = torch_module(model)
    return lambda: int(FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).total())


def calflops(model: str) -> Callable[[], int]:
    from calflops import calculate_flops

    module, inputs = torch_module(model)

    def count() -> int:
        _, macs, _ = calculate_flops(
            module, args=list(inputs), print_results=False, print_detailed=False, output_as_string=False
        )
        return int(macs)

    return count


def torch_flop_counter(model: str) -> Callable[[], int]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module, inputs = torch_module(model)

    def count() -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*inputs)
        return int(counter.get_total_flops() // 2)

    return count


TOOLS: dict[str, Callable[[str], Callable[[], int]]] = {
    "joulecast": joulecast,
    "onnx-tool": onnx_tool,
    "fvcore": fvcore,
    "calflops": calflops,
    "FlopCounterMode": torch_flop_counter,
}
NEEDS_MODULE = frozenset({"fvcore", "calflops", "FlopCounterMode"})


def main(tool: str, model: str) -> None:
    if tool == "export":
        export(model)
        return
    count = TOOLS[tool](model)
    start, started = time.perf_counter(), time.process_time()
    macs = count()
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - started
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"macs": macs, "seconds": seconds, "processor_seconds": processor_seconds, "peak_bytes": peak_bytes}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
