"""From batch output to the published CSV."""

import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas.errors import (
    IncompleteInput,
    InvalidInputException,
    LinesDoNotMatch,
    ListsAlike,
    NoRecommendations,
    ResourceNotFoundException,
)
from lambdas.filter_recommendations import RunFiles, filter_recommendations, publish
from tests.lambdas.sample_run import ARN, MANIFEST, RUN, SOLUTION, get, keys, put


def output_line(user: str, items: list[str], scores: list[float] | None = None) -> str:
    """Return a line of batch output."""
    output: dict[str, Any] = {"recommendedItems": items}
    if scores is not None:
        output["scores"] = scores
    return json.dumps({"input": {"userId": user}, "output": output, "error": None}) + "\n"


def run_filter(
    s3: Any, directory: Path, *, keep: int = 25, manifest: Any = None, **more: float
) -> dict[str, Any]:
    files = RunFiles(s3, "bucket", RUN)
    return filter_recommendations(files, manifest or {}, keep=keep, directory=directory, **more)


def csv_of(s3: Any) -> str:
    return get(s3, f"runs/{RUN}/recommendations/recommendations.csv")


def filters(eligible: int, excluded: int) -> dict[str, Any]:
    """Return what a manifest says of the filter files, by their rows."""
    return {
        "filter": {
            "eligibleItems": {"path": "filter/eligible-items/", "rows": eligible},
            "exclusions": {"path": "filter/exclusions/", "rows": excluded},
        }
    }


def test_the_csv_holds_what_may_be_recommended_with_ranks_without_gaps(
    s3: Any, tmp_path: Path
) -> None:
    put(s3, "filter/eligible-items/part-00000.csv", "ITEM_ID\na\nb\n")
    put(s3, "filter/eligible-items/part-00001.csv", "ITEM_ID\nc\nd\n")
    put(s3, "filter/exclusions/part-00000.csv", "USER_ID,ITEM_ID\n1,b\n")
    put(s3, "filter/exclusions/part-00001.csv", "USER_ID,ITEM_ID\n2,a\n1,b\n")
    put(
        s3,
        "batch-output/part-00000.json.out",
        output_line("2", ["ITEM_ID", "a", "d", "c"], [0.9, 0.8, 0.7, 0.1])
        + output_line("1", ["a", "b", "c", "d"], [0.4, 0.3, 0.2, 0.1]),
    )

    assert run_filter(s3, tmp_path, keep=2, manifest=filters(4, 3)) == {
        "csv": "s3://bucket/runs/2024-06-01/recommendations/recommendations.csv",
        "errors": "s3://bucket/runs/2024-06-01/recommendations/errors.jsonl",
        "users": 2,
        "differentLists": 1,
        "recommendations": 4,
        "errorLines": 0,
        "dropped": {"ineligible": 1, "excluded": 2},
    }
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n2,d,1,0.7\n2,c,2,0.1\n1,a,1,0.4\n1,c,2,0.2\n"
    assert get(s3, f"runs/{RUN}/recommendations/errors.jsonl") == ""


def test_an_item_is_recommended_once_with_its_first_score(s3: Any, tmp_path: Path) -> None:
    put(
        s3, "batch-output/in.json.out", output_line("1", ["a", "b", "a", "c"], [0.9, 0.5, 0.3, 0.1])
    )

    assert run_filter(s3, tmp_path)["recommendations"] == 3
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,0.9\n1,b,2,0.5\n1,c,3,0.1\n"


def test_scores_may_be_absent_and_small(s3: Any, tmp_path: Path) -> None:
    put(
        s3,
        "batch-output/in.json.out",
        output_line("1", ["a", "b"]) + output_line("2", ["a"], [1e-7]),
    )

    run_filter(s3, tmp_path)
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n1,b,2,\n2,a,1,1e-07\n"


