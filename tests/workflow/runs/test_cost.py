"""Costs of a run: transitions as in a real execution, sums calculated by hand, schedules."""

import copy
import json
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lambdas.polling import next_wait
from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from retrain.main import app
from tests import histories
from tests.projects import ASK, project
from tests.workflow.options.test_models import OWN_HYBRID, best, own
from workflow import build_workflow
from workflow.config import load_config, parse_config, with_integration
from workflow.definition.graph import retraining_graph
from workflow.definition.render import render
from workflow.deployment.comparison import cost_changes
from workflow.personalize import REGIONS
from workflow.runs.cost import (
    ASSUMPTIONS,
    JOBS,
    CostError,
    Walk,
    as_json,
    assume,
    assumption_values,
    assumptions_for,
    columns,
    estimate,
    price_notes,
    rows,
    star_note,
    walk,
)
from workflow.runs.history import history
from workflow.runs.prices import Price, PriceError, load_prices
from workflow.runs.usage import durations_of, sizes_of, training_hours_of, transitions_of, usage_of
from workflow.schedule import DAYS_IN_A_MONTH

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "retraining.toml"
ACCOUNT, REGION = "123456789012", "ap-northeast-1"
MINUTE = 60
PRICES = load_prices("us-east-1")


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG)


@pytest.fixture
def definition():
    return json.loads((ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8"))


class VirtualPersonalize:
    """Jobs on a clock of their own, that moves by what the machine would wait; uses the real rule.

    Every job of a run is polled in its own loop, so each has its own clock.
    """

    def __init__(self, seconds):
        self._seconds = seconds
        self._waited = {}
        self._lock = threading.Lock()

    def list_datasets(self, event, context):
        dataset_types = ("USERS", "ITEMS", "INTERACTIONS")
        return {
            "datasets": [
                {
                    "datasetType": dataset_type,
                    "datasetArn": "a",
                    "s3Path": "s",
                    "importMode": "FULL",
                }
                for dataset_type in dataset_types
            ]
        }

    def create(self, resource_type, suffix):
        def handler(event, context):
            name = event.get("datasetType", "labbase")
            arn = f"arn:aws:personalize:r:1:{resource_type}/{name}{suffix}"
            seconds = self._seconds[resource_type]
            pause = next_wait(0, event["waitSeconds"], event["maxSeconds"], seconds)
            with self._lock:
                self._waited[arn] = pause
            return self._answer(arn, "CREATE PENDING", pause, seconds)

        return handler

    def get_status(self, event, context):
        arn = event["arn"]
        with self._lock:
            waited = self._waited[arn]
            # The batch job is polled before the first wait.
            if "batch" in arn and arn not in self.polled:
                self.polled.add(arn)
                waited = 0
                self._waited[arn] = 0
            seconds = event["expected"]["seconds"]
            pause = next_wait(waited, event["minSeconds"], event["maxSeconds"], seconds)
            self._waited[arn] = waited + pause
        status = "ACTIVE" if waited >= seconds else "CREATE IN_PROGRESS"
        return self._answer(arn, status, pause, seconds)

    polled = frozenset()

    @staticmethod
    def _answer(arn, status, wait, seconds):
        return {
            "arn": arn,
            "status": status,
            "waitSeconds": wait,
            "expected": {"seconds": seconds},
            "failureReason": "",
        }


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Run the committed workflow from List Datasets on, with jobs of known length."""
    definition = json.loads((ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8"))
    for name in ("Begin Run", "Skipped for Another Run", "Extracted Already?", "ETL"):
        del definition["States"][name]  # needs S3 and Spark, and does not poll
    definition["StartAt"] = "List Datasets"
    fake = VirtualPersonalize(
        {
            "dataset-import-job": 5 * MINUTE,
            "solution": 21 * MINUTE,
            "batch-inference-job": 3 * MINUTE,
        }
    )
    fake.polled = set()
    handlers = {
        "list-datasets": fake.list_datasets,
        "create-import-job": fake.create("dataset-import-job", ""),
        "create-solution-version": fake.create("solution", "/1a2b"),
        "create-batch-inference-job": fake.create("batch-inference-job", ""),
        "get-status": fake.get_status,
        "filter-recommendations": lambda event, context: {"published": True},
    }
    with Endpoint(account=ACCOUNT, region=REGION, time_scale=0.0) as endpoint:
        directory = tmp_path_factory.mktemp("functions")
        functions = Functions(account=ACCOUNT, region=REGION, directory=directory)
        for name, handler in handlers.items():
            functions.register(f"labbase-{name}", handler)
        endpoint.mount("lambda", functions)
        client = endpoint.client("stepfunctions")
        machine = client.create_state_machine(
            name="labbase-retraining",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )["stateMachineArn"]
        run = client.start_execution(stateMachineArn=machine, name="night", input="{}")
        deadline = time.monotonic() + 30
        arn = run["executionArn"]
        while (execution := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert execution["status"] == "SUCCEEDED", execution
        s3 = endpoint.client("s3")
        yield definition, history(client, arn), endpoint, s3


def test_computed_transitions_are_those_of_a_real_execution(config, executed):
    definition, events, _, _ = executed
    seconds = {
        "labbase-create-import-job": 5 * MINUTE,
        "labbase-create-solution-version": 21 * MINUTE,
        "labbase-create-batch-inference-job": 3 * MINUTE,
    }

    computed = walk(definition, seconds, items=3, next_wait=next_wait)

    assert dict(computed.visits) == dict(transitions_of(events))
    assert computed.visits["Filter Recommended Item"] == 1
    assert computed.visits["Import Dataset"] == 3


def test_transitions_by_hand(definition):
    """At least 15 s between polls, a job that takes the 40 s of the last ones: after 27 and 42 s.

    A loop is its creating task and twice wait, poll, choose: 7. The batch job is polled first, at
    0 s: three polls and choices, two waits, one creation: 9. Three imports end in a Succeed each:
    24. With Begin Run, the Choice, ETL, List Datasets, the Map and the filter: 24 + 7 + 9 + 6.
    """
    seconds = dict.fromkeys(
        (
            "labbase-create-import-job",
            "labbase-create-solution-version",
            "labbase-create-batch-inference-job",
        ),
        40,
    )

    result = walk(definition, seconds, items=3, next_wait=next_wait)

    assert result.visits.total() == 24 + 7 + 9 + 6
    assert result.seconds == 42 + 42 + 42


def test_without_functions_jobs_are_polled_as_those_of_which_nothing_is_known(config):
    """15 s between polls, jobs of 40 s: after 15, 30 and 45 s; the batch job first at once.

    As by hand above, but a loop is 10, the batch job's 12, an import 11; and Get Solution.
    """
    definition = json.loads((ROOT / "asl" / "retraining.sdk.asl.json").read_text(encoding="utf-8"))
    seconds = dict.fromkeys(JOBS, 40)

    result = walk(definition, seconds, items=3, next_wait=next_wait, bounds=(15, 900))

    assert result.visits.total() == 33 + 10 + 12 + 6 + 1
    assert result.visits["Create Solution"] == 0
    assert result.seconds == 45 + 45 + 45


def test_without_functions_for_jobs_there_are_three_calls_of_lambda(config):
    direct = with_integration(config, "sdk")
    definition = json.loads((ROOT / "asl" / "retraining.sdk.asl.json").read_text(encoding="utf-8"))

    result = estimate(direct, definition, PRICES, year=2024, next_wait=next_wait)

    assert {line.what: line.quantity for line in result.lines}["Lambda, calls"] == 3
    assert result.run_hours == pytest.approx(2.1, abs=0.1)


def test_more_data_sets_than_run_at_a_time_take_another_round(definition):
    seconds = {"labbase-create-import-job": 40}

    assert walk(definition, seconds, items=4, next_wait=next_wait).seconds == 42 * 2 + 15 + 0


def parallel(*branches):
    """Return a definition of one Parallel whose branches are these states, each the last."""
    inner = [
        {"StartAt": f"In {number}", "States": {f"In {number}": {**state, "End": True}}}
        for number, state in enumerate(branches, start=1)
    ]
    both = {"Type": "Parallel", "Branches": inner, "End": True}
    return {"StartAt": "Both", "States": {"Both": both}}


def invoking(function):
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function},
    }


def test_branches_of_a_parallel_count_and_the_longest_is_waited_for():
    definition = parallel({"Type": "Wait", "Seconds": 100}, invoking("poll"), {"Type": "Pass"})

    result = walk(definition, {"poll": 40}, items=3, next_wait=next_wait)

    assert result.visits == {"Both": 1, "In 1": 1, "In 2": 1, "In 3": 1}
    assert result.seconds == 100


def test_a_map_inside_a_parallel_inside_a_map_counts_item_by_item():
    """Two items of the outer Map, two of the inner for each: four calls, two rounds of 40 s."""
    inner = {
        "Type": "Map",
        "MaxConcurrency": 1,
        "Iterator": {"StartAt": "Read", "States": {"Read": {**invoking("read"), "End": True}}},
    }
    outer = {"Type": "Map", "ItemProcessor": parallel(inner, {"Type": "Pass"}), "End": True}

    result = walk(
        {"StartAt": "Each", "States": {"Each": outer}}, {"read": 40}, items=2, next_wait=next_wait
    )

    assert result.visits == {"Each": 1, "Both": 2, "In 1": 2, "In 2": 2, "Read": 4}
    assert result.seconds == 80


def test_functions_in_branches_are_billed_for_each_form_of_invocation(config):
    filtering = config.function("filter-recommendations")
    definition = parallel(
        invoking(filtering),
        {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": f"arn:aws:lambda:r:1:function:{filtering}"},
        },
        {"Type": "Task", "Resource": "arn:aws:lambda:r:1:function:other"},
        {"Type": "Pass"},
    )

    result = estimate(config, definition, PRICES, year=2024, next_wait=next_wait)

    quantities = {line.what: line.quantity for line in result.lines}
    assert quantities["Lambda, calls"] == 3
    assert quantities["Lambda, time"] == 2 * 2 * 60 * 1 + 1 * 0.25


def test_a_delivery_by_the_spark_job_is_another_run_of_it(config, definition):
    delivery = '\n[delivery]\nto = "database"\ntable = "lists"\n'
    delivering = parse_config(CONFIG.read_text(encoding="utf-8") + delivery)
    rendered = json.loads(render(delivering))

    glue = [
        next(
            line.quantity
            for line in estimate(each, asl, PRICES, year=2024, next_wait=next_wait).lines
            if line.what == "Glue"
        )
        for each, asl in ((config, definition), (delivering, rendered))
    ]

    assert glue[1] == 2 * glue[0]


def test_a_comparison_of_models_is_another_run_of_the_spark_job():
    config = best()
    values = {"etl_minutes": 30, "compare_minutes": 15}

    result = estimate(
        config,
        json.loads(render(config)),
        PRICES,
        assume(ASSUMPTIONS, values, origin="given"),
        year=2024,
        next_wait=next_wait,
    )

    quantities = {line.what: line.quantity for line in result.lines}
    assert (quantities["Glue"], quantities["Glue, Compare Models"]) == (1.0, 0.5)
    assert {"Train own", "Make Lists by own", "Trigger Batch Inference"} <= {*result.transitions}


def test_a_function_of_ones_own_is_billed_by_its_memory(tmp_path):
    config = project(tmp_path, ASK + "memory = 2_048\n")
    definition = parallel(invoking(config.function("ask-editors")), invoking("other"))
    assumed = assume(ASSUMPTIONS, {"call_seconds": 10}, origin="given")

    result = estimate(config, definition, PRICES, assumed, year=2024, next_wait=next_wait)

    quantities = {line.what: line.quantity for line in result.lines}
    assert quantities["Lambda, calls"] == 2
    assert quantities["Lambda, time"] == 10 * 2 + 10 * 0.25
    assert result.run_hours == pytest.approx(10 / 3_600)


OWN_MODEL = """
from workflow import Stages
from workflow.sdk import Choice, ChoiceRule, Succeed, Task


def build(config):
    def call(name, api, request):
        return Task(name, resource=f"arn:aws:states:::{api}", parameters=request)

    def train(name):
        return call(name, "sagemaker:createTrainingJob.sync", {"TrainingJobName": "a"})

    stages = Stages(config)
    quick, last = Choice("Quick?"), train("Train Anew")
    quick.add_choice(ChoiceRule.IsPresent("$.quick", value=True), Succeed("Enough"))
    quick.default_choice(last)
    return stages.compose(
        stages.etl(),
        train("Train Own Model"),
        call("Segment", "aws-sdk:personalize:createBatchSegmentJob", {"JobName": "a"}),
        call("Look", "aws-sdk:personalize:listSolutions", {}),
        quick,
        last,
    )
"""
TWO_TRAININGS = """
from workflow import Stages


def build(config):
    stages = Stages(config)
    return stages.compose(
        stages.function("Train One", "create-solution-version"),
        stages.function("Train Another", "create-solution-version"),
        stages.function("Infer", "create-batch-inference-job"),
    )
"""


def own_estimate(directory, text, **values):
    """Estimate the example with a workflow of one's own."""
    tables = '\n[workflow]\ndefinition = "retraining.py"\n'
    config = project(directory, tables, {"retraining.py": text})
    assumed = assume(ASSUMPTIONS, values, origin="given")
    definition = retraining_graph(config).to_dict()
    return estimate(config, definition, PRICES, assumed, year=2024, next_wait=next_wait)


def test_what_a_graph_does_not_call_is_not_priced_and_what_has_no_price_is_named(tmp_path):
    """It extracts, trains on SageMaker, and may end early; Report Failure is of no good run."""
    result = own_estimate(tmp_path, OWN_MODEL)

    assert [line.what for line in result.lines] == [
        "Step Functions",
        "Glue",
        "Lambda, calls",
        "Lambda, time",
        "S3",
    ]
    assert result.unpriced == (
        "'Train Own Model' (sagemaker:createTrainingJob)",
        "'Segment' (aws-sdk:personalize:createBatchSegmentJob)",
        "'Train Anew' (sagemaker:createTrainingJob)",
    )
    assert result.not_counted.startswith(
        "what is called by 'Train Own Model' (sagemaker:createTrainingJob), 'Segment'"
    )
    assert as_json(result)["notCounted"] == result.not_counted


def test_two_trainings_cost_twice_as_much(tmp_path):
    """The states call the packaged functions, whatever they are called themselves."""
    result = own_estimate(tmp_path, TWO_TRAININGS, training_hours=3, users=100)

    quantities = {line.what: line.quantity for line in result.lines}
    assert quantities["Personalize, training"] == 6
    assert quantities["Personalize, batch"] == 100
    assert not {"Personalize, imports", "Glue"} & quantities.keys()


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_campaigns_cost_all_the_time_and_are_updated_at_the_same_time(integration):
    """Three requests a second in all; two updates of ten minutes each, side by side."""
    text = CONFIG.read_text(encoding="utf-8")
    two = f"{text}\n[campaigns.home]\n[campaigns.mail]\nmin_provisioned_tps = 2\n"
    plain, config = (with_integration(parse_config(each), integration) for each in (text, two))

    without, result = (
        estimate(each, retraining_graph(each).to_dict(), PRICES, year=2024, next_wait=next_wait)
        for each in (plain, config)
    )

    (line,) = result.standing
    assert (line.what, line.price.name) == ("Personalize, campaigns", "personalize_tps_hour")
    assert line.quantity == pytest.approx(3 * 24 * DAYS_IN_A_MONTH)
    assert not line.price.verified
    runs = result.usd_a_run * result.runs_a_month
    assert result.usd_a_month == pytest.approx(runs + 3 * 24 * DAYS_IN_A_MONTH * 0.2)
    assert result.transitions["Update Campaign"] == 2
    minutes = (result.run_hours - without.run_hours) * 60
    assert minutes == pytest.approx(10, abs=1.5)
    assert next(row for row in rows(result) if row[0] == line.what)[-2:] == ("", f"{line.usd:,.2f}")
    assert (without.standing, without.unpriced) == ((), ())
    assert list(cost_changes(without, result))[-1] == (
        f"~ Personalize, campaigns a month: 0.00 → {line.usd:,.2f} USD"
    )


def test_a_review_names_lines_that_vanish_and_what_cannot_be_priced(config, definition, tmp_path):
    before = estimate(config, definition, PRICES, year=2024, next_wait=next_wait)
    changes = list(cost_changes(before, own_estimate(tmp_path, OWN_MODEL)))

    assert "~ Personalize, training: 0.2400 → 0.0000 USD" in changes
    assert changes[-1] == (
        "+ not counted: what is called by 'Train Anew' (sagemaker:createTrainingJob)"
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda states: states["ETL"].update(Next="Gone"),
            "'Gone' is no state of the machine; 'retrain check' says more",
        ),
        (
            lambda states: states["Solution Version Active?"].pop("Default"),
            "'Solution Version Active\\?' leads nowhere when a job is CREATE IN_PROGRESS",
        ),
    ],
)
def test_a_state_that_leads_nowhere_is_refused(definition, change, complaint):
    change(definition["States"])

    with pytest.raises(CostError, match=complaint):
        walk(definition, {"labbase-create-solution-version": 90}, items=3, next_wait=next_wait)


