"""Several recommenders: each has jobs, files, a record and a published list of its own."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from lambdas.create_batch_inference_job import create_batch_inference_job
from lambdas.create_solution_version import create_solution_version
from lambdas.errors import ResourceNotFoundException
from lambdas.filter_recommendations import publish
from lambdas.judge_solution_version import judge_solution_version
from retrain.publications import publications, publish_again
from tests.lambdas.sample_run import ARN, MANIFEST, RUN, SOLUTION, get, keys, put
from tests.lambdas.test_create_jobs import INFERENCE
from tests.lambdas.test_filter_recommendations import output_line

NOW = datetime(2024, 6, 2, 4, 0, 7, tzinfo=UTC)
SIMILAR = {
    "batchInput": {"path": "recommenders/similar/batch-input/", "rows": 1, "id": "ITEM_ID"},
    "filter": {
        "eligibleItems": {"path": "recommenders/similar/filter/eligible-items/", "rows": 1},
        "exclusions": None,
    },
    "popularityBaseline": {"users": 3, "metrics": {"coverage": 0.1}},
}
FIRST = {
    "batchInput": {"path": "batch-input/", "rows": 1, "id": "USER_ID"},
    "filter": {"eligibleItems": None, "exclusions": None},
    "popularityBaseline": {"users": 3, "metrics": {"coverage": 0.9}},
}


def put_run(s3: Any, run: str = RUN, *, extracted: str = "2024-06-01T03:10:00Z") -> None:
    """Put the files of a run of two recommenders."""
    manifest = MANIFEST | FIRST | {"run": run, "createdAt": extracted}
    manifest["recommenders"] = {"similar": SIMILAR}
    related = {"input": {"itemId": "a"}, "output": {"recommendedItems": ["b", "c"]}}
    files = {
        "manifest.json": json.dumps(manifest),
        "batch-output/in.json.out": output_line("1", ["a", "b"]),
        "recommenders/similar/batch-output/in.json.out": json.dumps(related) + "\n",
        "recommenders/similar/filter/eligible-items/part-0.csv": "ITEM_ID\nb\n",
    }
    for path, content in files.items():
        s3.put_object(Bucket="bucket", Key=f"runs/{run}/{path}", Body=content.encode())


def publish_list(
    s3: Any, personalize: Any, calls: Stubber, recommender: str, run: str = RUN, **more: Any
) -> dict[str, Any]:
    calls.add_response(
        "describe_batch_inference_job",
        {"batchInferenceJob": {"solutionVersionArn": f"{SOLUTION}-{recommender}/1"}},
        {"batchInferenceJobArn": f"{ARN}job/1"},
    )
    event = {
        "bucket": "bucket",
        "run": run,
        "batchInferenceJobArn": f"{ARN}job/1",
        "keep": 25,
        "leastDifferentLists": 0.0,
    }
    return publish(s3, personalize, None, event | {"recommender": recommender} | more, now=NOW)


def test_each_publishes_a_list_of_its_own(s3: Any, personalize: Any, calls: Stubber) -> None:
    put_run(s3)

    first = publish_list(s3, personalize, calls, "")
    similar = publish_list(s3, personalize, calls, "similar")

    assert get(s3, f"runs/{RUN}/recommendations/recommendations.csv") == (
        "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n1,b,2,\n"
    )
    own = f"runs/{RUN}/recommenders/similar/"
    assert get(s3, f"{own}recommendations/recommendations.csv") == (
        "ITEM_ID,RELATED_ITEM_ID,RANK,SCORE\na,b,1,\n"
    )
    assert json.loads(get(s3, "recommendations/latest.json")) == first
    assert json.loads(get(s3, "recommendations/similar/latest.json")) == similar
    assert "recommender" not in first
    assert similar["recommender"] == "similar"
    assert similar["csv"] == f"s3://bucket/{own}recommendations/recommendations.csv"
    assert keys(s3, f"{own}record/") == [f"{own}record/publication.json"]


def test_going_back_is_of_one_recommender(s3: Any, personalize: Any, calls: Stubber) -> None:
    for run, extracted in (("one", "2024-06-01T00:00:00Z"), ("two", "2024-06-02T00:00:00Z")):
        put_run(s3, run, extracted=extracted)
        for recommender in ("", "similar"):
            publish_list(s3, personalize, calls, recommender, run)

    publish_again(s3, "bucket", "one", "similar", now=NOW)

    assert [each.run for each in publications(s3, "bucket", "similar") if each.is_current] == [
        "one"
    ]
    assert [each.run for each in publications(s3, "bucket") if each.is_current] == ["two"]


def test_lists_of_a_recommender_that_the_run_does_not_have_are_refused(
    s3: Any, personalize: Any
) -> None:
    put_run(s3)
    event = {"bucket": "bucket", "run": RUN, "batchInferenceJobArn": "", "recommender": "other"}

    with pytest.raises(ResourceNotFoundException, match=r"no lists of recommender 'other'.*simil"):
        publish(s3, personalize, None, event, now=NOW)


def test_each_is_judged_by_what_it_published_and_by_its_own_baseline(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put_run(s3)
    latest = {"run": "before", "solutionVersionArn": f"{SOLUTION}-similar/0"}
    for key in ("recommendations/latest.json", "recommendations/similar/latest.json"):
        s3.put_object(Bucket="bucket", Key=key, Body=json.dumps(latest).encode())
        latest = latest | {"run": "of similar"}
    for number, coverage in ((1, 0.2), (0, 0.5)):
        calls.add_response(
            "get_solution_metrics",
            {"solutionVersionArn": "", "metrics": {"coverage": coverage}},
            {"solutionVersionArn": f"{SOLUTION}-similar/{number}"},
        )
    event = {
        "bucket": "bucket",
        "run": RUN,
        "recommender": "similar",
        "solutionVersionArn": f"{SOLUTION}-similar/1",
        "onFailure": "keep",
        "metrics": {"coverage": {"greatest_drop": 0.1, "better_than_popularity": True}},
        "backtest": {},
    }

    decided = judge_solution_version(s3, personalize, event, now=NOW)

    assert decided["served"] == {"arn": f"{SOLUTION}-similar/0"}
    record = json.loads(get(s3, f"runs/{RUN}/recommenders/similar/record/gate.json"))
    assert record["published"]["run"] == "of similar"
    assert [rule["met"] for rule in record["rules"]] == [False, True]
    put(s3, "record/gate.json", json.dumps({"degraded": False}))
    published = publish_list(s3, personalize, calls, "similar", gate=True)
    assert published["degraded"]["refusedSolutionVersionArn"] == f"{SOLUTION}-similar/1"


def test_jobs_of_a_run_have_names_of_their_own(personalize: Any, calls: Stubber) -> None:
    calls.add_response(
        "create_solution_version",
        {"solutionVersionArn": f"{SOLUTION}/1"},
        {
            "name": "version-similar-2024-06-01-3b951b5903",
            "solutionArn": SOLUTION,
            "trainingMode": "FULL",
            "tags": [],
        },
    )
    names = [
        "jobName", "solutionVersionArn", "numResults", "jobInput", "jobOutput", "roleArn", "tags"
    ]  # fmt: skip
    calls.add_response(
        "create_batch_inference_job",
        {"batchInferenceJobArn": f"{ARN}job/1"},
        dict.fromkeys(names, ANY) | {"jobName": "batch-similar-2024-06-01-3b951b5903"},
    )

    event = {"run": RUN, "recommender": "similar", "trainingMode": "FULL", "tags": []}
    create_solution_version(personalize, SOLUTION, event)
    create_batch_inference_job(personalize, INFERENCE | {"recommender": "similar"})
