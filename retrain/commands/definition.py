"""The commands that write and review the definition: `check`, `render`, `template`, `diff`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrain.commands.options import (
    DEFAULT_CONFIG,
    DEFINITION,
    RENDERED,
    TEMPLATE,
    Check,
    ConfigFile,
    clients,
    err,
    out,
    show_notes,
    write_or_compare,
)
from retrain.rendering import rendered_files
from workflow.config import Config, load_config, with_integration
from workflow.extensions import IntegrationName
from workflow.mistakes import ConfigError
from workflow.runs.executions import RunningError

if TYPE_CHECKING:
    from workflow.definition.identity import Identity
    from workflow.definition.review_text import Section


def check(
    config: ConfigFile = DEFAULT_CONFIG,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="Check tables, columns and expressions too, of postgresql://… or mysql://….",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check the configuration, the workflow's structure and AWS's limits; calls nothing.

    Only pip is called, for the requirements of functions of your own.
    With a database URL, Spark resolves every table, column and expression against the database.
    All that is wrong is reported at once, and no row is read.

    Example: retrain check --database-url postgresql://me:secret@127.0.0.1:5432/shop
    """
    from lambdas.polling import next_wait  # noqa: PLC0415  botocore costs time
    from workflow.definition.asl import function_name, states  # noqa: PLC0415
    from workflow.definition.limits import overfull_history  # noqa: PLC0415
    from workflow.definition.render import render as rendered  # noqa: PLC0415  the SDK costs half a second
    from workflow.deployment.derived_permissions import check_derived  # noqa: PLC0415
    from workflow.deployment.function_sources import archive_files, read_sources  # noqa: PLC0415
    from workflow.deployment.permissions import check_sizes, role_policies  # noqa: PLC0415

    loaded = load_config(config)
    if mistakes := overfull_history(loaded, next_wait=next_wait):
        raise ConfigError(str(config), mistakes)
    sources = read_sources(loaded)
    archive_files(loaded)
    definition = json.loads(rendered(loaded))
    derived = check_derived(loaded, definition)
    check_sizes(loaded, role_policies(loaded, definition))
    if database_url is not None:
        from retrain.project.preview import check_against_database  # noqa: PLC0415

        database = check_against_database(
            loaded.job_spec(), database_url, source=str(config), environment=os.environ
        )
        out.print(f"{escape(str(config))}: sound, and fits the {escape(database)}")
    else:
        out.print(f"{escape(str(config))}: sound")
    for data_set in loaded.data_sets:
        out.print(f"  {data_set.type:<13}{', '.join(data_set.header)}")
    for name, source in sources.items():
        out.print(f"  {name:<13}{', '.join(source.files)}")
    called = {function_name(state) for _, _, state in states(definition)}
    uncalled = [name for name in sources if loaded.function(name) not in called]
    unused = (f"no state calls the function '{name}', which is deployed" for name in uncalled)
    show_notes([*derived.notes, *unused])


def render(
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="Directory of the rendered files.")] = RENDERED,
    unfold: Annotated[
        bool,
        typer.Option("--unfold", help="Draw the states of poll loops, not each loop as one box."),
    ] = False,
    integration: Annotated[
        IntegrationName | None,
        typer.Option(
            help="Render the workflow with this integration, lambda or sdk, beside the configured"
            " one: as retraining.sdk.asl.json and so on.",
            show_default=False,
        ),
    ] = None,
    check: Check = False,
) -> None:
    """Render the workflow to Amazon States Language, with its picture, for review; calls nothing.

    Example: retrain render --check
    """
    from workflow.definition.graph import retraining_graph  # noqa: PLC0415

    loaded, name = load_config(config), "retraining"
    if integration not in {None, loaded.workflow.integration}:
        loaded, name = with_integration(loaded, integration), f"retraining.{integration}"
    graph = retraining_graph(loaded)
    stale = [
        file
        for file, text in rendered_files(loaded, graph.to_dict(), name=name, unfold=unfold).items()
        if write_or_compare(output / file, text, check=check)
    ]
    for line in getattr(graph, "added", ()):
        out.print(f"added to {escape(line)}", style="dim")
    if stale:
        err.print("run 'retrain render' and commit what it writes")
        raise typer.Exit(1)