def test_a_poll_loop_with_another_rule_goes_by_the_status_and_says_so(definition):
    plain = walk(definition, {}, items=3, next_wait=next_wait)
    rule = {"Variable": "$.x", "NumericLessThan": 3, "Next": "ETL"}
    definition["States"]["Batch Completed?"]["Choices"].insert(0, rule)

    result = walk(definition, {}, items=3, next_wait=next_wait)

    assert (plain.assumed, result.visits) == ((), plain.visits)
    assert result.assumed == ("'Batch Completed?' goes by the job's status alone",)


@pytest.mark.parametrize(
    "rule",
    [
        {"Variable": "$.ndcg", "NumericGreaterThanEquals": 0.5},
        {"Variable": "$.verdict", "StringEquals": "good"},
    ],
)
def test_a_choice_that_cannot_be_foreseen_is_assumed_to_go_on(config, definition, rule):
    """Not to the end that it also has, which succeeds early, nor to the failure."""
    plain = walk(definition, {}, items=3, next_wait=next_wait)
    following = "Trigger Batch Inference"
    states = definition["States"]
    for choice in states["Solution Version Active?"]["Choices"]:
        if choice["Next"] == following:
            choice["Next"] = "Good Enough?"
    states["Good Enough?"] = {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.skip", "BooleanEquals": True, "Next": "Nothing to Do"},
            {**rule, "Next": following},
        ],
        "Default": "Report Failure",
    }
    states["Nothing to Do"] = {"Type": "Succeed"}

    result = walk(definition, {}, items=3, next_wait=next_wait)
    estimated = estimate(config, definition, PRICES, year=2024, next_wait=next_wait)

    assert result.visits == plain.visits + Counter({"Good Enough?": 1})
    assert result.assumed == ("'Good Enough?' goes on to 'Trigger Batch Inference'",)
    assert as_json(estimated)["ways"] == list(result.assumed)


