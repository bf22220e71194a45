"""Commands that review what is deployed and run it: diff, start, watch, stop, explain, cost, ….

Thin: arguments in, the library called, its answer printed. `troubles` is the one place where an
error becomes a message and an exit code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from workflow import cost, diagnosis, reports, review, running, terminal, usage
from workflow.account import Clients, check_identity, clients_of, explained
from workflow.config import Config, ConfigError, load_config
from workflow.errors import DeployError
from workflow.execution import RUNNING, follow, history
from workflow.prices import PriceError, load_prices
from workflow.schedule import ScheduleError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Execution = Annotated[
    str, typer.Argument(help="Name or ARN; the latest if left out.", show_default=False)
]
Pause = Annotated[float, typer.Option(min=0.0, help="Seconds between two looks.")]
DEFAULT_CONFIG = Path("retraining.toml")
COMMITTED = Path("asl/retraining.asl.json")

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_ERRORS = (
    ConfigError,
    DeployError,
    running.RunningError,
    cost.CostError,
    PriceError,
    ScheduleError,
    BotoCoreError,
    ClientError,
    OSError,
)


@contextmanager
def troubles(exit_code: int = 1) -> Iterator[None]:
    """Turn an error of the library or of AWS into one message and an exit code."""
    try:
        yield
    except _ERRORS as error:
        text = str(error)
        if isinstance(error, (BotoCoreError, ClientError)):
            text = explained(error, "states", "the workflow")
        _err.print(escape(text), style="red")
        raise typer.Exit(exit_code) from None


def _clients(config: Config) -> Clients:
    """Return clients of the configured account, or raise if the credentials are another's."""
    clients = clients_of(boto3.Session(), config.aws.region)
    check_identity(config, clients)
    return clients


