"""The commands on runs of the deployed workflow, for example start, resume, explain, cost."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrain.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigFile,
    Recommender,
    clients,
    command,
    err,
    is_aws,
    out,
    print_json,
)
from retrain.files import write_whole
from retrain.live import run_view
from retrain.run_tables import show_end, show_explanation, show_failure, show_runs
from retrain.stopping import says_what_goes_on
from retrain.tables import show_cost
from workflow.config import Config, load_config
from workflow.run_names import run_name
from workflow.runs import cost as costs
from workflow.runs import diagnosis
from workflow.runs.executions import (
    LATEST,
    Run,
    RunningError,
    describe_run,
    find_run,
    jobs_left_running,
    latest_failed,
    latest_runs,
    start_run,
    stop_run,
    stop_training,
    wait_for_end,
)
from workflow.runs.first_input import with_increment
from workflow.runs.history import HistoryReader, failed_visit, follow, history
from workflow.runs.prices import load_prices
from workflow.runs.resumption import resume_run, resumption_of
from workflow.runs.usage import usage_of
from workflow.runs.visits import RUNNING, Visits

if TYPE_CHECKING:
    from retrain.run_ends import RunEnd
    from workflow.deployment.account import Clients

_SECOND = {"skip": "is skipped", "wait": "waits for its end", "fail": "fails"}
"""What `[runs] overlap` does with the run that comes second."""

Execution = Annotated[
    str, typer.Argument(help="Name of a run or execution, an execution's ARN, or latest.")
]
FailedExecution = Annotated[
    str,
    typer.Argument(
        help="Name of a run or execution, an execution's ARN, or latest: the run that failed last."
    ),
]
PollSeconds = Annotated[float, typer.Option(min=0.0, help="Seconds between two polls.")]


def start(
    config: ConfigFile = DEFAULT_CONFIG,
    name: Annotated[str, typer.Option(help="Of the run; made from the time if left out.")] = "",
    inputs: Annotated[
        str, typer.Option("--input", help="JSON for the first state, or @FILE.")
    ] = "{}",
    full: Annotated[
        bool, typer.Option("--full", help="With [increments]: import and train everything.")
    ] = False,
    since: Annotated[
        str,
        typer.Option(
            help="With [increments]: import again the interactions from this time on; UTC.",
            show_default=False,
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option(help="The time before which --since ends; UTC.", show_default=False),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show the run until it ends.")] = False,
    poll_seconds: PollSeconds = 5.0,
    as_json: AsJson = False,
) -> None:
    """Start a run of the deployed workflow. With --wait, exit code 1 if it fails.

    Example: retrain start --wait
    """
    loaded = load_config(config)
    first_input = with_increment(loaded, _parse_input(inputs), full=full, since=since, until=until)
    account = clients(loaded)
    name = name or run_name(datetime.now(UTC))
    machine = loaded.state_machine_arn
    run = start_run(account("stepfunctions"), machine, name=name, inputs=first_input)
    shown = _Shown(account, loaded, config, poll_seconds, as_json)
    shown.started(run, wait=wait)


def resume(
    run: Annotated[
        str, typer.Argument(help="Name of the run, or latest: the one that failed last.")
    ] = LATEST,
    config: ConfigFile = DEFAULT_CONFIG,
    wait: Annotated[bool, typer.Option("--wait", help="Show the run until it ends.")] = False,
    poll_seconds: PollSeconds = 5.0,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that failed: what it has extracted, imported and trained is kept.

    One that was stopped or timed out has failed too; one that was skipped or succeeded has not. The
    workflow is the one that is deployed now. With --wait, exit code 1 if it fails again.

    Example: retrain resume 20240601T040000Z-3fa9c1 --wait
    """
    loaded = load_config(config)
    account = clients(loaded)
    client = account("stepfunctions")
    resumed = resume_run(client, account("s3"), loaded, run)
    going_on = resumption_of(client, account("s3"), account("personalize"), loaded, resumed)
    shown = _Shown(account, loaded, config, poll_seconds, as_json)
    shown.started(resumed, *going_on.lines, wait=wait)


