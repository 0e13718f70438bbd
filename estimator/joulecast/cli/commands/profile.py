"""``joulecast profile``."""

from __future__ import annotations

from joulecast.api.documents import profile_document
from joulecast.cli.options import Architecture, BatchSize, ModelRequest, NoColor, Output, Tokens, Top, takes_model
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.workloads import PROFILE_BATCH_SIZE

EXAMPLES = (
    "Examples: `joulecast profile model.onnx` ·"
    " `joulecast profile model.onnx -b 8 --input image=batch,3,224,224 --top 0` ·"
    " `joulecast profile registry.example/models/resnet50:1 --path /models/model.onnx -o json`"
)


@takes_model
def command(
    request: ModelRequest,
    batch_size: BatchSize = None,
    tokens: Tokens = None,
    architecture: Architecture = None,
    top: Top = 10,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Count what one batch of a model asks of a machine: MACs, parameters, activations, bytes, op by op.

    Exact, from shapes alone: no weights are read and no GPU is used.
    """
    from joulecast.cli.language import LanguageSource, TracedSource, forward_profiles, opened, traced_profiles
    from joulecast.cli.models import profiles

    sizes = [batch_size] if batch_size else None
    found = opened(request, architecture)
    if isinstance(found, LanguageSource):
        (profile,) = forward_profiles(found, sizes, tokens, default=PROFILE_BATCH_SIZE)
    elif isinstance(found, TracedSource):
        (profile,) = traced_profiles(found, sizes, tokens, default=PROFILE_BATCH_SIZE)
    else:
        (profile,) = profiles(request, sizes, default=PROFILE_BATCH_SIZE, fetched=found)
    if output is OutputFormat.TABLE:
        from joulecast.cli.tables.profiles import profile_tables

        show(profile_tables(profile, top=top), color=not no_color)
        return
    document = profile_document(profile)
    write_document(document, output, document["layers"])