@app.command()
def diff(
    config: ConfigFile = DEFAULT_CONFIG,
    asl: Annotated[Path, typer.Option(help="The reviewed definition.")] = COMMITTED,
    base: Annotated[
        Path | None,
        typer.Option(
            help="Compare with this file, not with what is deployed; empty if there was none.",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a pull-request comment with both pictures.")
    ] = False,
) -> None:
    """Compare the reviewed definition with the deployed one, state by state.

    Exit code 0: the same; 1: different; 2: they cannot be compared.

    Example: retrain diff --markdown
    """
    with troubles(2):
        after = _definition(asl)
        if base is None:
            loaded = load_config(config)
            before, name = _deployed(_clients(loaded), loaded), "deployed"
        else:
            before, name = _definition(base), str(base)
    found = review.review(before, after)
    if markdown:
        typer.echo(review.as_markdown(found, before=before, after=after), nl=False)
    else:
        if not before:
            missing = "nothing is deployed yet" if base is None else f"{base} is empty"
            _out.print(f"{escape(missing)}: every state is new")
        _out.print(escape(review.as_text(found, before=name, after=str(asl))), end="")
    if found:
        raise typer.Exit(1)


@app.command()
def start(
    config: ConfigFile = DEFAULT_CONFIG,
    name: Annotated[
        str, typer.Option(help="Of the execution; made from the time if left out.")
    ] = "",
    inputs: Annotated[
        str, typer.Option("--input", help="JSON for the first state, or @FILE.")
    ] = "{}",
    wait: Annotated[bool, typer.Option("--wait", help="Show the run until it ends.")] = False,
    poll_seconds: Pause = 5.0,
    as_json: AsJson = False,
) -> None:
    """Start a run of the deployed workflow. With --wait, exit code 1 if it fails.

    Example: retrain start --wait
    """
    from workflow.state_machine import run_name  # noqa: PLC0415  the SDK costs half a second

    with troubles():
        loaded = load_config(config)
        given = _input(inputs)
        client = _clients(loaded)("stepfunctions")
        run = running.start_run(
            client,
            loaded.state_machine_arn,
            name=name or run_name(datetime.now(UTC)),
            inputs=given,
        )
        if wait:
            if not as_json:
                _out.print(f"started {escape(run.name)}")
            _watch(client, run, poll_seconds=poll_seconds, as_json=as_json)
        elif as_json:
            _print_json(_told(run))
        else:
            _out.print(f"started {escape(run.name)}\n'retrain watch' shows it")


@app.command()
def watch(
    execution: Execution = "",
    config: ConfigFile = DEFAULT_CONFIG,
    poll_seconds: Pause = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show a run state by state until it ends. Exit code 1 if it fails.

    Example: retrain watch 20240601T040000Z-3fa9c1
    """
    with troubles():
        loaded = load_config(config)
        client = _clients(loaded)("stepfunctions")
        run = running.find_run(client, loaded.state_machine_arn, execution)
        _watch(client, run, poll_seconds=poll_seconds, as_json=as_json)


@app.command()
def executions(
    config: ConfigFile = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the latest runs: name, status, begin, duration, and where they failed.

    Example: retrain executions --limit 30
    """
    with troubles():
        loaded = load_config(config)
        client = _clients(loaded)("stepfunctions")
        found = running.latest_runs(client, loaded.state_machine_arn, limit=limit)
        failures = {run.arn: running.failure(client, run) for run in found}
    now = datetime.now(UTC)
    if as_json:
        _print_json([_told(run, failures[run.arn]) for run in found])
    elif found:
        reports.show_runs(_out, found, failures, now=now)
    else:
        _out.print("there is no execution yet; 'retrain start' begins one")


@app.command()
def stop(
    execution: Annotated[
        str, typer.Argument(help="Name or ARN; the one that runs if left out.", show_default=False)
    ] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    cause: Annotated[str, typer.Option(help="Why; kept with the execution.")] = "stopped by hand",
    as_json: AsJson = False,
) -> None:
    """Stop a run. Personalize's jobs cannot be called back and are named.

    Example: retrain stop --cause "wrong table"
    """
    with troubles():
        loaded = load_config(config)
        client = _clients(loaded)("stepfunctions")
        status = "" if execution else RUNNING
        run = running.find_run(client, loaded.state_machine_arn, execution, status=status)
        stopped = running.stop_run(client, run, cause=cause)
        left = running.jobs_left_running(history(client, run.arn))
    if as_json:
        _print_json({**_told(stopped), "leftRunning": left})
        return
    _out.print(f"stopped {escape(stopped.name)}")
    for arn in left:
        _out.print(f"  Personalize goes on with, and bills, {escape(arn)}")


@app.command()
def explain(
    execution: Execution = "",
    config: ConfigFile = DEFAULT_CONFIG,
    lines: Annotated[int, typer.Option(min=1, max=1_000, help="Of each log, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say why a run failed: the state, the cause and whose it is, the log, what to do next.

    Example: retrain explain 20240601T040000Z-3fa9c1
    """
    with troubles():
        loaded = load_config(config)
        clients = _clients(loaded)
        states = clients("stepfunctions")
        run = running.find_run(states, loaded.state_machine_arn, execution)
        found = diagnosis.explain(states, clients("logs"), run, loaded, lines=lines)
    if as_json:
        _print_json(
            {
                **_told(run, found.failure),
                "item": found.item,
                "speaker": found.speaker,
                "logs": [asdict(log) for log in found.logs],
                "advice": found.advice,
                "leftRunning": found.left_running,
            }
        )
    else:
        reports.show_explanation(_out, found)


@app.command("cost")
def cost_command(
    config: ConfigFile = DEFAULT_CONFIG,
    execution: Annotated[
        str, typer.Option(help="Take transitions, durations and sizes of this run.")
    ] = "",
    prices: Annotated[
        Path | None,
        typer.Option(help="Prices that go first, as in workflow/prices.toml.", show_default=False),
    ] = None,
    assumed: Annotated[
        list[str] | None,
        typer.Option(
            "--assume", help="NAME=VALUE of an assumption; several times.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate what a run and a month cost, with every assumption shown.

    Example: retrain cost --assume training_hours=4 --assume users=200000
    """
    from workflow.graph import retraining_graph  # noqa: PLC0415  the SDK costs half a second

    with troubles():
        loaded = load_config(config)
        table = load_prices(prices)
        given = cost.given_values(assumed or ())
        assumptions, transitions = cost.ASSUMPTIONS, None
        if execution:
            clients = _clients(loaded)
            states = clients("stepfunctions")
            run = running.find_run(states, loaded.state_machine_arn, execution)
            if run.status != "SUCCEEDED":
                raise cost.CostError(
                    f"execution '{run.name}' is {run.status}: its figures say nothing of a whole"
                    " run; 'retrain executions' shows those that SUCCEEDED"
                )
            events = history(states, run.arn)
            transitions = usage.transitions_of(events)
            measured = {
                **usage.durations_of(events, loaded),
                **usage.sizes_of(clients, loaded, run.name),
                **usage.training_hours_of(clients, events),
            }
            assumptions = cost.assume(assumptions, measured, origin=f"run {run.name}")
        found = cost.estimate(
            loaded,
            retraining_graph(loaded).to_dict(),
            table,
            cost.assume(assumptions, given, origin="given"),
            year=datetime.now(UTC).year,
            transitions=transitions,
        )
    if as_json:
        _print_json(cost.as_json(found))
    else:
        reports.show_cost(_out, found)


def _watch(client: Any, run: running.Run, *, poll_seconds: float, as_json: bool) -> None:
    """Show a run until it ends; exit with 1 if it fails."""
    try:
        if as_json:
            running.wait_for_end(client, run, poll_seconds=poll_seconds, sleep=time.sleep)
        else:
            with terminal.RunView(_out) as view:
                for step in follow(client, run.arn, poll_seconds=poll_seconds):
                    view.step(step)
    except (KeyboardInterrupt, SystemExit):
        _err.print(f"{escape(run.name)} goes on; 'retrain watch {escape(run.name)}' shows it again")
        raise
    ended = running.describe_run(client, run.arn)
    failure = running.failure(client, ended)
    if as_json:
        _print_json(_told(ended, failure))
    elif failure:
        terminal.show_failure(_out, failure)
        _out.print(f"'retrain explain {escape(run.name)}' says more")
    else:
        _out.print(f"{escape(ended.name)}: {ended.status}")
    if failure:
        raise typer.Exit(1)


def _deployed(clients: Clients, config: Config) -> dict[str, Any]:
    client = clients("stepfunctions")
    try:
        found = client.describe_state_machine(stateMachineArn=config.state_machine_arn)
    except client.exceptions.StateMachineDoesNotExist:
        return {}
    definition: dict[str, Any] = json.loads(found["definition"])
    return definition


def _definition(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        return {}
    try:
        definition = json.loads(text)
    except ValueError as error:
        raise running.RunningError(f"{path}: no JSON: {error}; run 'retrain render'") from None
    if not isinstance(definition, dict) or not isinstance(definition.get("States"), dict):
        raise running.RunningError(
            f"{path}: no definition in Amazon States Language; run 'retrain render'"
        )
    return definition


def _input(text: str) -> Any:
    source = "--input"
    if text.startswith("@"):
        source = text[1:]
        text = Path(source).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise running.RunningError(f"{source}: no JSON: {error}") from None


def _told(run: running.Run, failure: Any = None) -> dict[str, Any]:
    """Return a run as a program reads it."""
    told: dict[str, Any] = {
        "name": run.name,
        "executionArn": run.arn,
        "status": run.status,
        "startDate": run.begun,
        "stopDate": run.ended,
    }
    if failure is not None:
        told["failure"] = asdict(failure)
    return told


def _print_json(value: Mapping[str, Any] | list[Any]) -> None:
    def text(other: Any) -> str:
        return other.astimezone(UTC).isoformat() if isinstance(other, datetime) else str(other)

    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=text))
