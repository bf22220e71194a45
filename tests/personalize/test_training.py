"""Solutions and their versions: what is trained, chosen, searched and refused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .account import INTERACTIONS, Account, avro, events, refusal


def test_the_same_data_and_seed_give_the_same_metrics(
    account: Account, trained: dict[str, str]
) -> None:
    again = account.train(trained["solution"])["solutionVersionArn"]
    first, second = (
        account.personalize.get_solution_metrics(solutionVersionArn=arn)["metrics"]
        for arn in (trained["version"], again)
    )
    assert first == second


def test_training_tells_why_it_failed(account: Account) -> None:
    group = account.group("few")
    schema = account.schema("few", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    dataset = account.dataset("few", "Interactions", schema)
    solution = account.solution("few", group, "aws-user-personalization-v2")
    applies = account.solution("few-applies", group, "aws-popularity-count", eventType="apply")
    code, message = refusal(account.personalize.create_solution_version, solutionArn=solution)
    assert (code, message) == (
        "InvalidInputException",
        f"{group} has no Interactions data; import some first",
    )
    account.load("few", dataset, account.put("few.csv", events(1200, users=24)))
    version = account.train(solution)
    assert (version["status"], version["failureReason"]) == (
        "CREATE FAILED",
        "Create failed. Dataset has fewer than 25 users with at least 2 interactions each.",
    )
    assert account.train(applies)["failureReason"] == (
        "Dataset has fewer than 1000 interactions after filtering by event type: apply"
    )
    arn = version["solutionVersionArn"]
    call = account.personalize
    assert refusal(call.get_solution_metrics, solutionVersionArn=arn) == (
        "ResourceInUseException",
        f"Resource {arn} is CREATE FAILED; it must be ACTIVE. Create another one.",
    )
    with pytest.raises(ClientError, match="ResourceInUseException"):
        account.infer("few", arn, "s3://data/x", "s3://data/y")


def test_only_events_of_enough_value_are_trained_on(account: Account) -> None:
    """1,000 of 1,200 events have the value; with a higher threshold too few are left."""
    group = account.group("valued")
    fields = ("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long")
    value = ("EVENT_VALUE", ["null", "float"])
    schema = account.schema("valued", avro("Interactions", *fields, value))
    dataset = account.dataset("valued", "Interactions", schema)
    lines = [
        f"u{n % 60},i{n % 7},{1_700_000_000 + n},{'' if n % 6 == 0 else n % 6}\n"
        for n in range(1200)
    ]
    location = account.put("valued.csv", "USER_ID,ITEM_ID,TIMESTAMP,EVENT_VALUE\n" + "".join(lines))
    assert account.load("valued", dataset, location)["status"] == "ACTIVE"
    ends = []
    for threshold in ("1", "1.5"):
        solution = account.solution(
            f"valued-{threshold[-1]}",
            group,
            "aws-popularity-count",
            solutionConfig={"eventValueThreshold": threshold},
        )
        version = account.train(solution)
        ends.append((version["status"], version.get("failureReason")))
    assert ends == [
        ("ACTIVE", None),
        ("CREATE FAILED", "Dataset has fewer than 1000 interactions"),
    ]


def test_hyperparameters_are_searched(account: Account, trained: dict[str, str]) -> None:
    config = {
        "hpoConfig": {
            "hpoResourceConfig": {"maxNumberOfTrainingJobs": "2"},
            "algorithmHyperParameterRanges": {
                "integerHyperParameterRanges": [
                    {"name": "hidden_dimension", "minValue": 32, "maxValue": 36}
                ]
            },
        }
    }
    solution = account.solution(
        "searched",
        trained["group"],
        "aws-user-personalization",
        performHPO=True,
        solutionConfig=config,
    )
    version = account.train(solution)
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    assert tuned["hidden_dimension"] in {"32", "36"}
    assert set(tuned) == {"hidden_dimension", "bptt", "recency_mask"}


def test_automl_chooses_the_better_recipe(account: Account, trained: dict[str, str]) -> None:
    names = ("aws-popularity-count", "aws-user-personalization")
    arns = [f"arn:aws:personalize:::recipe/{name}" for name in names]
    config = {"autoMLConfig": {"recipeList": arns}}
    solution = account.solution(
        "chosen", trained["group"], performAutoML=True, solutionConfig=config
    )
    version = account.train(solution)
    result = account.personalize.describe_solution(solutionArn=solution)["solution"]
    assert result["autoMLResult"] == {"bestRecipeArn": arns[1]}
    assert version["recipeArn"] == arns[1]


def test_automatic_training_is_reported_as_on_aws(
    account: Account, trained: dict[str, str]
) -> None:
    arn = account.personalize.create_solution(
        name="automatic",
        datasetGroupArn=trained["group"],
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
    )["solutionArn"]
    assert account.settled("Solution", arn)["performAutoTraining"] is True


def test_a_solution_is_refused_with_every_fault(account: Account, trained: dict[str, str]) -> None:
    def faults(recipe: str, **more: Any) -> str:
        code, message = refusal(
            account.personalize.create_solution,
            name="refused",
            datasetGroupArn=trained["group"],
            recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
            **more,
        )
        assert code == "InvalidInputException"
        return message

    assert faults("aws-user-personalisation").endswith(
        "did you mean arn:aws:personalize:::recipe/aws-user-personalization?"
    )
    assert faults("aws-sims") == "aws-sims is not trained by this local Personalize yet"
    assert faults("aws-hrnn") == "recipe aws-hrnn is retired; use aws-user-personalization-v2"
    config = {
        "algorithmHyperParameters": {"hidden_dimension": "16", "bpt": "x"},
        "eventValueThreshold": "high",
    }
    assert faults("aws-user-personalization", solutionConfig=config).split("; ") == [
        "solutionConfig.eventValueThreshold must be a number, not 'high'",
        "recipe aws-user-personalization: hidden_dimension must be in [32, 256], not '16'",
        "recipe aws-user-personalization has no parameter 'bpt'",
        "did you mean bptt?",
    ]