def test_ids_of_any_characters_survive_and_match_the_filters(s3: Any, tmp_path: Path) -> None:
    """The lists are written as the data sets are: a backslash escapes quotes and backslashes."""
    nasty = ["a,b", 'say "hi"', "求人📚", " spaced ", "back\\slash"]
    eligible = r"""ITEM_ID
"a,b"
"say \"hi\""
求人📚
" spaced "
"back\\slash"
out
"""
    put(s3, "filter/eligible-items/part-00000.csv", eligible)
    put(s3, "filter/exclusions/part-00000.csv", 'USER_ID,ITEM_ID\n"学生,1",out\n')
    put(s3, "batch-output/in.json.out", output_line("学生,1", [*nasty, "out"]))

    run_filter(s3, tmp_path, manifest=filters(6, 1))
    assert csv_of(s3) == (
        "USER_ID,ITEM_ID,RANK,SCORE\n"
        '"学生,1","a,b",1,\n'
        '"学生,1","say ""hi""",2,\n'
        '"学生,1",求人📚,3,\n'
        '"学生,1", spaced ,4,\n'
        '"学生,1",back\\slash,5,\n'
    )


def test_a_carriage_return_is_quoted(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/in.json.out", output_line("1", ["a\rb", "c\r\nd"]))

    run_filter(s3, tmp_path)
    assert csv_of(s3) == 'USER_ID,ITEM_ID,RANK,SCORE\n1,"a\rb",1,\n1,"c\r\nd",2,\n'


def test_several_files_are_read_in_order_and_others_are_not(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/part-00001.json.out", output_line("2", ["b"]).rstrip("\n"))
    put(s3, "batch-output/part-00000.json.out", output_line("1", ["a"]).rstrip("\n"))
    put(s3, "batch-output/_CHECK", "no JSON")

    assert run_filter(s3, tmp_path)["users"] == 2
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n2,b,1,\n"


BAD_LINES = {
    '{"input":{"userId":"9"},"output":null,"error":"no such user"}': "no such user",
    '{"input":{"userId":"9"},"output":null}': "neither error nor recommendedItems",
    '{"input":{"userId":"9"},"output":{}}': "neither error nor recommendedItems",
    '{"input":{},"output":{"recommendedItems":["a"]}}': "no userId",
    '{"input":"9","output":{"recommendedItems":["a"]}}': "no userId",
    '{"input":{"userId":"9"},"output":["a"]}': "neither error nor recommendedItems",
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":[1,2]}}': (
        "1 items, but 2 scores"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":"abc"}}': (
        "recommendedItems is no list of texts, as ids are"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a",["b"]]}}': (
        "recommendedItems is no list of texts, as ids are"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":["0.5"]}}': (
        "scores is no list of numbers"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":0.5}}': (
        "scores is no list of numbers"
    ),
    **{
        f'{{"input":{{"userId":"9"}},"output":{{"recommendedItems":["a"],"scores":[{score}]}}}}': (
            "scores is no list of numbers"
        )
        for score in ("NaN", "Infinity", "1e999", "true", "[1]", "9" * 400)
    },
    '{"input":{"userId":{"id":"9"}},"output":{"recommendedItems":["a"]}}': "dict is no id",
    '{"input":{"userId":true},"output":{"recommendedItems":["a"]}}': "bool is no id",
    '{"error":"half \\ud83d"}': "half \\ud83d",
    "[" * 100_000: "no JSON: maximum recursion depth exceeded",
    '{"input":{"userId":' + "9" * 5_000 + "}}": "no JSON: Exceeds the limit",
    "[]": "no JSON object",
    '{"input":{"userId":"9"},"out': "no JSON: Unterminated string starting at",
    '{"input":{"userId":"9\\ud83d"},"output":{"recommendedItems":["a"]}}': (
        "an id holds half a character: '9\\ud83d'"
    ),
}


def test_lines_without_recommendations_are_kept_aside_with_the_reason(
    s3: Any, tmp_path: Path
) -> None:
    lines = [
        output_line("1", ["a"]),
        *(f"{line}\n" for line in BAD_LINES),
        "\n",
        output_line("2", ["b"]),
    ]
    put(s3, "batch-output/in.json.out", "".join(lines))

    summary = run_filter(s3, tmp_path)
    assert (summary["users"], summary["errorLines"]) == (2, len(BAD_LINES))
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n2,b,1,\n"
    errors = get(s3, f"runs/{RUN}/recommendations/errors.jsonl").splitlines()
    written = [json.loads(line) for line in errors]
    assert [error["line"] for error in written] == list(BAD_LINES)
    for error, reason in zip(written, BAD_LINES.values(), strict=True):
        assert error["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "eligible-items",
            "ITEM_ID\na\n",
            "filter/eligible-items/ holds 1 lines, and 2 by the run's",
        ),
        ("eligible-items", "ITEM_ID\na\nb\nc\n", "holds 3 lines, and 2 by the run's manifest.json"),
        ("exclusions", None, "filter/exclusions/ holds 0 lines, and 2 by the run's manifest.json"),
        ("exclusions", "USER_ID,ITEM_ID\n1,a\n", "holds 1 lines, and 2 by"),
    ],
)
def test_filter_files_that_are_not_whole_publish_nothing(
    s3: Any, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    whole = {"eligible-items": "ITEM_ID\na\nb\n", "exclusions": "USER_ID,ITEM_ID\n1,a\n2,b\n"}
    for name, text in (whole | {file: content}).items():
        if text is not None:
            put(s3, f"filter/{name}/part-00000.csv", text)
    put(s3, "batch-output/in.json.out", output_line("1", ["a", "b"]))

    with pytest.raises(IncompleteInput) as error:
        run_filter(s3, tmp_path, manifest=filters(2, 2))
    assert message in str(error.value)
    assert not keys(s3, f"runs/{RUN}/recommendations/recommendations.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"USER_ID,ITEM_ID\n1,a\n2\n", "line 3: 1 ids, not 2"),
        (b"USER_ID,ITEM_ID\n1,a,b\n", "line 2: 3 ids, not 2"),
        (b"<html>\n", "line 1: 1 ids, not 2"),
        (b"USER_ID,ITEM_ID\n1,", "line 2: 1 ids, not 2"),
        (b"USER_ID,ITEM_ID\n\xff,a\n", "line 1: 'utf-8' codec can't decode byte 0xff"),
        (b'USER_ID,ITEM_ID\n"1,a\n', "unexpected end of data"),
    ],
)
def test_a_filter_file_that_is_none_is_named_with_its_line(
    s3: Any, tmp_path: Path, content: bytes, message: str
) -> None:
    put(s3, "filter/eligible-items/part-00000.csv", "ITEM_ID\na\n")
    put(s3, "filter/exclusions/part-00000.csv", content)
    put(s3, "batch-output/in.json.out", output_line("1", ["a", "b"]))

    with pytest.raises(InvalidInputException) as error:
        run_filter(s3, tmp_path, manifest=filters(1, 1))
    assert str(error.value).startswith(f"s3://bucket/runs/{RUN}/filter/exclusions/part-00000.csv,")
    assert message in str(error.value)


