"""A model that the Spark job trains: the two stages of one on SageMaker, without SageMaker."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from etl.factorization import Factorization
from lambdas.polling import next_wait
from tests.workflow.definition.test_own_models import rendered
from tests.workflow.options.test_models import OWN_HYBRID, WITHOUT_FILTER, mistakes, own
from workflow import ConfigError, Stages
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.permissions import permission_policy
from workflow.options.models import ALS
from workflow.runs.cost import assume, assumptions_for, estimate
from workflow.runs.prices import load_prices

ROOT = Path(__file__).parents[3]
OWN_ALS = '\n[models.own]\nbuiltin = "als"\n'


def test_the_hyperparameters_of_als_are_those_of_the_job() -> None:
    usual = Factorization()

    assert {each.name: type(getattr(usual, each.name)) for each in fields(usual)} == ALS


@pytest.mark.parametrize(
    ("tables", "key", "rule"),
    [
        ("hyperparameters = { factor = 3 }", "hyperparameters.factor", "no such hyperparameter"),
        ("hyperparameters = { recency = true }", "hyperparameters.recency", "no such"),
        ("hyperparameters = { factors = 3.5 }", "hyperparameters.factors", "it is a whole number"),
        ("hyperparameters = { factors = 0 }", "hyperparameters.factors", "it is at least 1"),
        ("hyperparameters = { alpha = -1 }", "hyperparameters.alpha", "it is at least 0"),
        ("hyperparameters = { alpha = nan }", "hyperparameters.alpha", "it is at least 0"),
        ("hyperparameters = { alpha = inf }", "hyperparameters.alpha", "it is at least 0"),
        ("training = { spot = true }", "training", "has no job on SageMaker"),
        ("transform = { instance_count = 2 }", "transform", "has no job on SageMaker"),
        ("metrics = [{ name = 'x', regex = '(x)' }]", "metrics", "has no job on SageMaker"),
        ("environment = { DESK = 'tokyo' }", "environment", "has no job on SageMaker"),
        ("requirements = ['lightfm==1.17']", "requirements", "has its own"),
    ],
)
def test_what_als_does_not_have_is_refused(tables: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        own(OWN_ALS + tables)

    found = dict(mistakes(refused.value))
    assert rule in found[f"models.own.{key}"], found


def test_the_hybrid_s_numbers_have_the_same_bounds() -> None:
    with pytest.raises(ConfigError) as refused:
        own(OWN_HYBRID + "hyperparameters = { factors = 0, alpha = -1.0, recency = false }")

    assert mistakes(refused.value) == [
        ("models.own.hyperparameters.factors", "it is at least 1"),
        ("models.own.hyperparameters.alpha", "it is at least 0"),
    ]


def test_the_job_trains_and_what_follows_tells_who_made_the_lists() -> None:
    config = own(f"{OWN_ALS}hyperparameters = {{ factors = 8, alpha = 1.5 }}")
    found = rendered(config)[1]

    training, told = found["Train own"], found["Make Lists by own"]
    arguments = training["Parameters"]["Arguments"]
    assert arguments["--task"] == "recommend"
    assert json.loads(arguments["--settings"]) == {
        "hyperparameters": {"factors": 8, "alpha": 1.5},
        "output": "batch-output/",
        "num_results": config.batch_inference.num_results,
    }
    assert training.keys() >= {"Retry", "Catch", "TimeoutSeconds"}
    assert (training["Next"], told["Next"]) == ("Make Lists by own", "Filter Recommended Item")
    assert told["Parameters"]["model"] == {"name": "own", "jobRunId.$": "$.job.trained.JobRunId"}
    payload = found["Filter Recommended Item"]["Parameters"]["Payload"]
    assert payload["job.$"] == "$.job"
    assert not any("sagemaker" in state.get("Resource", "") for state in found.values())


def test_it_needs_nothing_of_sagemaker() -> None:
    config = own(OWN_ALS)

    assert config.roles == ("states", "functions", "glue", "scheduler")
    assert not build_artefacts(config).models
    for who in ("states", "deployer"):
        assert "sagemaker" not in json.dumps(permission_policy(config, who))  # type: ignore[arg-type]


def test_it_is_rendered_without_sagemaker_s_sdk() -> None:
    code = (
        "import sys\nfrom tests.workflow.definition.test_spark_model import OWN_ALS, own\n"
        "from workflow.definition.render import render\nrender(own(OWN_ALS))\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'sagemaker'])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )

    assert loaded.stdout.strip() == "[]"


def test_the_limit_of_a_training_on_sagemaker_is_none_of_its_own() -> None:
    short = f"timeout_hours = 2\n{WITHOUT_FILTER}".replace("[etl]", "[etl]\ntimeout_minutes = 60")

    assert own(OWN_ALS, example=short).timeout_hours == 2
    with pytest.raises(ConfigError, match="max_run_minutes"):
        own(OWN_HYBRID, example=short)


def test_a_workflow_of_one_s_own_takes_both_stages() -> None:
    stages = Stages(own(OWN_ALS))
    graph = stages.compose(
        stages.etl(), stages.own_training("own"), stages.own_inference("own"), stages.publish()
    )

    assert {"Train own", "Make Lists by own"} <= graph.to_dict()["States"].keys()


def test_its_minutes_are_those_of_the_spark_job() -> None:
    config = own(OWN_ALS)
    definition = rendered(config)[0]
    values = {"etl_minutes": 30, "als_minutes": 60}
    assumed = assume(assumptions_for(config), values, origin="given")

    prices = load_prices("us-east-1")
    result = estimate(config, definition, prices, assumed, year=2024, next_wait=next_wait)

    lines = {line.what: line.quantity for line in result.lines}
    assert (lines["Glue"], lines["Glue, Train own"]) == (1.0, 2.0)  # of two workers
    assert not [name for name in lines if name.startswith(("Personalize", "SageMaker"))]
    assert result.unpriced == ()
    assert "als_minutes" not in {each.name for each in assumptions_for(own(OWN_HYBRID))}