def test_a_choice_that_leads_to_failures_alone_is_refused(definition):
    definition["States"]["List Datasets"]["Next"] = "Which?"
    definition["States"]["Which?"] = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "Report Failure"}],
        "Default": "Retraining Failed",
    }

    with pytest.raises(CostError, match="'Which\\?' leads to no end that succeeds"):
        walk(definition, {}, items=3, next_wait=next_wait)


def test_a_retry_is_a_transition_too():
    entered, scheduled = histories.entered("A"), histories.scheduled()
    recorded = histories.events(entered, scheduled, histories.task_failed("E", "no"), scheduled)

    assert transitions_of(recorded) == {"A": 2}


def test_each_line_is_quantity_times_price(config, definition):
    values = {
        "etl_minutes": 30,
        "training_hours": 4,
        "gigabytes": 2,
        "users": 200_000,
        "stored_gigabytes": 3,
        "filter_minutes": 10,
        "call_seconds": 2,
    }
    visits = {"ETL": 1, "List Datasets": 1, "Get Job Status": 57, "Filter Recommended Item": 1}
    jobs = ("Import Dataset", "Create Solution Version", "Trigger Batch Inference")
    visits |= dict.fromkeys(jobs, 1)

    result = estimate(
        config,
        definition,
        PRICES,
        assume(ASSUMPTIONS, values, origin="given"),
        year=2024,
        next_wait=next_wait,
        made=Walk(Counter(visits), 7_200),
    )

    assert {line.what: round(line.usd, 6) for line in result.lines} == {
        "Step Functions": round(63 * 0.000025, 6),
        "Glue": 0.44,  # two workers of one DPU, half an hour
        "Personalize, imports": 0.1,
        "Personalize, training": 0.96,
        "Personalize, batch": 13.4,
        "Lambda, calls": round(62 * 0.0000002, 6),
        "Lambda, time": round((600 * 1 + 61 * 2 * 0.25) * 0.0000133334, 6),
        "S3": round(3 * 90 / 30.4375 * 0.023, 6),
    }
    assert result.usd_a_run == pytest.approx(sum(line.usd for line in result.lines))
    assert result.runs_a_month == 366 / 12
    assert result.usd_a_month == pytest.approx(result.usd_a_run * 30.5)