@pytest.mark.parametrize("lines", [1, 4])
def test_a_batch_output_of_other_lines_than_the_input_is_not_published(
    s3: Any, personalize: Any, calls: Stubber, lines: int
) -> None:
    """One of three users, or files of another run: by whichever the lists were filtered."""
    put(s3, "manifest.json", json.dumps({**MANIFEST, "batchInput": {"rows": 3}}))
    output = "".join(output_line(str(user), ["a"]) for user in range(lines))
    put(s3, "batch-output/in.json.out", output)
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"yesterday's")

    with pytest.raises(IncompleteInput, match=f"holds {lines} lines, and 3 by the run's"):
        publish_run(s3, personalize, calls)
    assert get(s3, "recommendations/latest.json") == "yesterday's"


def test_a_user_s_second_line_is_an_error_line(s3: Any, tmp_path: Path) -> None:
    """A reader of the list expects one of each user, with ranks that begin once."""
    put(s3, "batch-output/a.out", output_line("1", ["a", "b"]) + output_line("2", ["a"]))
    put(s3, "batch-output/b.out", output_line("1", ["c"]))

    summary = run_filter(s3, tmp_path)

    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n1,b,2,\n2,a,1,\n"
    assert (summary["users"], summary["recommendations"], summary["errorLines"]) == (2, 3, 1)
    error = json.loads(get(s3, f"runs/{RUN}/recommendations/errors.jsonl"))
    assert error["reason"] == "an earlier line has the list of 1"
    assert json.loads(error["line"])["output"]["recommendedItems"] == ["c"]


