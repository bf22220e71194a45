"""Batch inference jobs: users in, their recommendations out."""

import json

import pytest
from botocore.exceptions import ClientError

from .account import PREFIX, Account

METRICS = {
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
}


def test_a_version_has_metrics_and_recommends_what_its_users_like(
    account: Account, trained: dict[str, str]
) -> None:
    metrics = account.personalize.get_solution_metrics(solutionVersionArn=trained["version"])
    source = account.put("batch/in.json", '{"userId":"u3"}\n{"userId": 4}\n{"userId":"u4"}\nno\n')
    job = account.infer("likes", trained["version"], source, "s3://data/out", numResults=5)
    assert job["status"] == "ACTIVE"
    assert set(metrics["metrics"]) == METRICS
    assert all(0 <= value <= 1 for value in metrics["metrics"].values())

    keys = [o["Key"] for o in account.s3.list_objects_v2(Bucket="data", Prefix="out/")["Contents"]]
    assert keys == ["out/_CHECK", "out/in.json.out"]
    body = account.s3.get_object(Bucket="data", Key="out/in.json.out")["Body"].read()
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["input"] for line in lines] == [
        {"userId": "u3"},
        {"userId": 4},
        {"userId": "u4"},
        "no",
    ]
    assert [line["error"] and line["error"][:20] for line in lines] == [
        None,
        "must be of the form ",
        None,
        "not JSON: invalid li",
    ]
    assert lines[1]["output"] is None
    for line, parity in ((lines[0], 1), (lines[2], 0)):
        items, scores = line["output"]["recommendedItems"], line["output"]["scores"]
        assert [int(item[1:]) % 2 for item in items] == [parity] * 5
        assert scores == sorted(scores, reverse=True)
        assert 0 < sum(scores) <= 1.0001


def test_batch_inference_has_a_failure_reason(account: Account, trained: dict[str, str]) -> None:
    source = account.put("users.json", '{"userId":"u1"}\n')
    version = trained["version"]
    reasons = [
        account.infer("no-input", version, "s3://data/none/", "s3://data/o")["failureReason"],
        account.infer("no-output", version, source, "s3://missing/o")["failureReason"],
    ]
    assert reasons == ["Invalid S3 input path", "Invalid S3 output path"]
    with pytest.raises(ClientError, match=r"numResults must be in \[1, 500\], not 501"):
        account.infer("many", version, source, "s3://data/o", numResults=501)
    with pytest.raises(ClientError, match=f"Resource Arn {PREFIX}:filter/x does not exist"):
        account.infer("filter", version, source, "s3://data/o", filterArn=f"{PREFIX}:filter/x")


def test_a_prefix_takes_in_all_that_begins_so(account: Account, trained: dict[str, str]) -> None:
    for key in ("p/in/a.json", "p/in/b.json", "p/in_test/c.json"):
        account.put(key, '{"userId":"u1"}\n')
    account.infer("slash", trained["version"], "s3://data/p/in/", "s3://data/slash/")
    account.infer("prefix", trained["version"], "s3://data/p/in", "s3://data/prefix/")

    def written(prefix: str) -> list[str]:
        objects = account.s3.list_objects_v2(Bucket="data", Prefix=prefix)["Contents"]
        return [entry["Key"].removeprefix(prefix) for entry in objects]

    assert written("slash/") == ["_CHECK", "a.json.out", "b.json.out"]
    assert written("prefix/") == ["_CHECK", "in/a.json.out", "in/b.json.out", "in_test/c.json.out"]


def test_a_line_may_have_the_context_of_its_user(account: Account, trained: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/personalize/latest/dg/contextual-metadata.html."""
    lines = [
        '{"userId":"u1","context":{"DEVICE":"phone"}}',
        '{"userId":"u1"}',
        '{"userId":"u1","context":"phone"}',
        '{"userId":"u1","contexts":{}}',
    ]
    source = account.put("context.json", "\n".join(lines))
    account.infer("context", trained["version"], source, "s3://data/context-out/")
    first, second, third, fourth = account.read_lines("context-out/context.json.out")
    assert first["input"] == json.loads(lines[0])
    assert first["output"] == second["output"]
    assert third["error"].startswith('context must be of the form {"DEVICE": "phone"}')
    assert fourth["error"] == "contexts: not supported by the local Personalize"
