"""The filter as a Spark job: the same bytes as those of the function that it stands in for."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from etl.datasets import JobSpec, Lookup, Relation
from etl.errors import EtlError
from etl.filtering import ERRORS, LIST, RECORD, filter_lists
from lambdas.errors import ListsAlike, NewerListPublished, NoRecommendations
from lambdas.filter_recommendations import RunFiles, filter_recommendations, publish
from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET, Run

SPEC = JobSpec(
    engine="postgresql",
    datasets=(),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
)
DATABASE = "postgresql://nobody:none@127.0.0.1:1/none"
JOB = "arn:aws:personalize:ap-northeast-1:123456789012:batch-inference-job/batch-1"
VERSION = "arn:aws:personalize:ap-northeast-1:123456789012:solution/labbase/1"
# What CSV quotes, what sorts oddly, what looks like a number or a null, scripts, a letter of two
# code points and its twin of one.
IDS = [
    "a,b", 'say "hi"', "求人📚", " spaced ", "back\\slash", "\\", '"', "00012", "1e5", "null",
    "NaN", "USER_ID", "ÀÉ", "À", "عربى", "ไทย", "#tag", "=1+1", "'", "tab\there", "-1", "😀",
    "\u00e9", "e\u0301", "x" * 256,
]  # fmt: skip
SCORES = [
    0.1, 1e-7, 1e-05, 0.0001, 1e16, 123456789.123, 0.30000000000000004, 1, 0, -0.0, 5e-324, 1e308,
    12345678901234567890, 0.1234567890123456789, None,
]  # fmt: skip


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, tmp_path: Path) -> Iterator[Run]:
    """Yield a run whose files Spark reads in many parts."""
    most = "spark.sql.files.maxPartitionBytes"
    before = spark.conf.get(most)
    spark.conf.set(most, "20000b")
    yield Run(endpoint, spark, DATABASE, tmp_path)
    spark.conf.set(most, str(before))
    endpoint.client("s3").delete_object(Bucket=BUCKET, Key="recommendations/latest.json")


def put(run: Run, path: str, content: str | bytes) -> None:
    body = content if isinstance(content, bytes) else content.encode()
    run.s3.put_object(Bucket=BUCKET, Key=run.folder.key(path), Body=body)


def put_manifest(run: Run, **changes: Any) -> dict[str, Any]:
    manifest = {
        "createdAt": "2024-06-01T03:10:00Z",
        "datasets": {"INTERACTIONS": {"path": "interactions/", "rows": 9}},
        **changes,
    }
    put(run, "manifest.json", json.dumps(manifest))
    return manifest


def put_filters(run: Run, eligible: list[str], excluded: list[tuple[str, str]]) -> dict[str, Any]:
    """Write both lists as the job writes them; return the manifest's entry."""
    runtime = run.runtime(SPEC)
    items = run.spark.createDataFrame([(each,) for each in eligible], "ITEM_ID string")
    pairs = run.spark.createDataFrame(excluded, "USER_ID string, ITEM_ID string")
    runtime.write_csv(items.repartition(3), "filter/eligible-items/")
    runtime.write_csv(pairs.repartition(3), "filter/exclusions/")
    return {
        "eligibleItems": {"path": "filter/eligible-items/", "rows": len(eligible)},
        "exclusions": {"path": "filter/exclusions/", "rows": len(excluded)},
    }


def line(user: Any, items: Any, scores: Any = None, *, ascii_only: bool = False) -> str:
    output = {"recommendedItems": items} | ({} if scores is None else {"scores": scores})
    record = {"input": {"userId": user}, "output": output, "error": None}
    return json.dumps(record, ensure_ascii=ascii_only)