def watch(
    execution: Execution = LATEST,
    config: ConfigFile = DEFAULT_CONFIG,
    poll_seconds: PollSeconds = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show a run state by state until it ends. Exit code 1 if it fails.

    Example: retrain watch 20240601T040000Z-3fa9c1
    """
    loaded = load_config(config)
    account = clients(loaded)
    run = find_run(account("stepfunctions"), loaded.state_machine_arn, execution)
    _Shown(account, loaded, config, poll_seconds, as_json).to_its_end(run)


def executions(
    config: ConfigFile = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the latest executions of runs: status, begin, duration, and what ended them early.

    Below it is said why runs published nothing, or are degraded, which ! marks.

    Example: retrain executions --limit 30
    """
    from retrain.run_ends import ends_of  # noqa: PLC0415  boto3

    loaded = load_config(config)
    account = clients(loaded)
    client = account("stepfunctions")
    runs = latest_runs(client, loaded.state_machine_arn, limit=limit)
    ends = ends_of(client, account("s3"), loaded, runs)
    if as_json:
        print_json([_end_as_json(end) for end in ends])
    elif runs:
        show_runs(out, ends, now=datetime.now(UTC))
    else:
        out.print("there is no execution yet; 'retrain start' begins one")


def stop(
    execution: Annotated[
        str, typer.Argument(help="Name or ARN; the one that runs if left out.", show_default=False)
    ] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    cause: Annotated[str, typer.Option(help="Why; kept with the execution.")] = "stopped by hand",
    as_json: AsJson = False,
) -> None:
    """Stop a run, and the training that it waits for. Jobs that nothing stops are named.

    Example: retrain stop --cause "wrong table"
    """
    loaded = load_config(config)
    account = clients(loaded)
    client = account("stepfunctions")
    status = "" if execution else RUNNING
    run = find_run(client, loaded.state_machine_arn, execution, status=status)
    stopped = stop_run(client, run, cause=cause)
    jobs = jobs_left_running(history(client, run.arn))
    outcomes = {arn: stop_training(account("personalize"), arn) for arn in jobs}
    trainings = [arn for arn, outcome in outcomes.items() if outcome == "stopped"]
    going_on = {arn: why for arn, why in outcomes.items() if why not in {"stopped", "ended"}}
    if as_json:
        print_json({**_as_json(stopped), "stoppedTrainings": trainings, "leftRunning": [*going_on]})
        return
    out.print(f"stopped {escape(stopped.name)}")
    for arn in trainings:
        out.print(f"  and its training {escape(arn)}; what it took until now is billed")
    for arn, why in going_on.items():
        out.print(f"  Personalize goes on with, and bills, {escape(arn)} ({escape(why)})")


def explain(
    execution: FailedExecution = LATEST,
    config: ConfigFile = DEFAULT_CONFIG,
    lines: Annotated[int, typer.Option(min=1, max=1_000, help="Of each log, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Explain why a run failed: the state, the cause and its source, the log, and advice.

    Example: retrain explain 20240601T040000Z-3fa9c1
    """
    loaded = load_config(config)
    client = clients(loaded)
    states, machine = client("stepfunctions"), loaded.state_machine_arn
    is_latest = execution in {"", LATEST}
    run = latest_failed(states, machine)[0] if is_latest else find_run(states, machine, execution)
    explanation = diagnosis.explain(states, client("logs"), run, loaded, lines=lines)
    if not as_json:
        if is_latest:
            out.print("The run that failed last:", style="dim")
        show_explanation(out, explanation)
        return
    print_json(
        {
            **_as_json(run),
            "failure": asdict(explanation.failure),
            "item": explanation.item,
            "speaker": explanation.speaker,
            "logs": [asdict(log) for log in explanation.logs],
            "advice": explanation.advice,
            "leftRunning": explanation.left_running,
        }
    )


def report(
    execution: Execution = LATEST,
    config: ConfigFile = DEFAULT_CONFIG,
    recommender: Recommender = "",
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Write a run's report: one page with graph, data, metrics, lists and cost; needs no network.

    Example: retrain report --output tonight.html
    """
    from analysis.report import report as page  # noqa: PLC0415
    from analysis.run_record import gather  # noqa: PLC0415  pandas costs time
    from lambdas.polling import next_wait  # noqa: PLC0415

    loaded = load_config(config).of_recommender(recommender)
    account, now = clients(loaded), datetime.now(UTC)
    record = gather(loaded, account, execution, timed=is_aws(account), next_wait=next_wait, now=now)
    out.print(f"{escape(str(write_whole(output, page(record))))}: written")


def cost(
    execution: Annotated[
        str,
        typer.Argument(
            help="Take the figures of this run: name or ARN, or latest; none, and no call to AWS,"
            " if left out.",
            show_default=False,
        ),
    ] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    prices: Annotated[
        Path | None,
        typer.Option(
            help="Prices that go first, as in workflow/runs/prices.toml.", show_default=False
        ),
    ] = None,
    assumed: Annotated[
        list[str] | None,
        typer.Option(
            "--assume", help="NAME=VALUE of an assumption; several times.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the cost of a run and of a month, with every assumption shown.

    Of a run on a local AWS only the sizes are taken: its seconds say nothing of AWS.

    Example: retrain cost latest --assume training_hours=4
    """
    from lambdas.polling import next_wait  # noqa: PLC0415
    from workflow.definition.graph import retraining_graph  # noqa: PLC0415  the SDK costs half a second

    loaded = load_config(config)
    table = load_prices(loaded.aws.region, prices)
    own_values = costs.assumption_values(assumed or ())
    assumptions, made = costs.assumptions_for(loaded), None
    if execution:
        account = clients(loaded)
        usage = usage_of(account, loaded, execution, timed=is_aws(account))
        made = usage.made
        assumptions = costs.assume(assumptions, usage.assumptions, origin=f"run {usage.run}")
    estimate = costs.estimate(
        loaded,
        retraining_graph(loaded).to_dict(),
        table,
        costs.assume(assumptions, own_values, origin="given"),
        year=datetime.now(UTC).year,
        next_wait=next_wait,
        made=made,
    )
    if as_json:
        print_json(costs.as_json(estimate))
    else:
        show_cost(out, estimate)


@dataclass(frozen=True)
class _Shown:
    """How a command shows a run.

    Attributes:
        account: Clients.
        loaded: The configuration.
        config: Its file.
        poll_seconds: Pause between two polls.
        as_json: Whether programs read it.
    """

    account: Clients
    loaded: Config
    config: Path
    poll_seconds: float
    as_json: bool

    def started(self, run: Run, *notes: str, wait: bool) -> None:
        """Say that an execution was started, and `notes`; show it to its end if that is wished."""
        if not self.as_json:
            out.print(escape("\n  ".join([f"started {run.name}", *notes])))
        if wait:
            self.to_its_end(run)
        elif self.as_json:
            print_json(_as_json(run))
        else:
            out.print(escape(f"{command('watch', self.config)} shows it"))
            states, machine = self.account("stepfunctions"), self.loaded.state_machine_arn
            for other in latest_runs(states, machine, limit=2, status=RUNNING):
                if other.run != run.run:
                    does = _SECOND[self.loaded.runs.overlap]
                    out.print(
                        escape(
                            f"run '{other.run}' is in progress too: one run goes at a time, and the"
                            f" second {does}"
                        )
                    )

    def to_its_end(self, run: Run) -> None:
        """Show a run until it ends; exit with 1 if it fails."""
        from retrain.run_ends import end_of, published_lists  # noqa: PLC0415  boto3

        states, s3 = self.account("stepfunctions"), self.account("s3")
        try:
            with says_what_goes_on():
                self._follow(states, run)
        except (KeyboardInterrupt, SystemExit):
            again = command(f"watch {run.name}", self.config)
            err.print(escape(f"{run.name} goes on; {again} shows it again"))
            raise
        end = end_of(states, s3, self.loaded, describe_run(states, run.arn))
        if self.as_json:
            print_json(_end_as_json(end))
        elif end.failure:
            show_failure(out, end.failure, status=end.run.status)
            for clause in end.figures():
                out.print(escape(f"  {clause}"))
            out.print(escape(f"{command(f'explain {run.name}', self.config)} says more"))
        else:
            show_end(out, end, published_lists(s3, self.loaded))
        if end.failure:
            raise typer.Exit(1)

    def _follow(self, states: Any, run: Run) -> None:
        if self.as_json:
            wait_for_end(states, run, poll_seconds=self.poll_seconds, sleep=time.sleep)
            return
        reader = HistoryReader(states, run.arn)
        described = states.describe_state_machine(stateMachineArn=run.machine_arn)
        with run_view(out, json.loads(described["definition"])) as view:
            for step in follow(reader, poll_seconds=self.poll_seconds):
                view.step(step)
            view.end(failed_visit(Visits(reader.read_all())))


def _parse_input(text: str) -> Any:
    source = "--input"
    if text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise RunningError(f"{source}: no text file: {error}") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunningError(f"{source}: no JSON: {error}") from None


def _as_json(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "run": run.run,
        "executionArn": run.arn,
        "status": run.status,
        "startDate": run.begun,
        "stopDate": run.ended,
    }


def _end_as_json(end: RunEnd) -> dict[str, Any]:
    """Return an execution with how it ended: of an event of its end the members that say it."""
    members = _as_json(end.run)
    if end.failure:
        members["failure"] = asdict(end.failure)
    if end.told:
        told = end.told.detail()
        names = ("outcome", "reason", "degraded", "published", "recommenders", "delivery")
        members |= {name: told[name] for name in names} | {"endedBy": end.ended_by}
    return members