@pytest.mark.parametrize(
    ("runs", "months"),
    [(10, 10 / 30.5), (90, 90 / 30.5)],  # a run a day; the bucket keeps no more
)
def test_files_are_kept_until_so_many_runs_came_later(definition, runs, months):
    text = CONFIG.read_text(encoding="utf-8") + f"\n[retention]\nruns = {runs}\n"
    assumptions = assume(ASSUMPTIONS, {"stored_gigabytes": 3}, origin="given")

    result = estimate(
        parse_config(text), definition, PRICES, assumptions, year=2024, next_wait=next_wait
    )

    (kept,) = (line.quantity for line in result.lines if line.what == "S3")
    assert kept == pytest.approx(3 * months)


def test_rows_hold_quantities_and_prices_as_a_person_reads_them(config, definition):
    assumptions = assume(ASSUMPTIONS, {"users": 200_000, "gigabytes": 0.125}, origin="given")

    result = rows(estimate(config, definition, PRICES, assumptions, year=2024, next_wait=next_wait))

    assert [row for row in result if row[0] in {"Personalize, imports", "Personalize, batch"}] == [
        ("Personalize, imports", "0.125 GB", "0.05", "0.0063", "0.19"),
        ("Personalize, batch", "200,000 user", "0.000067 *", "13.4000", "408.70"),
    ]
    assert result[-1][:3] == ("sum", "", "")


