"""Whether a run's history has room for all of its polls."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lambdas.errors import AnotherRunInProgress
from lambdas.polling import next_wait
from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from retrain.main import app
from tests.local_runs import WholeRun
from workflow import Stages, parse_config
from workflow.definition.limits import (
    EXPECTING_POLLS,
    MOST_EVENTS,
    OTHER_EVENTS,
    POLL_EVENTS,
    RETRY_EVENTS,
    most_events,
    overfull_history,
)
from workflow.definition.render import render_definition
from workflow.options.overlap import LONGEST_RETRY_SECONDS

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
_LOOPS = (
    ("Wait X Seconds for Import Job", "Get Job Status", "Job Complete?"),
    (
        "Wait X Seconds for Solution Version",
        "Get Solution Version Status",
        "Solution Version Active?",
    ),
)


def configured(text: str = "", **polling: int) -> str:
    """Return the example with other times of polling, below which `text` stands."""
    lines = "\n".join(f"{name} = {value}" for name, value in polling.items())
    head, _, rest = EXAMPLE.partition("[polling]")
    _, _, rest = rest.partition("[schedule]")
    return f"{text}\n{head}[polling]\n{lines}\n[schedule]{rest}"


def test_a_poll_and_all_else_are_counted_as_a_real_execution_records_them(
    whole_run: WholeRun,
) -> None:
    events = json.loads((whole_run.output / "history.json").read_text())["events"]
    state, counts, polls = {0: ""}, Counter[str](), Counter[str]()
    for event in events:
        entered = event.get("stateEnteredEventDetails", {}).get("name")
        state[event["id"]] = name = entered or state.get(event["previousEventId"], "")
        counts[name] += 1
        polls[name] += bool(entered)

    for loop in _LOOPS:
        rounds = {polls[name] for name in loop}
        assert len(rounds) == 1
        assert sum(counts[name] for name in loop) == POLL_EVENTS * rounds.pop()
    polled = sum(counts[name] for loop in _LOOPS for name in loop)
    assert len(events) - polled < OTHER_EVENTS


def test_the_most_events_are_those_of_the_jobs_that_are_polled_most_often() -> None:
    """Every minute for 24 hours: one data set's import, training and batch inference in turn."""
    users, _, rest = EXAMPLE.partition("[datasets.users]")
    _, _, rest = rest.partition("[datasets.interactions]")
    head, _, tail = f"{users}[datasets.interactions]{rest}".partition("[polling]")
    _, _, tail = tail.partition("[schedule]")
    alone = f"{head}[polling]\nmin_seconds = 60\nmax_seconds = 60\n[schedule]{tail}"
    alone = alone.replace('title = "TITLE"', "")  # of the items, which are left out

    assert most_events(parse_config(alone), next_wait=next_wait) == (
        OTHER_EVENTS + (24 * 60 + 3 * EXPECTING_POLLS) * 9
    )


def test_imports_at_a_time_are_all_polled() -> None:
    config = parse_config(configured(min_seconds=300, max_seconds=300))

    assert most_events(config, next_wait=next_wait) == (
        OTHER_EVENTS + (24 * 12 * 3 + 5 * EXPECTING_POLLS) * 9
    )


def test_recommenders_at_a_time_are_all_polled() -> None:
    further = "\n".join(
        f"[recommenders.{name}]\n"
        'batch_inference = { table = "students", user_id = "students.id" }'
        for name in ("second", "third", "fourth", "fifth")
    )
    text = configured("recommender_concurrency = 4", min_seconds=300, max_seconds=300)
    config = parse_config(f"{text}\n{further}")

    assert most_events(config, next_wait=next_wait) == (
        5 * OTHER_EVENTS + (24 * 12 * 4 + (3 + 2 * 5) * EXPECTING_POLLS) * 9
    )


def test_a_run_that_waits_for_another_one_tries_again_until_its_time_is_over() -> None:
    hours = 200
    text = configured(f"timeout_hours = {hours}", min_seconds=3_600, max_seconds=43_200)

    skips, waits = (
        most_events(parse_config(f'{text}\n[runs]\noverlap = "{overlap}"\n'), next_wait=next_wait)
        for overlap in ("skip", "wait")
    )

    tries = hours * 3_600 / (LONGEST_RETRY_SECONDS / 2)
    assert 0.85 < (waits - skips) / (tries * RETRY_EVENTS) <= 1  # polls take some of the time


