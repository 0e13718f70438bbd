"""Options that several commands share, and the request they make together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from joulecast.cli.output import OutputFormat
from joulecast.workloads import (
    DEFAULT_ENGINE,
    DEFAULT_INPUT_TOKENS,
    DEFAULT_RUNTIME,
    FORECAST_BATCH_SIZE,
    PROFILE_BATCH_SIZE,
)

_MODEL, _WORKLOAD, _REGISTRY, _OUTPUT = "Model", "Workload", "Registry", "Output"


class GraphChoice(StrEnum):
    """Which graph is counted."""

    EXPORTED = "exported"
    OPTIMIZED = "optimized"


Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="What to print.", rich_help_panel=_OUTPUT)]
NoColor = Annotated[bool, typer.Option("--no-color", help="Plain tables.", rich_help_panel=_OUTPUT)]
Top = Annotated[int, typer.Option("--top", min=0, help="Rows of the layer table; 0 for all.", rich_help_panel=_OUTPUT)]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        min=1,
        help="Samples in a batch, where no --input says it.",
        show_default=str(PROFILE_BATCH_SIZE),
        rich_help_panel=_WORKLOAD,
    ),
]
BatchSizes = Annotated[
    list[int] | None,
    typer.Option(
        "--batch-size",
        "-b",
        min=1,
        help="Samples in a batch, where no --input says it; repeatable.",
        show_default=str(FORECAST_BATCH_SIZE),
        rich_help_panel=_WORKLOAD,
    ),
]
Tokens = Annotated[
    int | None,
    typer.Option(
        "--input-tokens",
        min=1,
        help="Tokens of a sequence of a language model.",
        show_default=str(DEFAULT_INPUT_TOKENS),
        rich_help_panel=_WORKLOAD,
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "--architecture",
        help="Model type to read a language model's configuration as, such as llama.",
        rich_help_panel=_MODEL,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision", "-p",
        help="What the arithmetic runs in: default (what torch does unasked), fp32, tf32, bf16, fp16.",
        rich_help_panel=_WORKLOAD,
    ),
]  # fmt: skip
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        help="torch-eager, torch-cudagraph, onnxruntime-cuda; of a language model vllm, sglang, or torch-eager.",
        show_default=f"{DEFAULT_RUNTIME}; {DEFAULT_ENGINE} of a language model",
        rich_help_panel=_WORKLOAD,
    ),
]

PowerLimit = Annotated[
    float | None,
    typer.Option("--power-limit-watts", help="Power limit set below the card's own.", rich_help_panel=_WORKLOAD),
]
Clock = Annotated[float | None, typer.Option("--clock-mhz", help="SM clock lock.", rich_help_panel=_WORKLOAD)]
PowerLimits = Annotated[
    list[float] | None,
    typer.Option("--power-limit-watts", help="Power limit to try beside none; repeatable.", rich_help_panel=_WORKLOAD),
]
Clocks = Annotated[
    list[float] | None,
    typer.Option("--clock-mhz", help="SM clock lock to try beside none; repeatable.", rich_help_panel=_WORKLOAD),
]
TriesLimits = Annotated[
    bool,
    typer.Option(
        "--try-power-limits",
        help="Also try power limits down to 40 % on the card of the fewest joules.",
        rich_help_panel=_WORKLOAD,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """The model asked for and how to get at it: the options that ``profile``, ``estimate`` and ``compare`` share."""

    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An ONNX file, a folder with a config.json, a .gguf file, an OCI image-layout folder (FOLDER or"
            " FOLDER:tag), an image reference (registry.example/models/resnet50:1), a model of a hub or an object store"
            " (hf://organisation/name, s3://bucket/folder), a network of an installed library (torchvision:resnet50,"
            " timm:vit_base_patch16_224, transformers:gpt2), or a profile saved with `-o json`.",
            show_default=False,
        ),
    ]
    input: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHAPE",
            help="Shape of an input, batch included, as NAME=1,3,224,224; the word batch stands for the batch size."
            " Repeatable.",
            rich_help_panel=_WORKLOAD,
        ),
    ] = None
    value: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Content of an input that steers shapes or branches, as NAME=16000, NAME=1,2,3 or"
            " NAME=[[1,2],[3,4]]. Repeatable.",
            rich_help_panel=_WORKLOAD,
        ),
    ] = None
    path: Annotated[
        str | None,
        typer.Option(help="The model inside the image or folder, as /models/model.onnx.", rich_help_panel=_MODEL),
    ] = None
    graph: Annotated[
        GraphChoice,
        typer.Option(help="The graph as exported, or after onnxruntime's optimiser.", rich_help_panel=_MODEL),
    ] = GraphChoice.EXPORTED
    platform: Annotated[
        str, typer.Option(help="Which image of a multi-platform reference.", rich_help_panel=_MODEL)
    ] = "linux/amd64"
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte and check it against the digest.", rich_help_panel=_MODEL)
    ] = False
    budget_bytes: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Most bytes to fetch, as 512Mi.", rich_help_panel=_REGISTRY),
    ] = None
    budget_seconds: Annotated[
        float | None, typer.Option(min=0.0, help="Longest time to fetch, in seconds.", rich_help_panel=_REGISTRY)
    ] = None
    insecure_registry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]", help="Registry spoken to over plain HTTP. Repeatable.", rich_help_panel=_REGISTRY
        ),
    ] = None
    permit_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="Registry that may stand at an address that is otherwise refused. Repeatable.",
            rich_help_panel=_REGISTRY,
        ),
    ] = None
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST=ENDPOINT", help="Endpoint tried before a registry. Repeatable.", rich_help_panel=_REGISTRY
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificates of a private authority (PEM).", exists=True, dir_okay=False, rich_help_panel=_REGISTRY
        ),
    ] = None


def takes_model(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the fields of ``ModelRequest`` as its own parameters, so that typer offers each as an option."""
    return takes(ModelRequest)(command)


def takes(*groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of ``groups`` as its own parameters: it takes one value of each group, in order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_options(**options: Any) -> None:
            values = [group(**{each.name: options.pop(each.name) for each in fields(group)}) for group in groups]
            command(*values, **options)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]
        shared = [each for group in groups for each in inspect.signature(group, eval_str=True).parameters.values()]
        with_options.__doc__ = command.__doc__
        with_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*shared, *own]]
        )
        hints = [get_type_hints(each, include_extras=True) for each in (*groups, command)]
        with_options.__annotations__ = {name: hint for found in hints for name, hint in found.items()}
        return with_options

    return decorate