def test_without_a_schedule_there_is_no_month(definition):
    text = CONFIG.read_text(encoding="utf-8").partition("[schedule]")[0]

    result = estimate(parse_config(text), definition, PRICES, year=2024, next_wait=next_wait)

    assert columns(result) == ("what", "a run uses", "price", "a run")
    assert {len(row) for row in rows(result)} == {4}
    assert as_json(result)["usdAMonth"] is None


def test_a_workflow_with_an_own_choice_costs_what_its_run_took(config, definition):
    rule = {"Variable": "$.x", "NumericLessThan": 3, "Next": "ETL"}
    definition["States"]["Batch Completed?"]["Choices"].insert(0, rule)
    made = Walk(Counter({"ETL": 1}), 3_600)

    result = estimate(config, definition, PRICES, year=2024, next_wait=next_wait, made=made)

    assert result.run_hours == 1
    assert result.transitions == {"ETL": 1}


def test_a_region_has_its_own_prices_or_unverified_ones_of_another():
    tokyo = load_prices("ap-northeast-1")

    assert (tokyo["s3_gb_month"].usd, tokyo["s3_gb_month"].region) == (0.025, "ap-northeast-1")
    assert tokyo["glue_dpu_hour"] == Price(
        "glue_dpu_hour",
        0.44,
        per="DPU-hour",
        source="https://aws.amazon.com/glue/pricing/",
        date="2026-11-24",
        region="us-east-1",
        verified=False,
    )
    assert PRICES["glue_dpu_hour"].verified