ODD_LINES = [
    b'{"input":{"userId":"9"},"output":null,"error":"no such user \\u6c42"}',
    b'{"input":{},"output":{"recommendedItems":["a"]}}',
    b'{"input":{"userId":5},"output":{"recommendedItems":["a,b","\\""]}}',
    b'{"input":{"userId":1.50},"output":{"recommendedItems":["a,b"],"scores":[NaN]}}',
    b'{"input":{"userId":"1","userId":"2"},"output":{"recommendedItems":["a,b"],"scores":[1E2]}}',
    b'{"input":{"userId":"half \\ud83d"},"output":{"recommendedItems":["a,b"]}}',
    b'{"input":{"userId":"\\ud83d\\udcda"},"output":{"recommendedItems":["a,b"]}}',
    b'{"input":{"userId":"1"},"output":{"recommendedItems":["a"],"scores":[0.1,0.2]}}',
    b'{"input":{"userId":"1"},"output":{"recommendedItems":[]}}',
    b'{"input":{"userId":"1"},"output":{"recommendedItems":[],"scores":[]}}',
    b'{"input":{"userId":"raw \r return"},"output":{"recommendedItems":["a,b"]}}',
    b'{"input":{"userId":"not \xff UTF-8"},"output":{"recommendedItems":["a,b"]}}',
    b'\xef\xbb\xbf{"input":{"userId":"1"},"output":{"recommendedItems":["a,b"]}}',
    b'{"input":{"userId":"cut',
    b"[]",
    b"   ",
    b"",
]


def odd_files(chance: random.Random) -> dict[str, bytes]:
    """Return the files of a batch output that has all kinds of lines in it."""

    def some_line() -> bytes:
        if chance.random() < 0.1:
            return chance.choice(ODD_LINES)
        items = chance.choices([*IDS, "out"], k=chance.randrange(12))
        scores = chance.choices(SCORES, k=len(items)) if chance.random() < 0.8 else None
        user = chance.choice(IDS) if chance.random() < 0.5 else f"user-{chance.randrange(2_000)}"
        text = line(user, items, scores, ascii_only=chance.random() < 0.5)
        return text.encode() + b"\r" * (chance.random() < 0.1)

    return {
        f"batch-output/part-{number}.json.out": b"\n".join(
            some_line() for _ in range([0, 1, 300, 900][number % 4])
        )
        + b"\n" * (number % 2)
        for number in range(12)
    }


def outputs_of(run: Run) -> dict[str, bytes]:
    """Return the list and the error lines, and delete them."""
    found = {}
    for path in (LIST, ERRORS):
        if path in run.objects():
            place = {"Bucket": BUCKET, "Key": run.folder.key(path)}
            found[path] = run.s3.get_object(**place)["Body"].read()
            run.s3.delete_object(**place)
    return found


def filtered_by_both(
    run: Run, manifest: dict[str, Any], keep: int
) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    """Return what function and Spark job leave: their summary, and the files."""
    files = RunFiles(run.s3, BUCKET, run.folder.run)
    summary = filter_recommendations(files, manifest, keep=keep, directory=run.directory)
    by_function = summary, outputs_of(run)
    record = filter_lists(run.runtime(SPEC), keep=keep, log=run.log.append)
    assert json.loads(run.text(RECORD)) == record
    assert record.pop("lines") >= record["users"]  # which the function has counted itself
    return [by_function, (record, outputs_of(run))]


