"""The typer application of ``kubectl joulecast``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joulecast.cli import application
from joulecast.cli.output import OutputFormat, progress, show, write, write_document, yaml_text
from joulecast_operator.api.kinds import PLANS
from joulecast_operator.kubectl.comparison import comparison_document
from joulecast_operator.kubectl.dry_run import DryRun
from joulecast_operator.kubectl.explanation import explanation_document, result_asked
from joulecast_operator.kubectl.manifests import read
from joulecast_operator.kubectl.names import Named, named, named_plan
from joulecast_operator.kubectl.patches import FIELD_MANAGER
from joulecast_operator.kubectl.plan_tables import list_tables, plan_tables
from joulecast_operator.kubectl.plans import manifest_for, plans_document
from joulecast_operator.kubectl.ranking import ranking_document
from joulecast_operator.kubectl.reading import explanation_at, plans_at, ranking_at
from joulecast_operator.kubectl.server import Place, Server
from joulecast_operator.kubectl.tables import comparison_tables, explanation_tables, ranking_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

PROGRAM = "kubectl joulecast"

app = typer.Typer(
    name="joulecast",
    help="Show the energy that joulecast forecasts of a cluster's workloads, with the rights of your kubeconfig.",
    epilog="Examples: `kubectl joulecast top -A` · `kubectl joulecast explain deployment/web`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)


class Form(StrEnum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Form, typer.Option("--output", "-o", help="What to print.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace.", show_default="the context's")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look in all namespaces.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.", show_default="the current one")]
Kubeconfig = Annotated[
    str | None, typer.Option(help="Path of a kubeconfig.", show_default="KUBECONFIG, else ~/.kube/config")
]


@app.callback()
def _root() -> None:
    """Hold options that all commands share; there are none, because kubectl passes none on."""


@app.command(
    epilog="Examples: `kubectl joulecast explain deployment/web` · `kubectl joulecast explain deploy/web -b 32` ·"
    " `kubectl joulecast explain iee detector -o yaml`"
)
def explain(
    what: Annotated[list[str], typer.Argument(metavar="KIND/NAME", help="An estimate or a workload.")],
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", "-a", help="Explain the result for it.", show_default="that which applies"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", min=1, help="Of this batch size.", show_default="that which applies"),
    ] = None,
    namespace: Namespace = None,
    output: Output = Form.TABLE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Explain a forecast: model, accelerator, phases, layers that spend most, and what widens the interval."""
    wanted = named(what)
    server = Server.at(Place(kubeconfig=kubeconfig, context=context, namespace=namespace))
    with progress("asking the API server"):
        found, workload = explanation_at(server, server.namespace, wanted, result_asked(accelerator, batch_size))
    _print(output, explanation_document(found), explanation_tables(found, workload))


@app.command(epilog="Examples: `kubectl joulecast top` · `kubectl joulecast top -A -o json`")
def top(
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: Output = Form.TABLE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List workloads by the power that is forecast of them, with sums."""
    server = Server.at(Place(kubeconfig=kubeconfig, context=context, namespace=namespace))
    with progress("asking the API server"):
        found = ranking_at(server, None if all_namespaces else server.namespace)
    _print(output, ranking_document(found), ranking_tables(found, with_namespaces=all_namespaces))


@app.command(
    epilog="Examples: `kubectl joulecast diff -f deployment.yaml` · `helm template chart | kubectl joulecast diff -f -`"
)
def diff(
    filename: Annotated[
        list[str], typer.Option("--filename", "-f", help="File, directory, or - for standard input; repeatable.")
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-R", help="Read directories below as well.")] = False,
    server_side: Annotated[
        bool, typer.Option("--server-side", help="As `kubectl apply --server-side` would apply them.")
    ] = False,
    field_manager: Annotated[
        str | None,
        typer.Option(help="Manager of a server-side apply, such as that of a GitOps tool.", show_default="kubectl"),
    ] = None,
    namespace: Namespace = None,
    output: Output = Form.TABLE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what applying manifests would change in the forecasts of their workloads. Nothing is stored.

    The API server tries each object as a dry run, for which it wants the rights to patch and create it.
    """
    manifests = read(filename, recursive=recursive)
    server = Server.at(Place(kubeconfig=kubeconfig, context=context, namespace=namespace))
    manager = field_manager or (FIELD_MANAGER if server_side else None)
    with progress("asking the API server"):
        found = DryRun(server, only_namespace=namespace, manager=manager).comparison(manifests)
    _print(output, comparison_document(found), comparison_tables(found))


_LIMIT = {"min": 1, "rich_help_panel": "Of --manifest"}


@app.command(
    epilog="Examples: `kubectl joulecast plan` · `kubectl joulecast plan deployment/web` · `kubectl joulecast plan"
    " deployment/web --manifest --latency-milliseconds 20 | kubectl apply -f -`"
)
def plan(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PLAN | KIND/NAME]", help="A plan, or a workload that plans are about."),
    ] = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Print a plan for the workload, to apply, in place of those there are.")
    ] = False,
    latency_milliseconds: Annotated[int | None, typer.Option(help="Longest latency.", **_LIMIT)] = None,
    time_to_first_token_milliseconds: Annotated[
        int | None, typer.Option(help="Longest time to the first token.", **_LIMIT)
    ] = None,
    inter_token_latency_milliseconds: Annotated[
        int | None, typer.Option(help="Longest time between tokens.", **_LIMIT)
    ] = None,
    requests_per_second: Annotated[
        str | None, typer.Option(help="Of all clients, such as 20, 0.5 or 500m.", rich_help_panel="Of --manifest")
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: Output = Form.TABLE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what EnergyPlans recommend: all of a namespace, one, or those about a workload."""
    wanted = named_plan(what or [])
    server = Server.at(Place(kubeconfig=kubeconfig, context=context, namespace=namespace))
    limits = {
        "latencyMilliseconds": latency_milliseconds,
        "timeToFirstTokenMilliseconds": time_to_first_token_milliseconds,
        "interTokenLatencyMilliseconds": inter_token_latency_milliseconds,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    if manifest:
        _print_manifest(wanted, server.namespace, given, requests_per_second)
        return
    if given or requests_per_second is not None:
        raise typer.BadParameter("limits and the rate are of --manifest: a plan that is there has its own")
    with progress("asking the API server"):
        found = plans_at(server, None if all_namespaces and wanted is None else server.namespace, wanted)
    tables = [table for each in found for table in plan_tables(each)]
    _print(output, plans_document(found), tables if wanted else list_tables(found, with_namespaces=all_namespaces))


def _print_manifest(wanted: Named | None, namespace: str, limits: dict[str, int], rate: str | None) -> None:
    if wanted is None or wanted.kind is PLANS:
        raise typer.BadParameter(
            "name the workload that the plan is about, such as deployment/web", param_hint="--manifest"
        )
    body = manifest_for(wanted.kind, namespace, wanted.name, limits=limits, requests_per_second=rate)
    write(yaml_text(body))


def run() -> None:
    """Run the command line given and exit, as ``joulecast`` does."""
    application.run(app, PROGRAM)


def _print(output: Form, document: dict[str, Any], tables: Sequence[RenderableType]) -> None:
    if output is Form.TABLE:
        show(tables)
    else:
        write_document(document, OutputFormat(output.value), [])
