"""`[gate]` and `[backtest]`: their mistakes, the stage that they make, and what it may do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from etl.datasets import JobSpec, LearnedEvents
from recommenders.evaluation.names import METRICS as MEASURED
from workflow import ConfigError, Stages, build_workflow, parse_config
from workflow.definition.render import StructureError, structural_faults
from workflow.deployment.permissions import permission_policy
from workflow.personalize import METRICS
from workflow.run_names import RUN

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
NDCG = "normalized_discounted_cumulative_gain_at_10"
GATE = f"\n[gate.metrics.{NDCG}]\nminimum = 0.01\ngreatest_drop = 0.2\n"


def definition(tables: str) -> Any:
    return json.loads(build_workflow(parse_config(EXAMPLE + tables)).to_asl())


@pytest.mark.parametrize(
    ("table", "key", "rule", "fix"),
    [
        ("[gate]", "gate", "a gate without a metric judges nothing", f"add [gate.metrics.{NDCG}]"),
        (
            '[gate.metrics."NDCG@10"]\nminimum = 0.1',
            "gate.metrics.NDCG@10",
            "Personalize has no such metric",
            f"did you mean {NDCG}?",
        ),
        (
            "[gate.metrics.hit_rate_at_10]\nminimum = 0.1",
            "gate.metrics.hit_rate_at_10",
            "Personalize has no such metric",
            "did you mean gate.backtest.hit_rate_at_10?",
        ),
        (
            "[backtest]\n[gate.backtest.precision_at_5]\nminimum = 0.1",
            "gate.backtest.precision_at_5",
            "the back-test has no such metric",
            "did you mean gate.metrics.precision_at_5?",
        ),
        (
            "[gate.metrics.ndgc_at_10]\nminimum = 0.1",
            "gate.metrics.ndgc_at_10",
            "Personalize has no such metric",
            f"did you mean {NDCG}?",
        ),
        (
            "[gate.metrics.recall]\nminimum = 0.1",
            "gate.metrics.recall",
            "Personalize has no such metric",
            f"write one of {', '.join(METRICS)}",
        ),
        (
            "[gate.metrics.coverage]\nbetter_than_popularity = false",
            "gate.metrics.coverage",
            "there is nothing to judge by",
            "write one of minimum, greatest_drop, better_than_popularity",
        ),
        (
            "[gate.metrics.coverage]\ngreatest_drop = 15",
            "gate.metrics.coverage.greatest_drop",
            "the value should be less than or equal to 1",
            "for example greatest_drop = 0.1",
        ),
        (
            '[gate]\non_failure = "keeps"\n[gate.metrics.coverage]\nminimum = 0.1',
            "gate.on_failure",
            "the value should be 'keep' or 'fail'",
            "did you mean keep?",
        ),
        (
            "[gate.backtest.hit_rate_at_10]\nminimum = 0.1",
            "gate.backtest",
            "nothing measures the lists published last",
            "add the table [backtest], or leave these rules out",
        ),
        (
            "[backtest]\n[gate.backtest.hitrate_at_10]\nminimum = 0.1",
            "gate.backtest.hitrate_at_10",
            "the back-test has no such metric",
            "did you mean hit_rate_at_10?",
        ),
        (
            f"[gate.metrics.{NDCG}]\nminimum = 0.1\n[backtest]\n"
            "[gate.backtest.hit_rate_at_25]\nminimum = 0.5\n#keep = 9",
            "gate.backtest.hit_rate_at_25",
            "a published list has 9 items, by filter.keep and batch_inference.num_results",
            "write hit_rate_at_5, or publish longer lists",
        ),
        (
            "[backtest]\n[gate.backtest.hit_rate_at_5]\nminimum = 0.5\n#keep = 4",
            "gate.backtest.hit_rate_at_5",
            "a published list has 4 items, by filter.keep and batch_inference.num_results",
            "leave it out, or publish longer lists",
        ),
        (
            f"[gate.metrics.{NDCG}]\nbetter_than_popularity = true\n"
            '#recipe = "aws-popularity-count"',
            f"gate.metrics.{NDCG}.better_than_popularity",
            "aws-popularity-count recommends the most popular items, and is never better than they",
            "leave it out",
        ),
        (
            "[backtest]\n[gate.backtest.coverage]\nno_worse_than_popularity = true",
            "gate.backtest.coverage.no_worse_than_popularity",
            "coverage is no mean over users, so that there is no interval to judge by",
            "write minimum, or another metric",
        ),
    ],
)
def test_a_rule_that_judges_nothing_that_exists_is_a_mistake(
    table: str, key: str, rule: str, fix: str
) -> None:
    text = EXAMPLE
    for line in (line.removeprefix("#") for line in table.splitlines() if line.startswith("#")):
        text = re.sub(rf"(?m)^{line.split()[0]} =.*$", line, text)
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{text}\n{table}\n")

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.rule) == (key, rule)
    assert mistake.fix.startswith(fix)


def test_a_back_test_needs_users_and_the_events_that_it_names() -> None:
    related = EXAMPLE.replace('user_id = "students.id"', 'item_id = "job_postings.id"', 1)
    related = related.replace("aws-user-personalization", "aws-similar-items")
    related = related[: related.index("[filter.exclusions]")]
    untyped = EXAMPLE.replace('EVENT_TYPE = "events.kind"\n', "")
    untyped = untyped.replace("personalize_filter =", "# personalize_filter =")
    for text, key in (
        (f"{related}[backtest]\n", "backtest"),
        (f'{untyped}[backtest]\nevent_types = ["apply"]\n', "backtest.event_types"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse_config(text)
        assert key in [mistake.key for mistake in caught.value.mistakes]
    config = parse_config(f'{EXAMPLE}[backtest]\nevent_types = ["apply"]\n')
    assert config.job_spec().event_types["backtest.event_types"] == ("apply",)


def test_no_drop_at_all_is_a_rule() -> None:
    gate = parse_config(f"{EXAMPLE}[gate.metrics.coverage]\ngreatest_drop = 0\n").gate

    assert gate is not None
    assert gate.metrics["coverage"].greatest_drop == 0


def test_the_metrics_are_those_that_are_measured_for_every_recipe() -> None:
    assert METRICS == MEASURED


def test_the_gate_stands_between_training_and_batch_inference() -> None:
    machine = definition(GATE)
    states = machine["States"]

    assert list(structural_faults(machine)) == []
    assert states["Solution Version Active?"]["Choices"][0] == {
        "Variable": "$.job.status",
        "StringEquals": "ACTIVE",
        "Next": "Judge Solution Version",
    }
    judge = states["Judge Solution Version"]
    assert judge["Parameters"] == {
        "FunctionName": "labbase-judge-solution-version",
        "Payload": {
            "bucket": "labbase-retraining-123456789012-ap-northeast-1",
            "run.$": RUN,
            "solutionVersionArn.$": "$.job.arn",
            "onFailure": "keep",
            "metrics": {NDCG: {"minimum": 0.01, "greatest_drop": 0.2}},
            "backtest": {},
        },
    }
    assert (judge["ResultPath"], judge["Next"]) == ("$.gate", "Good Enough?")
    assert judge["Catch"][0]["Next"] == "Report Failure"
    assert states["Good Enough?"] == {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.gate.decision", "StringEquals": "keep", "Next": "Keep Last Version"}
        ],
        "Default": "Trigger Batch Inference",
    }
    assert states["Keep Last Version"] == {
        "Type": "Pass",
        "InputPath": "$.gate.served",
        "ResultPath": "$.job",
        "Next": "Trigger Batch Inference",
    }
    assert states["Filter Recommended Item"]["Parameters"]["Payload"]["gate"] is True


def test_a_gate_that_fails_the_run_has_no_version_to_keep() -> None:
    states = definition(GATE.replace("[gate.", '[gate]\non_failure = "fail"\n[gate.', 1))["States"]

    assert states["Judge Solution Version"]["Next"] == "Trigger Batch Inference"
    assert not {"Good Enough?", "Keep Last Version"} & states.keys()


def test_without_the_table_there_is_no_gate_and_no_function_and_permission_for_it() -> None:
    config = parse_config(EXAMPLE)
    gated = parse_config(EXAMPLE + GATE)
    allowed = {s["Sid"] for s in permission_policy(config, "functions")["Statement"]}
    more = {s["Sid"] for s in permission_policy(gated, "functions")["Statement"]} - allowed

    assert "Judge Solution Version" not in definition("")["States"]
    assert "judge-solution-version" not in config.function_names
    assert "judge-solution-version" in gated.function_names
    assert more == {
        "JudgeVersions",
        "ReadPublishedRun",
        "RecordJudgement",
        "InferWithLastVersion",
    }
    with pytest.raises(StructureError, match=r"add the table \[gate\] to the configuration"):
        Stages(config).quality_gate()


def test_the_spark_job_reads_what_was_published_only_for_a_back_test() -> None:
    config, tested = parse_config(EXAMPLE), parse_config(f"{EXAMPLE}\n[backtest]\n")
    allowed = {s["Sid"] for s in permission_policy(config, "glue")["Statement"]}
    more = {s["Sid"] for s in permission_policy(tested, "glue")["Statement"]} - allowed

    assert more == {"ReadPublishedLists"}
    assert config.job_spec().backtest is None
    assert tested.job_spec().backtest is not None


def test_what_is_popular_is_measured_of_the_events_that_the_solution_learns_from() -> None:
    beaten = f"\n[gate.metrics.{NDCG}]\nbetter_than_popularity = true\n"
    chosen = EXAMPLE.replace("[solution]", '[solution]\nevent_type = "view"')

    assert parse_config(EXAMPLE + GATE).job_spec().baseline is None
    spec = parse_config(chosen + beaten).job_spec()
    assert spec.baseline == LearnedEvents("view", None)
    assert JobSpec.from_json(spec.to_json()) == spec
    with_backtest = parse_config(f'{chosen}\n[backtest]\nevent_types = ["apply"]\n').job_spec()
    assert JobSpec.from_json(with_backtest.to_json()) == with_backtest
