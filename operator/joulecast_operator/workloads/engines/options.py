"""Options of inference engines that a forecast reads, and those that change what an engine does beyond it.

Sources: vllm/engine/arg_utils.py and vllm/entrypoints; sglang/srt/server_args.py; text-generation-inference's
launcher; kserve/python/huggingfaceserver; NVIDIA's page of NIM's environment variables; llama.cpp,
tools/server/README.md. Names are compared without case and with ``-`` for ``_``, as vLLM does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from joulecast_operator.workloads.engines.commands import UNKNOWN

_LONGEST_VALUE: Final = 1024
_LIMITS: Final = frozenset({"most_sequences", "longest", "batched_tokens", "memory_share", "cache_dtype"})
"""What an option says that a forecast can do without: a value that the pod does not state is listed as ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How one engine is started.

    - ``runtime``: the runtime whose law prices it; None where none does.
    - ``programs``: names of its program; ``modules``: of ``python -m``; ``subcommand``: the word after the program.
    - ``images``: parts of the name of an image that starts it where a container names no command.
    - ``positional``: the model may be the first word that is no option.
    - ``options``: what is read, by option; ``variables``: by environment variable.
    - ``matters``: options that change time or energy and are not read.
    """

    name: str
    runtime: str | None
    programs: tuple[str, ...]
    modules: tuple[str, ...] = ()
    subcommand: str | None = None
    images: tuple[str, ...]
    positional: bool = False
    options: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    matters: frozenset[str] = frozenset()


_SHARED_MATTERS: Final = frozenset(
    """
    --pipeline-parallel-size -pp --pp --pp-size --data-parallel-size -dp --dp --dp-size
    --enable-expert-parallel -ep --ep --ep-size --enable-ep-moe --speculative-config --speculative-model
    --speculative-algorithm --num-speculative-tokens --enforce-eager --cpu-offload-gb --enable-lora
    --hf-overrides --rope-scaling --config --swap-space --disable-cuda-graph --chunked-prefill-size
    --no-enable-chunked-prefill --no-enable-prefix-caching --async-scheduling --kv-transfer-config
    --disaggregation-mode
    --compilation-config --attention-backend --enable-dp-attention --model-impl --num-gpu-blocks-override
    """.split()
)

_DIVIDING: Final[Mapping[str, str]] = {
    **dict.fromkeys(("--pipeline-parallel-size", "-pp", "--pp", "--pp-size"), "pipeline"),
    **dict.fromkeys(("--data-parallel-size", "-dp", "--dp", "--dp-size"), "data"),
    **dict.fromkeys(("--nnodes", "-n", "--node-rank", "-r", "--headless", "--dist-init-addr"), "nodes"),
    **dict.fromkeys(("--master-addr", "--data-parallel-address", "-dpa", "--data-parallel-start-rank"), "nodes"),
    **dict.fromkeys(("--kv-transfer-config", "--disaggregation-mode"), "transfer"),
    "--enable-dp-attention": "attention",
}
"""Options that divide a model or its requests among cards, pods or servers, of vLLM and SGLang, by what they divide."""

ENGINES: Final[tuple[Engine, ...]] = (
    Engine(
        name="vLLM",
        runtime="vllm",
        programs=("vllm",),
        modules=("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server", "vllm.entrypoints.cli.main"),
        subcommand="serve",
        images=("vllm",),
        positional=True,
        options={
            "--model": "model", "--revision": "revision", "--tensor-parallel-size": "tensor_parallel",
            "-tp": "tensor_parallel", "--max-num-seqs": "most_sequences", "--max-model-len": "longest",
            "--max-num-batched-tokens": "batched_tokens", "--gpu-memory-utilization": "memory_share",
            "--kv-cache-dtype": "cache_dtype", "--dtype": "dtype", "--quantization": "quantisation",
            "-q": "quantisation",
        },
        matters=_SHARED_MATTERS,
    ),
    Engine(
        name="Hugging Face server",
        runtime="vllm",  # it starts vLLM's engine for every model that generates text
        programs=(),
        modules=("huggingfaceserver",),
        images=("huggingfaceserver",),
        options={
            "--model-id": "model", "--model-dir": "model", "--model-revision": "revision",
            "--tensor-parallel-size": "tensor_parallel", "-tp": "tensor_parallel", "--max-num-seqs": "most_sequences",
            "--max-model-len": "longest", "--max-num-batched-tokens": "batched_tokens",
            "--gpu-memory-utilization": "memory_share", "--kv-cache-dtype": "cache_dtype", "--dtype": "dtype",
            "--quantization": "quantisation", "-q": "quantisation",
        },
        matters=_SHARED_MATTERS | {"--backend"},
    ),
    Engine(
        name="SGLang",
        runtime="sglang",
        programs=("sglang",),
        modules=("sglang.launch_server",),
        subcommand="serve",
        images=("sglang",),
        options={
            "--model-path": "model", "--model": "model", "--revision": "revision",
            "--tensor-parallel-size": "tensor_parallel", "--tp-size": "tensor_parallel", "--tp": "tensor_parallel",
            "--max-running-requests": "most_sequences",
            "--context-length": "longest", "--mem-fraction-static": "memory_share", "--kv-cache-dtype": "cache_dtype",
            "--dtype": "dtype", "--quantization": "quantisation", "--max-prefill-tokens": "batched_tokens",
        },
        matters=_SHARED_MATTERS,
    ),
    Engine(
        name="TGI",
        runtime=None,
        programs=("text-generation-launcher", "text-generation-server"),
        images=("text-generation-inference",),
        options={
            "--model-id": "model", "--revision": "revision", "--num-shard": "tensor_parallel", "--dtype": "dtype",
            "--quantize": "quantisation", "--max-total-tokens": "longest",
            "--max-concurrent-requests": "most_sequences",
            "--kv-cache-dtype": "cache_dtype", "--max-batch-prefill-tokens": "batched_tokens",
        },
        variables={
            "MODEL_ID": "model", "REVISION": "revision", "NUM_SHARD": "tensor_parallel", "QUANTIZE": "quantisation",
            "DTYPE": "dtype", "MAX_TOTAL_TOKENS": "longest",
        },
        matters=frozenset({"--speculate", "--disable-custom-kernels", "--cuda-graphs", "--rope-scaling"}),
    ),
    Engine(
        name="NIM",
        runtime=None,  # the image decides whether vLLM, SGLang or TensorRT-LLM runs in it
        programs=("nim",),
        images=("nvcr.io/nim/",),
        options={},
        variables={
            "NIM_MODEL_NAME": "model", "NIM_MODEL_PATH": "model", "NIM_TENSOR_PARALLEL_SIZE": "tensor_parallel",
            "NIM_MAX_MODEL_LEN": "longest",
        },
        matters=frozenset(),
    ),
    Engine(
        name="llama.cpp",
        runtime=None,
        programs=("llama-server", "server"),
        images=("llama.cpp",),
        options={
            "--model": "model", "-m": "model", "--hf-repo": "hub", "-hf": "hub", "-hfr": "hub", "--hf-file": "file",
            "-hff": "file", "--parallel": "most_sequences", "-np": "most_sequences", "--ctx-size": "longest",
            "-c": "longest", "--batch-size": "batched_tokens", "-b": "batched_tokens", "--cache-type-k": "cache_dtype",
            "-ctk": "cache_dtype",
        },
        variables={
            "LLAMA_ARG_MODEL": "model", "LLAMA_ARG_HF_REPO": "hub", "LLAMA_ARG_HF_FILE": "file",
            "LLAMA_ARG_N_PARALLEL": "most_sequences", "LLAMA_ARG_CTX_SIZE": "longest",
        },
        matters=frozenset("--n-gpu-layers -ngl --split-mode -sm --model-draft -md --flash-attn -fa".split()),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of one command.

    - ``values``: what is read, by its meaning; ``used``: the options that said it, as written.
    - ``ignored``: options that may matter and are not read, as written.
    - ``dividing``: values of those that divide the model or its requests, by what they divide.
    """

    values: Mapping[str, str]
    used: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    dividing: Mapping[str, str] = field(default_factory=dict)


