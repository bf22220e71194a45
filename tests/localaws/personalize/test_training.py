"""Solutions and their versions: what is trained, chosen, searched and refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import StoppedError
from localaws.personalize.training.data import TrainingData
from localaws.personalize.training.recipes import RECIPES, recipe_arn
from localaws.personalize.training.search import Range, Search
from localaws.personalize.training.solution_config import solution_recipes
from localaws.personalize.training.solution_version import Training

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


def test_training_has_a_failure_reason(account: Account) -> None:
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
    assert faults("aws-vod-top-picks") == (
        "aws-vod-top-picks is a use case of VIDEO_ON_DEMAND; create a recommender of it in a "
        "dataset group of this domain"
    )
    assert faults("aws-popularity-count", performHPO=True) == (
        "recipe aws-popularity-count has no hyperparameter to optimise; leave performHPO out"
    )
    ranges = {
        "integerHyperParameterRanges": [{"name": "bptt", "minValue": 1, "maxValue": 32}],
        "categoricalHyperParameterRanges": [{"name": "recency_mask", "values": ["maybe"]}],
        "continuousHyperParameterRanges": [{"name": "hidden_dimension", "minValue": 64}],
    }
    config = {"hpoConfig": {"algorithmHyperParameterRanges": ranges}}
    assert faults("aws-user-personalization", performHPO=True, solutionConfig=config).split(
        "; "
    ) == [
        "hpoConfig: bptt [1, 32] must lie in [2, 32]",
        "hpoConfig: 'hidden_dimension' is not tunable",
        "hidden_dimension, bptt, recency_mask are",
        "hpoConfig: recency_mask must be one of true, false, not 'maybe'",
    ]
    config = {"trainingDataConfig": {"excludedDatasetColumns": {"Interactions": ["USER_ID"]}}}
    assert faults("aws-sims", solutionConfig=config) == (
        "trainingDataConfig.excludedDatasetColumns.INTERACTIONS: USER_ID cannot be left out"
    )
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


def test_every_type_of_hyperparameter_is_searched(
    account: Account, trained: dict[str, str]
) -> None:
    """Over the documented ranges where the solution names none; of sims both parameters."""
    config = {"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "3"}}}
    solution = account.solution(
        "searched-sims", trained["group"], "aws-sims", performHPO=True, solutionConfig=config
    )
    tuned = account.train(solution)["tunedHPOParams"]["algorithmHyperParameters"]
    assert set(tuned) == {"popularity_discount_factor", "min_cointeraction_count"}
    assert tuned["popularity_discount_factor"] in {"0.0", "0.5", "1.0"}
    assert tuned["min_cointeraction_count"] in {"0", "5", "10"}


def test_a_search_tries_the_ends_of_every_range() -> None:
    parameters = RECIPES["aws-user-personalization"].parameters
    trials = Search(n_trials=4).trials(parameters, seed=0)
    assert [trial["hidden_dimension"] for trial in trials] == ["32", "64", "128", "256"]
    assert sorted(int(trial["bptt"]) for trial in trials) == [2, 5, 13, 32]
    assert sorted(trial["recency_mask"] for trial in trials) == ["false", "false", "true", "true"]
    assert Search(n_trials=4).trials(parameters, seed=0) == trials
    bptt = parameters[1]
    only = Search(n_trials=9, ranges={"bptt": Range(bptt, 2, 4)}).trials(parameters, seed=0)
    assert [trial["bptt"] for trial in only] == ["2", "3", "4"]


def test_an_update_brings_in_what_is_new_without_a_full_training(account: Account) -> None:
    """And is refused if there is nothing new, or no full version to bring it into."""
    group = account.group("updated")
    schema = account.schema("updated", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    dataset = account.dataset("updated", "Interactions", schema)
    account.load("updated", dataset, account.put("updated/1.csv", events()))
    solution = account.solution("updated", group, "aws-user-personalization")
    create = account.personalize.create_solution_version
    assert refusal(create, solutionArn=solution, trainingMode="UPDATE") == (
        "InvalidInputException",
        "trainingMode UPDATE needs an ACTIVE version of the solution trained with FULL",
    )
    other = account.solution("updated-sims", group, "aws-sims")
    assert (
        "aws-sims can only be trained in full; aws-user-personalization can"
        in (refusal(create, solutionArn=other, trainingMode="UPDATE")[1])
    )
    full = account.train(solution)
    nothing = account.train(solution, trainingMode="UPDATE")
    assert (nothing["status"], nothing["failureReason"]) == (
        "CREATE FAILED",
        "There should be updates to at least one dataset after last active solution version with "
        "training mode set to FULL",
    )
    news = "".join(f"u{2 * n},brand-new,view,{1_800_000_000 + n}\n" for n in range(25))
    news += "".join(f"newcomer,i{2 * n},view,{1_800_001_000 + n}\n" for n in range(5))
    # An import has 1,000 events at least: the others are those of before, once more.
    location = account.put("updated/2.csv", events() + news)
    assert account.load("more", dataset, location, importMode="INCREMENTAL")["status"] == "ACTIVE"
    update = account.train(solution, trainingMode="UPDATE")
    assert (update["status"], update["trainingMode"]) == ("ACTIVE", "UPDATE")
    metrics = [
        account.personalize.get_solution_metrics(solutionVersionArn=version["solutionVersionArn"])
        for version in (full, update)
    ]
    assert metrics[0]["metrics"] == metrics[1]["metrics"]
    source = account.put("updated/in.json", '{"userId":"u52"}\n{"userId":"newcomer"}\n')
    lists = []
    for name, version in (("before", full), ("after", update)):
        target = f"s3://data/updated/{name}/"
        arn = version["solutionVersionArn"]
        assert account.infer(name, arn, source, target, numResults=41)["status"] == "ACTIVE"
        lines = account.get(f"updated/{name}/in.json.out").splitlines()
        lists.append([json.loads(line)["output"]["recommendedItems"] for line in lines])
    assert "brand-new" not in lists[0][0]
    assert "brand-new" in lists[1][0][:15]
    assert {int(item[1:]) % 2 for item in lists[1][1][:10] if item != "brand-new"} == {0}


def test_a_training_that_is_stopped_ends_soon(account: Account, trained: dict[str, str]) -> None:
    """A search of forty trainings stops in the midst of one of them."""
    config = {"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "40"}}}
    solution = account.solution(
        "stopped",
        trained["group"],
        "aws-personalized-ranking",
        performHPO=True,
        solutionConfig=config,
    )
    arn = account.personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    account.personalize.stop_solution_version_creation(solutionVersionArn=arn)
    assert account.settled("SolutionVersion", arn)["status"] == "CREATE STOPPED"


def test_a_training_stops_at_its_next_round(tmp_path: Path) -> None:
    """Whatever the stage, the next report ends it, and nothing is saved."""
    random = np.random.default_rng(0)
    table = Table(
        {
            "USER_ID": np.array([f"u{n % 60}" for n in range(1200)], dtype=object),
            "ITEM_ID": np.array([f"i{random.integers(40)}" for _ in range(1200)], dtype=object),
            "TIMESTAMP": np.arange(1200),
        }
    )
    solution = {"recipeArn": recipe_arn(RECIPES["aws-user-personalization"]), "performHPO": True}
    for last in (0.01, 0.1, 0.3, 0.65, 0.7, 0.9):
        seen: list[float] = []

        def report(fraction: float, last: float = last, seen: list[float] = seen) -> None:
            seen.append(fraction)
            if fraction >= last:
                raise StoppedError

        directory = tmp_path / "model"
        data = TrainingData({"INTERACTIONS": table})
        training = Training(solution, solution_recipes(solution), data, directory, seed=0)
        with pytest.raises(StoppedError):
            training.run(report)
        assert seen == sorted(seen)
        assert seen[-1] < last + 0.05
        assert not directory.exists()