def test_waiting_that_could_fill_the_history_is_refused() -> None:
    text = configured("timeout_hours = 1000", min_seconds=3_600, max_seconds=43_200)

    (mistake,) = overfull_history(
        parse_config(f'{text}\n[runs]\noverlap = "wait"\n'), next_wait=next_wait
    )

    assert (mistake.key, mistake.value) == ("runs.overlap", '"wait"')
    assert "can wait for another one and be polled until its history holds 25,000" in mistake.rule
    assert mistake.fix == 'lower timeout_hours, or write overlap = "skip"'
    assert overfull_history(parse_config(text), next_wait=next_wait) == []


def test_a_try_is_counted_as_a_real_execution_records_it(tmp_path: Path) -> None:
    config = parse_config(f'{EXAMPLE}\n[runs]\noverlap = "wait"\n')
    account, region, tries = config.aws.account, config.aws.region, iter(range(10))

    def begin(event: Any, context: Any) -> dict[str, bool]:
        if next(tries) < 4:
            raise AnotherRunInProgress("run r is in progress")
        return {"extracted": False}

    with Endpoint(account=account, region=region, time_scale=0) as endpoint:
        functions = Functions(account=account, region=region, directory=tmp_path)
        functions.register(config.function("begin-run"), begin)
        endpoint.mount("lambda", functions)
        states = endpoint.client("stepfunctions")
        stages = Stages(config)
        machine = states.create_state_machine(
            name="waiting",
            definition=render_definition(stages.compose(stages.begin()).to_dict()),
            roleArn=f"arn:aws:iam::{account}:role/states",
        )["stateMachineArn"]
        arn = states.start_execution(stateMachineArn=machine)["executionArn"]
        while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            time.sleep(0.01)
        events = states.get_execution_history(executionArn=arn)["events"]

    types = Counter(event["type"] for event in events)
    assert types["TaskFailed"] == 4
    tried = [
        types[name] for name in ("TaskScheduled", "TaskStarted", "TaskFailed", "TaskSucceeded")
    ]
    assert sum(tried) == RETRY_EVENTS * 5
    assert types["TaskStateEntered"] == 1


@pytest.mark.parametrize("spread", [0.01, 0.08, 0.2, 0.5])
def test_a_job_around_its_expected_end_is_polled_no_more_often_than_counted(spread: float) -> None:
    for hours in (0.01, 0.2, 1, 5, 30):
        known, unknown = (
            _polls(48 * 3_600, *expected) for expected in ((hours * 3_600, spread), ())
        )
        assert known <= unknown + EXPECTING_POLLS


def _polls(seconds: float, *expected: float) -> int:
    clock, polls = 0, 0
    while clock < seconds:
        clock, polls = clock + next_wait(clock, 1, 900, *expected), polls + 1
    return polls


def test_the_default_has_room() -> None:
    assert most_events(parse_config(EXAMPLE), next_wait=next_wait) < MOST_EVENTS / 2


@pytest.mark.parametrize(
    ("text", "polling"),
    [
        ("", {"min_seconds": 15, "max_seconds": 60}),
        ("timeout_hours = 96", {"min_seconds": 15, "max_seconds": 300}),
    ],
)
def test_polling_that_could_fill_the_history_is_refused(
    tmp_path: Path, text: str, polling: dict[str, int]
) -> None:
    file = tmp_path / "retraining.toml"
    file.write_text(configured(text, **polling), encoding="utf-8")

    done = CliRunner().invoke(app, ["check", "--config", str(file)])

    assert done.exit_code == 1
    assert f"polling.max_seconds = {polling['max_seconds']}" in done.stderr
    assert "can be polled until its history holds 25,000 events" in done.stderr


def test_longer_pauses_make_room() -> None:
    config = parse_config(configured("timeout_hours = 96", min_seconds=60, max_seconds=900))

    assert overfull_history(config, next_wait=next_wait) == []


def test_recommenders_of_which_no_polling_is_rare_enough_are_refused() -> None:
    """Polls around the expected end of their jobs alone fill the history."""
    tables = "".join(
        f'[recommenders.similar-{letter}]\nsolution = {{ recipe = "aws-similar-items" }}\n'
        'batch_inference = { table = "job_postings", item_id = "job_postings.id" }\n'
        for letter in "abcdefghijklmnopqrs"
    )
    config = parse_config(f"{configured(min_seconds=3_600, max_seconds=43_200)}\n{tables}")

    (mistake,) = overfull_history(config, next_wait=next_wait)

    assert (mistake.key, mistake.fix) == ("recommenders", "take some to another configuration")
    assert "of 20 recommenders can hold 32,090 events" in mistake.rule