@pytest.mark.parametrize(
    ("seed", "keep", "has_filters", "asks"),
    [(1, 25, True, False), (2, 3, True, True), (3, 1, False, False)],
)
def test_function_and_spark_job_write_the_same_bytes(
    run: Run, seed: int, keep: int, has_filters: bool, asks: bool
) -> None:
    chance = random.Random(seed)
    for path, content in odd_files(chance).items():
        put(run, path, content)
    put(run, "batch-output/_CHECK", "no output")
    users = [*IDS, *(f"user-{number}" for number in range(2_000)), "5", "2", "📚", "never seen"]
    excluded = [(chance.choice(users), chance.choice(IDS)) for _ in range(9_000)]
    filters = put_filters(run, IDS, [*excluded, ("1.5", "a,b")]) if has_filters else None
    asked_for = [user for number, user in enumerate(users) if number % 7]
    if asks:
        requests = [json.dumps({"userId": user}) for user in asked_for]
        put(run, "batch-input/part-0.json", "\n".join(requests[:700]) + "\n")
        put(run, "batch-input/part-1.json", "\n".join(requests[700:]) + "\n")
    manifest = put_manifest(run, filter=filters, batchInput={"path": "batch-input/"})

    by_function, by_spark = filtered_by_both(run, manifest, keep)

    assert by_spark[0] == by_function[0]
    assert by_spark[1][ERRORS] == by_function[1][ERRORS]
    assert by_spark[1][LIST] == by_function[1][LIST]
    counts, files = by_spark
    assert counts["errorLines"] > 30
    assert (b"the batch input does not ask for user-" in files[ERRORS]) is asks
    assert counts["users"] > 500
    assert (counts["dropped"]["excluded"] > 100) is has_filters
    assert files[LIST].count(b"\n") > counts["recommendations"]
    assert files[ERRORS].count(b"\n") == counts["errorLines"]


def test_a_user_s_second_line_is_an_error_line(run: Run) -> None:
    """In another file too, and of a line that gives no rows; error lines are no first ones."""
    first, second = '{"input": {"userId": "1"}, "error": "busy"}', line("2", ["a"])
    put(run, "batch-output/a.out", "\n".join([first, line("1", ["a"]), line("3", []), second]))
    put(run, "batch-output/b.out", "\n".join([line("1", ["b"]), second, line("3", ["a"]), first]))

    by_function, by_spark = filtered_by_both(run, put_manifest(run), 25)

    assert by_spark == by_function
    counts, files = by_spark
    assert (counts["users"], counts["errorLines"]) == (2, 5)
    assert files[LIST] == b"USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n2,a,1,\n"
    assert [json.loads(error)["reason"] for error in files[ERRORS].splitlines()] == [
        "busy",
        "an earlier line has the list of 1",
        "an earlier line has the list of 2",
        "an earlier line has the list of 3",
        "busy",
    ]


def test_related_items_have_their_own_header(run: Run) -> None:
    put(
        run,
        "batch-output/a.out",
        '{"input": {"itemId": "105"}, "output": {"recommendedItems": ["1"]}}',
    )
    manifest = put_manifest(run, batchInput={"path": "batch-input/", "rows": 1, "id": "ITEM_ID"})

    by_function, by_spark = filtered_by_both(run, manifest, 25)

    assert by_spark == by_function
    assert by_spark[1][LIST] == b"ITEM_ID,RELATED_ITEM_ID,RANK,SCORE\n105,1,1,\n"


def test_filter_lists_without_rows_may_have_no_file(run: Run) -> None:
    put(run, "batch-output/a.out", line("1", ["a"]))
    without = {"path": "filter/nowhere/", "rows": 0}

    manifest = put_manifest(run, filter={"exclusions": without})
    by_function, by_spark = filtered_by_both(run, manifest, 25)
    assert by_spark == by_function
    assert by_spark[0]["recommendations"] == 1

    put_manifest(run, filter={"eligibleItems": without})
    record = filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    assert (record["csv"], record["dropped"]["ineligible"]) == ("", 1)


class Personalize:
    """A fake of Personalize that knows one batch inference job."""

    def describe_batch_inference_job(self, **_: Any) -> Any:
        return {"batchInferenceJob": {"solutionVersionArn": VERSION}}


def publish_filtered(run: Run, **job: Any) -> dict[str, Any]:
    event = {
        "bucket": BUCKET,
        "run": run.folder.run,
        "batchInferenceJobArn": JOB,
        "keep": 25,
        "leastDifferentLists": 0.01,
        "job": {"arn": JOB, **job},
    }
    return publish(run.s3, Personalize(), None, event, now=datetime(2024, 6, 1, 4, tzinfo=UTC))


def latest(run: Run) -> Any:
    body = run.s3.get_object(Bucket=BUCKET, Key="recommendations/latest.json")["Body"].read()
    return json.loads(body)