def template(
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="The rendered template.")] = TEMPLATE,
    check: Check = False,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            help="Also write the code that the template names into this directory.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Render all resources as a CloudFormation template, for teams that deploy so; calls nothing.

    Example: retrain template --check
    """
    from workflow.deployment.artefacts import build_artefacts  # noqa: PLC0415
    from workflow.deployment.derived_permissions import derive  # noqa: PLC0415
    from workflow.deployment.template import rendered_template  # noqa: PLC0415

    loaded = load_config(config)
    show_notes(derive(loaded).notes)
    if write_or_compare(output, rendered_template(loaded), check=check):
        err.print("run 'retrain template' and commit what it writes")
        raise typer.Exit(1)
    if artifacts is not None:
        for path in build_artefacts(loaded).write(artifacts):
            out.print(f"{escape(str(path))}: written")


def diff(
    config: ConfigFile = DEFAULT_CONFIG,
    asl: Annotated[Path, typer.Option(help="The reviewed definition.")] = DEFINITION,
    base: Annotated[
        Path | None,
        typer.Option(
            help="Compare with this file, not with the deployment; empty if there was none. Or"
            " with the directory of an earlier version of this project, its data sets, permissions"
            " and cost too.",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a pull-request comment with both pictures.")
    ] = False,
) -> None:
    """Compare the reviewed definition with the deployed one, state by state.

    Exit code 0: the same; 1: different; 2: an error, as a mistake in the configuration is one.

    Example: retrain diff --markdown
    """
    from workflow.definition.identity import Identity  # noqa: PLC0415
    from workflow.definition.review import review  # noqa: PLC0415
    from workflow.definition.review_text import as_markdown, as_text  # noqa: PLC0415

    after, sections = _read_definition(asl), []
    if base is None:
        loaded = load_config(config)
        _check_same(str(asl), Identity.of(after), str(config), Identity.of_config(loaded))
        before, name = _deployed_definition(loaded), "deployed"
    elif base.is_dir():
        earlier = _below(base, asl)
        before, name = _read_definition(earlier) if earlier.exists() else {}, str(base)
        _check_same(str(asl), Identity.of(after), str(earlier), Identity.of(before))
        sections = list(_sections(_below(base, config), config, earlier, asl))
    else:
        before, name = _read_definition(base), str(base)
        _check_same(str(asl), Identity.of(after), str(base), Identity.of(before))
    differences = review(before, after)
    if markdown:
        comment = as_markdown(differences, before=before, after=after, sections=sections)
        typer.echo(comment, nl=False)
    else:
        if not before:
            missing = "nothing is deployed yet" if base is None else f"{base} has none"
            out.print(f"{escape(missing)}: every state is new")
        text = as_text(differences, before=name, after=str(asl), sections=sections)
        out.print(escape(text), end="")
    if differences or sections:
        raise typer.Exit(1)


def _check_same(name: str, own: Identity, other_name: str, other: Identity) -> None:
    """Refuse to compare the definitions of two deployments.

    Raises:
        RunningError: If they are.
    """
    if differences := own.differences(other):
        raise RunningError(
            f"{name} is another deployment's than {other_name}: it has {'; '.join(differences)};"
            " compare definitions of one deployment, by --asl, --base and --config, or run"
            " 'retrain render'"
        )


def _below(base: Path, path: Path) -> Path:
    """Return the earlier version of a file of this project."""
    if path.is_absolute():
        if not path.is_relative_to(Path.cwd()):
            raise RunningError(
                f"{path} is not below this directory, so that it has no earlier version in {base};"
                " name a file of this project, or a file as --base"
            )
        path = path.relative_to(Path.cwd())
    return base / path


def _sections(
    earlier_config: Path, config: Path, earlier_asl: Path, asl: Path
) -> Iterator[Section]:
    """Yield what two versions of the project differ in beside the workflow."""
    from lambdas.polling import next_wait  # noqa: PLC0415  botocore costs time
    from workflow.definition.review_text import Section  # noqa: PLC0415
    from workflow.deployment import comparison  # noqa: PLC0415
    from workflow.deployment.permissions import role_policies  # noqa: PLC0415
    from workflow.runs import cost  # noqa: PLC0415
    from workflow.runs.prices import load_prices  # noqa: PLC0415

    if not earlier_config.exists():
        return
    after = load_config(config)
    try:
        before = load_config(earlier_config)
    except ConfigError as error:
        lines = (f"cannot be compared: {str(error).splitlines()[0]}",)
        yield Section("Data sets, permissions and cost", lines)
        return
    definitions = [_read_definition(path) if path.exists() else {} for path in (earlier_asl, asl)]
    policies = [
        role_policies(loaded, definition)
        for loaded, definition in zip((before, after), definitions, strict=True)
    ]

    def bill(loaded: Config, definition: dict[str, Any]) -> cost.Estimate:
        return cost.estimate(
            loaded,
            definition,
            load_prices(loaded.aws.region),
            year=datetime.now(UTC).year,
            next_wait=next_wait,
        )

    if definitions[0]:
        try:
            costs = list(comparison.cost_changes(*map(bill, (before, after), definitions)))
        except cost.CostError as error:
            costs = [f"cannot be compared: {error}"]
    else:
        costs = [f"cannot be compared: {earlier_asl} has no definition"]
    found = [
        ("Data sets", list(comparison.data_changes(before, after))),
        ("Permissions", list(comparison.permission_changes(*policies))),
        ("Cost, as `retrain cost` estimates it", costs),
    ]
    yield from (Section(title, tuple(lines)) for title, lines in found if lines)


def _deployed_definition(config: Config) -> dict[str, Any]:
    client = clients(config)("stepfunctions")
    try:
        machine = client.describe_state_machine(stateMachineArn=config.state_machine_arn)
    except client.exceptions.StateMachineDoesNotExist:
        return {}
    definition: dict[str, Any] = json.loads(machine["definition"])
    return definition


def _read_definition(path: Path) -> dict[str, Any]:
    """Read a rendered definition; empty if the file is.

    Raises:
        RunningError: If it is no JSON, or has not the shape of a definition.
    """
    from workflow.definition.asl import shape_faults  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8")
        definition: dict[str, Any] = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise RunningError(f"{path}: no JSON: {error}; run 'retrain render'") from None
    if definition and (faults := list(shape_faults(definition))):
        raise RunningError(f"{path}: {'; '.join(faults)}; run 'retrain render'")
    return definition
