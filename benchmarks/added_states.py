"""The time of the states around the original workflow: lock, increment, gate, campaigns, retention.

    python benchmarks/added_states.py

The whole local sample with the tables that add states, on the local AWS with a time scale of 0: the
visits of functions, Choices and Pass states besides those of import, training, batch inference and
filter. Spark's jobs and Waits are left out, and the delivery, whose time is its table's. Two runs,
as a function's first call starts it. Limit: a second.
"""

from __future__ import annotations

from collections import defaultdict

from nothing_changed import ROOT, local_aws

from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from workflow import parse_config
from workflow.runs.history import HistoryReader, follow
from workflow.runs.visits import Visit, Visits
from workflow.state_machine import DrawnExecution

LIMIT_SECONDS = 1.0
EVERYTHING = {"increments": {"full": True}}
TABLES = """
[increments]

[backtest]

[gate]
on_failure = "keep"
metrics = { coverage = { minimum = 0.001, greatest_drop = 0.9, better_than_popularity = true } }

[campaigns.labbase-live]

[retention]
runs = 3

[notification]
"""
ORIGINAL = {
    "ETL", "List Datasets", "Reimport All Datasets", "Import Dataset", "Get Job Status",
    "All Jobs Ended?", "Create Solution Version", "Get Solution Version Status",
    "Solution Version Active?", "Batch Completed?", "Job Complete?", "Import Successful",
    "Trigger Batch Inference", "Get Batch Inference Status", "Filter Recommended Item",
}  # fmt: skip


def is_added(visit: Visit) -> bool:
    """Return whether a visit is of a state that the original workflow had not."""
    if visit.state in ORIGINAL or visit.state_type not in {"Task", "Pass", "Choice", "Succeed"}:
        return False
    call = visit.scheduled
    return call is None or call["taskScheduledEventDetails"]["resourceType"] == "lambda"


def measured(aws: LocalAws, execution: DrawnExecution) -> dict[str, float]:
    """Wait for the end of an execution; return the seconds of each added state."""
    reader = HistoryReader(aws.client("stepfunctions"), execution.execution_arn)
    for _ in follow(reader, poll_seconds=0.05):
        pass
    visits = Visits(reader.read_all())
    if visits.status != "SUCCEEDED":
        raise SystemExit(f"the run is {visits.status}, after '{visits.all[-1].state}'")
    seconds: dict[str, float] = defaultdict(float)
    for visit in filter(is_added, visits.all):
        seconds[visit.state] += visit.seconds(None) or 0.0
    return seconds


def main() -> None:
    """Print the seconds of each added state, and their sum against the limit."""
    text = (ROOT / "retraining.toml").read_text(encoding="utf-8")
    config = parse_config(text + TABLES)
    with local_aws(config) as aws:
        workflow = deploy(config, aws.client)
        runs = [measured(aws, workflow.execute(inputs=EVERYTHING)) for _ in range(2)]
    print("| state | ms, functions start | ms |\n|---|---|---|")
    for state in sorted(runs[0], key=lambda name: -runs[0][name]):
        print(f"| {state} | {' | '.join(f'{run[state] * 1_000:.0f}' for run in runs)} |")
    for name, run in zip(("first", "second"), runs, strict=True):
        total = sum(run.values())
        print(f"{name} run: {total:.2f} s, {total / LIMIT_SECONDS:.2f} of the limit")


if __name__ == "__main__":
    main()