def test_a_star_is_explained(config, definition):
    result = estimate(config, definition, load_prices(REGION), year=2024, next_wait=next_wait)

    assert star_note(result) == (
        "* not verified, or us-east-1's, where ap-northeast-1's own is unknown: check it, and give"
        " your own by --prices"
    )
    assert ("glue_dpu_hour", "us-east-1, 2026-11-24 *") in {
        note[:2] for note in price_notes(result)
    }


def test_prices_of_a_file_go_first_and_the_others_stay(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'date = "2030-01-01"\n[prices]\nglue_dpu_hour = 0.5\n'
        "[prices.s3_gb_month]\neu-west-1 = 0.1\nus-east-1 = { usd = 0.2 }\n"
    )

    prices = load_prices("eu-west-1", mine)

    glue = prices["glue_dpu_hour"]
    assert (glue.usd, glue.per, glue.date, glue.verified) == (0.5, "DPU-hour", "2030-01-01", True)
    assert (prices["s3_gb_month"].usd, prices["s3_gb_month"].verified) == (0.1, True)
    assert prices["state_transition"].usd == 0.000025
    assert not load_prices("eu-central-1", mine)["s3_gb_month"].verified


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[prices]\nglue = 1\n", "prices.glue: there is no such price; known: state_transition"),
        ('[prices]\nglue_dpu_hour = "1"\n', "write US dollars"),
        ("[prices]\nglue_dpu_hour = -1\n", "write US dollars"),
        ("[prices.glue_dpu_hour]\neu-west-1 = true\n", "eu-west-1.usd = True: write US dollars"),
        ("[prices.glue_dpu_hour]\neu-wst-1 = { usd = 1 }\n", "did you mean eu-west-1"),
        ("date = 1\n", "there is no table \\[prices\\]"),
        ("[", "mine.toml"),
    ],
)
def test_a_faulty_price_table_is_refused(tmp_path, text, complaint):
    (tmp_path / "mine.toml").write_text(text)

    with pytest.raises(PriceError, match=complaint):
        load_prices("eu-west-1", tmp_path / "mine.toml")


@pytest.mark.parametrize("region", REGIONS)
def test_every_price_of_the_table_has_its_source_and_date(region):
    prices = load_prices(region).values()

    assert [price.name for price in prices if not price.source.startswith("https://")] == []
    assert [price.name for price in prices if not date.fromisoformat(price.date)] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("user=3", "did you mean users"), ("users=many", "users=2.5"), ("users=-1", "write a number")],
)
def test_a_misspelt_assumption_is_refused(text, complaint):
    with pytest.raises(CostError, match=complaint):
        assumption_values([text])