def test_a_line_of_a_user_whom_nobody_asked_for_is_an_error_line(s3: Any, tmp_path: Path) -> None:
    """A model of one's own may write others than it was asked for."""
    put(s3, "batch-input/part-0.json", '{"userId":"1"}\n')
    put(s3, "batch-input/part-1.json", '{"userId":"\\u6c42"}\n')
    output = [output_line("1", ["a"]), output_line("2", ["a"]), output_line("\u6c42", ["b"])]
    put(s3, "batch-output/a.out", "".join(output))

    manifest = {"batchInput": {"path": "batch-input/", "rows": 2}}
    summary = run_filter(s3, tmp_path, manifest=manifest)

    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n\u6c42,b,1,\n"
    assert (summary["users"], summary["errorLines"]) == (2, 1)
    error = json.loads(get(s3, f"runs/{RUN}/recommendations/errors.jsonl"))
    assert error["reason"] == "the batch input does not ask for 2"


def test_a_batch_input_that_the_spark_job_has_not_written_is_refused(
    s3: Any, tmp_path: Path
) -> None:
    put(s3, "batch-input/part-0.json", '{"userId":"1"}\n[1]\n')
    put(s3, "batch-output/a.out", output_line("1", ["a"]))

    with pytest.raises(InvalidInputException, match=r"batch-input/part-0\.json, line 2: "):
        run_filter(s3, tmp_path, manifest={"batchInput": {"path": "batch-input/", "rows": 2}})


def test_bytes_that_are_no_text_are_an_error_line(s3: Any, tmp_path: Path) -> None:
    lines = [b'{"input":{"userId":"\xff"}}', output_line("1", ["a"]).encode()]
    put(s3, "batch-output/in.json.out", b"\n".join(lines))

    summary = run_filter(s3, tmp_path)
    assert (summary["users"], summary["errorLines"]) == (1, 1)
    error = json.loads(get(s3, f"runs/{RUN}/recommendations/errors.jsonl"))
    assert error["reason"].startswith("no UTF-8: 'utf-8' codec can't decode byte 0xff in position")
    assert error["line"] == r'{"input":{"userId":"\xff"}}'


def test_no_batch_output_is_reported(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/_CHECK", "")

    with pytest.raises(
        ResourceNotFoundException,
        match=r"no \.out file at s3://bucket/runs/2024-06-01/batch-output/",
    ):
        run_filter(s3, tmp_path)


def publish_run(s3: Any, personalize: Any, calls: Stubber) -> dict[str, Any]:
    calls.add_response(
        "describe_batch_inference_job",
        {"batchInferenceJob": {"solutionVersionArn": f"{SOLUTION}/1"}},
        {"batchInferenceJobArn": f"{ARN}batch-inference-job/j"},
    )
    event = {
        "bucket": "bucket",
        "run": RUN,
        "keep": 25,
        "leastDifferentLists": 0.01,
        "batchInferenceJobArn": f"{ARN}batch-inference-job/j",
    }
    return publish(s3, personalize, None, event, now=datetime(2024, 6, 1, 4, 0, 7, tzinfo=UTC))


def test_a_finished_run_is_published(s3: Any, personalize: Any, calls: Stubber) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST | {"filter": {"exclusions": None}}))
    put(s3, "batch-output/in.json.out", output_line("1", ["a"], [0.5]))

    latest = publish_run(s3, personalize, calls)

    assert latest == {
        "run": "2024-06-01",
        "csv": "s3://bucket/runs/2024-06-01/recommendations/recommendations.csv",
        "errors": "s3://bucket/runs/2024-06-01/recommendations/errors.jsonl",
        "users": 1,
        "differentLists": 0,
        "recommendations": 1,
        "errorLines": 0,
        "dropped": {"ineligible": 0, "excluded": 0},
        "solutionVersionArn": f"{SOLUTION}/1",
        "extractedAt": "2024-06-01T03:10:00Z",
        "createdAt": "2024-06-01T04:00:07Z",
    }
    assert json.loads(get(s3, f"runs/{RUN}/record/publication.json")) == latest
    assert json.loads(get(s3, "recommendations/latest.json")) == latest


def test_the_published_list_stays_when_nothing_is_left(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST | filters(0, 0)))
    put(s3, "filter/eligible-items/part-00000.csv", "ITEM_ID\n")
    put(s3, "batch-output/in.json.out", output_line("1", ["a"]) + "broken\n")
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"yesterday's")

    with pytest.raises(NoRecommendations, match="1 error lines, 1 items not eligible, 0 excluded"):
        publish_run(s3, personalize, calls)
    assert get(s3, "recommendations/latest.json") == "yesterday's"
    assert keys(s3, f"runs/{RUN}/recommendations/") == [
        "runs/2024-06-01/recommendations/errors.jsonl"
    ]
    assert get(s3, f"runs/{RUN}/recommendations/errors.jsonl") == (
        '{"reason": "no JSON: Expecting value: line 1 column 1 (char 0)", "line": "broken"}\n'
    )