def test_what_spark_filtered_is_published_as_what_the_function_did(run: Run) -> None:
    put(run, "batch-output/a.out", line("1", ["a", "b"], [0.5, 0.25]))
    put_manifest(run)

    by_function = publish_filtered(run)
    assert latest(run) == by_function
    (text,) = (outputs_of(run)[LIST],)
    filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    by_spark = publish_filtered(run, filtered={"JobRunId": "jr_1"})

    assert by_spark == by_function == latest(run)
    assert json.loads(run.text("record/publication.json")) == by_function
    assert outputs_of(run)[LIST] == text == b"USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,0.5\n1,b,2,0.25\n"


def test_the_lists_of_the_best_model_are_read_from_its_folder(run: Run) -> None:
    put(run, "batch-output/a.out", line("1", ["a"]))
    put(run, "models/own/batch-output/a.out", line("1", ["b"]))
    put_manifest(run)

    filter_lists(run.runtime(SPEC), keep=25, log=run.log.append, output="models/own/batch-output/")

    assert outputs_of(run)[LIST] == b"USER_ID,ITEM_ID,RANK,SCORE\n1,b,1,\n"


def test_an_older_list_that_spark_filtered_is_not_published(run: Run) -> None:
    put(run, "batch-output/a.out", line("1", ["a"]))
    put_manifest(run)
    newer = {"run": "newer", "extractedAt": "2024-06-01T03:10:01Z"}
    run.s3.put_object(
        Bucket=BUCKET, Key="recommendations/latest.json", Body=json.dumps(newer).encode()
    )
    filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)

    with pytest.raises(NewerListPublished, match=r"^the list of run 'newer' is published"):
        publish_filtered(run, filtered={"JobRunId": "jr_1"})
    assert latest(run) == newer


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (["broken"], NoRecommendations, "nothing is left to recommend: each line is an error"),
        (
            [line(str(n), ["a", "b"]) for n in range(300)],
            ListsAlike,
            "300 of 300 users have the same",
        ),
    ],
)
def test_a_useless_list_is_refused_on_both_ways_alike(
    run: Run, lines: list[str], error: type[Exception], message: str
) -> None:
    put(run, "batch-output/a.out", "\n".join(lines))
    put_manifest(run)

    def refusal(publishing: Callable[[], Any]) -> tuple[str, dict[str, bytes]]:
        with pytest.raises(error, match=message) as caught:
            publishing()
        return str(caught.value), outputs_of(run)

    def by_spark() -> None:
        filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
        publish_filtered(run, filtered={"JobRunId": "jr_1"})

    why, files = refusal(lambda: publish_filtered(run))
    why_by_spark, files_by_spark = refusal(by_spark)
    assert why_by_spark == why
    assert [*files] == [ERRORS]
    assert files_by_spark[ERRORS] == files[ERRORS]
    assert "recommendations/latest.json" not in [
        item["Key"] for item in run.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    ]


def test_a_run_without_batch_output_or_manifest_is_refused(run: Run) -> None:
    with pytest.raises(
        EtlError, match=r"manifest\.json is not there: the Spark job did not finish"
    ):
        filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    put(run, "manifest.json", "{")
    with pytest.raises(EtlError, match=r"manifest\.json is no manifest: .*; start a new execution"):
        filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    put_manifest(run)
    put(run, "batch-output/_CHECK", "")
    with pytest.raises(EtlError, match=r"^no \.out file at s3://.*/batch-output/: did batch"):
        filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    assert RECORD not in run.objects()


def test_an_upload_that_breaks_off_leaves_no_list_and_no_record(run: Run) -> None:
    put(run, "batch-output/a.out", line("1", ["a"]))
    put_manifest(run)

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith(".csv"):
            raise OSError("no connection")

    run.s3.meta.events.register("before-parameter-build.s3.PutObject", refuse)
    with pytest.raises(OSError, match="no connection"):
        filter_lists(run.runtime(SPEC), keep=25, log=run.log.append)
    assert [path for path in run.objects() if path in {LIST, RECORD}] == []