def read_options(engine: Engine, words: Sequence[str], variables: Mapping[str, str]) -> Options:
    """Read the words after the engine's program; a later option overrides an earlier one, and both a variable."""
    values = {meaning: variables[name] for name, meaning in engine.variables.items() if name in variables}
    used = [f"${name}" for name in engine.variables if name in variables]
    ignored: list[str] = []
    dividing: dict[str, str] = {}
    for option, value in _pairs(engine, words):
        if option in _DIVIDING and engine.runtime is not None:
            dividing[_DIVIDING[option]] = value[:_LONGEST_VALUE]
        meaning = "model" if option == "" else engine.options.get(option)
        if meaning in _LIMITS and UNKNOWN.search(value):
            ignored.append(f"{option} {value[:_LONGEST_VALUE]}")
        elif meaning and value:
            values[meaning] = value[:_LONGEST_VALUE]
            used.append(option or value)
        elif option in engine.matters or option.partition(".")[0] in engine.matters:
            ignored.append(f"{option} {value[:_LONGEST_VALUE]}".strip())
    said = tuple(dict.fromkeys(used)), tuple(dict.fromkeys(ignored))
    return Options(values=values, used=said[0], ignored=said[1], dividing=dividing)


def _pairs(engine: Engine, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield options with their values, "" where an option has none; the first bare word as the value of ""."""
    bare, position = engine.positional, 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-"):
            if bare:
                yield "", word
            bare = False
            continue
        name, has_value, value = word.partition("=")
        option = _plain(name)
        if not has_value and _takes_value(engine, option, words, position):
            value, position = words[position], position + 1
        yield option, value


def _plain(option: str) -> str:
    return option.lower().replace("_", "-") if option.startswith("--") else option


def _takes_value(engine: Engine, option: str, words: Sequence[str], position: int) -> bool:
    """Decide whether the next word is the value of ``option``: always of one that is read, else if it looks so.

    An unknown switch before a positional model cannot be told from an option with a value; the word is then taken for
    its value, and no model is found rather than a wrong one.
    """
    if position >= len(words):
        return False
    if option in engine.options:
        return True
    return not words[position].startswith("-") and option not in _SWITCHES


_SWITCHES: Final = frozenset(
    """
    --trust-remote-code --enable-prefix-caching --enable-chunked-prefill --enforce-eager
    --disable-log-requests --disable-log-stats --enable-auto-tool-choice --enable-lora
    --enable-expert-parallel --enable-reasoning --no-enable-prefix-caching --no-enable-chunked-prefill
    --async-scheduling --headless --disable-custom-all-reduce --enable-sleep-mode
    --disable-uvicorn-access-log --enable-server-load-tracking --language-model-only --skip-tokenizer-init
    --enable-log-requests --no-enable-log-requests
    """.split()
)
"""Options of vLLM without a value."""