def test_a_list_of_which_all_lines_are_errors_says_where_the_reasons_are(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/in.json.out", "broken\nbroken\n")

    with pytest.raises(
        NoRecommendations, match=r"each line is an error \(2\), and the run's recomm"
    ):
        publish_run(s3, personalize, calls)


def test_related_items_are_published_by_item(s3: Any, tmp_path: Path) -> None:
    """The developer guide's output of a recipe of related items, which has no scores."""
    put(
        s3,
        "batch-output/part-00000.json.out",
        '{"input": {"itemId": "105"}, "output": {"recommendedItems": ["106", "107", "49"]}}\n'
        '{"input": {"itemId": "106"}, "output": {"recommendedItems": ["105", "107", "49"]}}\n',
    )
    manifest = {"batchInput": {"path": "batch-input/", "rows": 2, "id": "ITEM_ID"}}

    assert run_filter(s3, tmp_path, keep=2, manifest=manifest)["recommendations"] == 4
    assert csv_of(s3) == (
        "ITEM_ID,RELATED_ITEM_ID,RANK,SCORE\n105,106,1,\n105,107,2,\n106,105,1,\n106,107,2,\n"
    )


@pytest.mark.parametrize(("least", "is_published"), [(0.01, False), (0.0, True)])
def test_one_list_for_all_users_is_not_published(
    s3: Any, tmp_path: Path, least: float, is_published: bool
) -> None:
    """It happens where the users of the batch input are none that the model knows."""
    lists = [["x", "y"], *[["a", "b"]] * 299]
    lines = (output_line(str(user), items) for user, items in enumerate(lists))
    put(s3, "batch-output/part-00000.json.out", "".join(lines))
    if is_published:
        assert run_filter(s3, tmp_path, least_different=least)["differentLists"] == 1
        return
    with pytest.raises(ListsAlike, match=r"^299 of 300 users have the same list"):
        run_filter(s3, tmp_path, least_different=least)
    assert keys(s3, f"runs/{RUN}/recommendations/") == [
        "runs/2024-06-01/recommendations/errors.jsonl"
    ]


def test_the_published_list_stays_when_a_file_cannot_be_written(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/in.json.out", output_line("1", ["a"]))
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"yesterday's")

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith("errors.jsonl"):
            raise OSError("no connection")

    s3.meta.events.register("before-parameter-build.s3.PutObject", refuse)

    with pytest.raises(OSError, match="no connection"):
        publish_run(s3, personalize, calls)
    assert get(s3, "recommendations/latest.json") == "yesterday's"


def test_an_upload_that_breaks_off_leaves_nothing(s3: Any) -> None:

    class BreaksOff:
        """A file that fails after three parts of a multipart upload."""

        left = 24 << 20

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            if self.left < 0:
                raise EOFError("batch output ended early")
            return b"x" * size

    with pytest.raises(EOFError, match="ended early"):
        RunFiles(s3, "bucket", RUN).upload("recommendations/recommendations.csv", BreaksOff())
    assert keys(s3) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


class EndlessS3:
    """A fake S3 that makes batch output and exclusions while they are read."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.uploaded = 0

    def get_paginator(self, _operation: str) -> Any:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Any:  # noqa: N803  as S3 spells it
        return [{"Contents": [{"Key": f"{Prefix}part-00000.out"}]}]

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        return {"Body": self if "batch-output" in Key else Pairs(self.lines)}

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        items = [f"posting-{number:06d}" for number in range(25)]
        for number in range(self.lines):
            yield output_line(f"student-{number:06d}", items).encode()

    def close(self) -> None:
        """Release nothing: the body is in memory."""

    def upload_fileobj(self, content: Any, _bucket: str, key: str, **_: Any) -> None:
        while chunk := content.read(1 << 16):
            self.uploaded += len(chunk) if key.endswith(".csv") else 0


class Pairs(EndlessS3):
    """A body of two excluded pairs for each user."""

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        yield b"USER_ID,ITEM_ID\n"
        for number in range(self.lines):
            yield b"student-%06d,posting-000003\nstudent-%06d,posting-000004\n" % (number, number)


def test_memory_does_not_grow_with_users_or_exclusions(tmp_path: Path) -> None:
    manifest = {"filter": {"exclusions": {"path": "filter/exclusions/"}}}
    peaks = []
    for lines in (500, 4_000):
        directory = tmp_path / str(lines)
        directory.mkdir()
        s3 = EndlessS3(lines)
        tracemalloc.start()
        summary = filter_recommendations(
            RunFiles(s3, "bucket", RUN), manifest, keep=25, directory=directory
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert summary["recommendations"] == 23 * lines
        assert s3.uploaded > 23 * lines * len("student-000000,posting-000000,1,\n")

    assert peaks[1] < 1.2 * peaks[0]


OF_A_JOB = {"bucket": "bucket", "run": RUN, "keep": 1, "leastDifferentLists": 0.0}


def test_a_list_of_a_model_of_ones_own_names_its_training(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    """Personalize is not asked: the execution has what is published of the model."""
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/part-00000.json.out", output_line("1", ["a", "b"], [0.4, 0.3]))
    model = {"name": "own", "trainingJobArn": "arn:training", "data": "s3://bucket/model.tar.gz"}
    event = {**OF_A_JOB, "job": {"name": "x-1", "model": model}}

    latest = publish(s3, personalize, None, event, now=datetime(2024, 6, 1, 4, tzinfo=UTC))

    assert latest["model"] == model
    assert "solutionVersionArn" not in latest
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,0.4\n"
    assert json.loads(get(s3, "recommendations/latest.json")) == latest


def test_a_job_of_which_no_model_is_known_is_personalizes(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/part-00000.json.out", output_line("1", ["a"]))
    arn = f"{ARN}batch-inference-job/j"
    calls.add_response(
        "describe_batch_inference_job",
        {"batchInferenceJob": {"solutionVersionArn": f"{SOLUTION}/1"}},
        {"batchInferenceJobArn": arn},
    )
    event = {**OF_A_JOB, "job": {"arn": arn}}

    latest = publish(s3, personalize, None, event, now=datetime(2024, 6, 1, 4, tzinfo=UTC))

    assert latest["solutionVersionArn"] == f"{SOLUTION}/1"


def test_the_lists_of_the_best_model_are_in_the_folder_that_its_job_names(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    """What the gate found wrong is Personalize's, and not the published model's."""
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/part-00000.json.out", output_line("1", ["of-personalize"]))
    put(s3, "models/own/batch-output/part-00000.json.out", output_line("1", ["of-own"]))
    put(s3, "record/gate.json", json.dumps({"degraded": True, "reason": "coverage is 0.1"}))
    job = {"model": {"name": "own"}, "output": "models/own/batch-output/"}
    event = {**OF_A_JOB, "gate": True, "job": job}

    latest = publish(s3, personalize, None, event, now=datetime(2024, 6, 1, 4, tzinfo=UTC))

    assert latest["model"] == {"name": "own"}
    assert "degraded" not in latest
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,of-own,1,\n"


@pytest.mark.parametrize("lines", [1, 3])
def test_lists_of_other_lines_than_were_requested_are_not_published(
    s3: Any, personalize: Any, calls: Stubber, lines: int
) -> None:
    """By whichever the lists were filtered: the function, or the Spark job."""
    put(s3, "manifest.json", json.dumps({**MANIFEST, "batchInput": {"rows": 2}}))
    output = "".join(output_line(str(user), ["a"]) for user in range(lines))
    put(s3, "models/own/batch-output/part-00000.json.out", output)
    dropped = {"ineligible": 0, "excluded": 0}
    counts = {"users": 3, "differentLists": 2, "recommendations": 3, "errorLines": 0}
    record = {"csv": "s3://…", "errors": "s3://…", "lines": lines, **counts, "dropped": dropped}
    put(s3, "record/filter.json", json.dumps(record))
    job = {"model": {"name": "own"}, "output": "models/own/batch-output/"}

    for how in ({}, {"filtered": {"JobRunId": "jr_1"}}):
        with pytest.raises(LinesDoNotMatch, match=f"has {lines} lines, and batch-input/ has 2"):
            event = {**OF_A_JOB, "job": {**job, **how}}
            publish(s3, personalize, None, event, now=datetime.now(UTC))