def test_durations_are_taken_from_a_history(config):
    begin = datetime(2024, 6, 1, tzinfo=UTC)
    ids = iter(range(1, 100))

    def event(minute, event_type, **details):
        n = next(ids)
        at = begin + timedelta(minutes=minute)
        return {"id": n, "previousEventId": n - 1, "timestamp": at, "type": event_type, **details}

    def task(name, begun, ended, called, job=None):
        output = {"job": {"arn": job, "status": "ACTIVE"}} if job else {}
        yield event(begun, "TaskStateEntered", stateEnteredEventDetails={"name": name})
        yield event(
            begun, "TaskScheduled", taskScheduledEventDetails={"parameters": json.dumps(called)}
        )
        yield event(
            ended,
            "TaskStateExited",
            stateExitedEventDetails={"name": name, "output": json.dumps(output)},
        )

    version, status = "arn:aws:personalize:r:1:solution/s/1", {"FunctionName": "labbase-get-status"}
    filtering, comparing = (
        {"Arguments": {"--run": "night", "--task": task}} for task in ("filter", "compare")
    )
    events = [
        *task("ETL", 0, 12, {"JobName": "labbase-retraining-etl"}),
        *task("Create", 12, 13, {"FunctionName": "labbase-create-solution-version"}, version),
        *task("Get Status", 90, 90.5, status, version),
        *task("Filter on Spark", 91, 96, {"JobName": "labbase-retraining-etl", **filtering}),
        *task("Filter", 96, 100, {"FunctionName": "labbase-filter-recommendations"}),
        *task("Compare", 100, 103, {"JobName": "labbase-retraining-etl", **comparing}),
    ]

    assert durations_of(events, config) == {
        "etl_minutes": 12,
        "spark_filter_minutes": 5,
        "filter_minutes": 4,
        "compare_minutes": 3,
        "training_minutes": 77.5,
    }


def test_each_recommender_is_trained_polled_and_billed(config):
    similar = """
recommender_concurrency = @
[recommenders.similar]
solution = { recipe = "aws-similar-items" }
batch_inference = { table = "job_postings", item_id = "job_postings.id" }
"""
    text = CONFIG.read_text(encoding="utf-8")
    key, _, table = similar.lstrip().partition("\n")
    estimates = {
        several: estimate(
            configured,
            retraining_graph(configured).to_dict(),
            PRICES,
            year=2024,
            next_wait=next_wait,
        )
        for several in ("1", "2")
        for configured in [parse_config("\n".join([key.replace("@", several), text, table]))]
    }
    alone = estimate(
        config, retraining_graph(config).to_dict(), PRICES, year=2024, next_wait=next_wait
    )

    after, at_once = estimates["1"], estimates["2"]
    assert after.transitions == at_once.transitions
    repeated = ("Create Solution Version", "Get Batch Inference Status", "Filter Recommended Item")
    assert [at_once.transitions[name] for name in repeated] == [
        2 * alone.transitions[name] for name in repeated
    ]
    assert at_once.transitions["Import Dataset"] == alone.transitions["Import Dataset"] == 3
    assert at_once.run_hours == pytest.approx(alone.run_hours)
    assert after.run_hours > at_once.run_hours + 1.5
    quantities = {line.what: line.quantity for line in at_once.lines}
    assert quantities["Personalize, training"] == 2
    assert quantities["Personalize, batch"] == 10_000


def test_gigabytes_and_users_are_read_from_a_runs_files(config, executed):
    *_, endpoint, s3 = executed
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=config.bucket, CreateBucketConfiguration=where)
    similar = {"similar": {"batchInput": {"rows": 21}}}
    manifest = json.dumps({"batchInput": {"rows": 300}, "recommenders": similar}).encode()
    for key, body in {
        "users/part-0.csv": b"u" * 100,
        "interactions/part-0.csv": b"i" * 900,
        "batch-output/x.out": b"o" * 500,
        "manifest.json": manifest,
    }.items():
        s3.put_object(Bucket=config.bucket, Key=f"runs/night/{key}", Body=body)

    assert sizes_of(endpoint.client, config, "night") == {
        "gigabytes": 1_000 / 1e9,
        "stored_gigabytes": (1_500 + len(manifest)) / 1e9,
        "users": 321,
    }
    assert sizes_of(endpoint.client, config, "forgotten") == {}

    modes = {"USERS": None, "ITEMS": None, "INTERACTIONS": "FULL"}
    data_sets = {name: {"mode": mode} for name, mode in modes.items()}
    increment = {"step": "nothing", "datasets": data_sets}
    assert sizes_of(endpoint.client, config, "night", increment) == {
        "gigabytes": 900 / 1e9,
        "stored_gigabytes": (1_500 + len(manifest)) / 1e9,
        "users": 0,
    }


def test_usage_of_an_execution_on_aws_is_what_it_took(config, executed):
    _, events, endpoint, _ = executed
    # Of the training hours only Personalize knows, which does not run here.
    endpoint.mount("personalize", _no_such_version)

    usage = usage_of(endpoint.client, config, "night")

    assert usage.made.visits == transitions_of(events)
    assert usage.made.seconds > 0
    assert "training_minutes" in usage.assumptions
    assert training_hours_of(endpoint.client, events) == {}


@pytest.mark.parametrize("named", ["night", "latest"])
def test_seconds_of_a_local_run_are_not_priced_as_aws_s(executed, named):
    """On the sizes of its files the cost depends wherever they were made."""
    _, events, endpoint, _ = executed
    endpoint.mount("personalize", _no_such_version)

    done = CliRunner().invoke(
        app, ["cost", named, "--config", str(CONFIG), "--json", "--assume", "gigabytes=7"]
    )

    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["transitions"] != dict(transitions_of(events))
    origins = {entry["name"]: entry["origin"] for entry in printed["assumptions"]}
    assert origins["training_minutes"] == origins["training_hours"] == "assumed"
    assert origins["users"] == "run night"
    assert origins["gigabytes"] == "given"


def _no_such_version(environ, start_response):
    body = json.dumps({"__type": "ResourceNotFoundException", "message": "gone"}).encode()
    start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
    return [body]


def test_the_command_shows_sums_assumptions_and_what_is_not_verified():
    done = CliRunner().invoke(app, ["cost", "--config", str(CONFIG), "--assume", "users=1000"])

    assert done.exit_code == 0, done.output
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0].startswith("US dollars, ap-northeast-1")
    assert any(line.split()[:3] == ["Step", "Functions", "154"] for line in lines)
    assert any(line.startswith("sum") for line in lines)
    source = "https://aws.amazon.com/personalize/pricing/"
    assert f"personalize_batch_user     us-east-1, 2026-11-24 *        {source}" in lines
    assert "users                   1,000 users    in the batch inference job (given)" in lines


def test_the_definition_is_not_changed_by_walking_it(definition):
    before = copy.deepcopy(definition)

    walk(definition, {}, items=3, next_wait=next_wait)

    assert definition == before


@pytest.mark.parametrize(("users", "is_large"), [(100_000, False), (100_001, True)])
def test_a_filter_on_spark_is_a_second_run_of_the_job(users, is_large):
    text = CONFIG.read_text(encoding="utf-8")
    config = parse_config(text.replace("\n[filter]", "\n[filter]\nspark_above = 100_000"))
    values = {"users": users, "etl_minutes": 30, "spark_filter_minutes": 15, "filter_minutes": 10}

    result = estimate(
        config,
        json.loads(build_workflow(config).to_asl()),
        PRICES,
        assume(ASSUMPTIONS, values, origin="given"),
        year=2024,
        next_wait=next_wait,
    )

    assert ("Filter on Spark" in result.transitions) is is_large
    assert result.ways == ()
    quantities = {line.what: line.quantity for line in result.lines}
    assert quantities["Glue"] == (1.5 if is_large else 1.0)
    assert (quantities["Lambda, time"] < 100) is is_large


def test_a_model_on_sagemaker_costs_the_time_of_its_instances():
    tables = "training = { instance_type = 'ml.m5.2xlarge' }\ntransform = { instance_count = 3 }\n"
    own_model = own(f"{OWN_HYBRID}{tables}")
    rendered = json.loads(render(own_model))
    assumed = assume(
        assumptions_for(own_model),
        {"own_training_minutes": 90, "own_inference_minutes": 20},
        origin="given",
    )

    result = estimate(own_model, rendered, PRICES, assumed, year=2024, next_wait=next_wait)

    lines = {line.what: (line.quantity, line.price.name) for line in result.lines}
    assert lines["SageMaker, Train own"] == (1.5, "ml.m5.2xlarge")
    assert lines["SageMaker, Make Lists by own"] == (1.0, "ml.m5.xlarge")
    assert not [name for name in lines if name.startswith("Personalize")]
    assert result.run_hours > 110 / 60
    assert [note for note, *_ in price_notes(result)] == list(
        dict.fromkeys(line.price.name for line in (*result.lines, *result.standing))
    )
    assert result.unpriced == ()


def test_an_instance_without_a_price_is_named():
    own_model = own(f"{OWN_HYBRID}training = {{ instance_type = 'ml.p5.48xlarge' }}\n")
    rendered = json.loads(render(own_model))

    result = estimate(own_model, rendered, PRICES, year=2024, next_wait=next_wait)

    assert result.unpriced == ("'Train own' (sagemaker:createTrainingJob)",)


def test_models_are_assumed_nothing_of_where_there_are_none(config):
    names = {assumption.name for assumption in assumptions_for(config)}

    assert not {"own_training_minutes", "own_inference_minutes"} & names
