"""A run's files as DataFrames: types, layouts, and the errors when something is missing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.frames import (
    Run,
    RunFilesError,
    list_runs,
    open_run,
    previous_run,
    read_directory,
)
from localaws.http.endpoint import Endpoint
from workflow import load_config

CONFIG = load_config(Path(__file__).parents[2] / "retraining.toml")
MANIFEST = {
    "version": 1,
    "datasets": {
        "ITEMS": {"path": "items/", "rows": 2, "rejected": {}, "newestTimestamp": None},
        "INTERACTIONS": {
            "path": "interactions/",
            "rows": 3,
            "rejected": {"null id": 1},
            "newestTimestamp": 300,
        },
    },
    "batchInput": {"path": "batch-input/", "rows": 2},
    "filter": {
        "eligibleItems": {"path": "filter/eligible-items/", "rows": 1},
        "exclusions": {"path": "filter/exclusions/", "rows": 1},
    },
}
REJECTED = {"reason": "null id", "column": "USER_ID", "row": {"USER_ID": None, "ITEM_ID": 7}}
FILES = {
    "manifest.json": json.dumps(MANIFEST),
    "items/part-00000.csv": (
        r"""ITEM_ID,INDUSTRY,SALARY,DESCRIPTION
007,"IT, \"soft\"",300,"one\\two"
NA,,,
"""
    ),
    "interactions/part-00000.csv": "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n1,007,100,view\n",
    "interactions/part-00001.csv": (
        "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\nnull,NA,200,view\n1,007,300,apply\n"
    ),
    "filter/eligible-items/part-00000.csv": "ITEM_ID\n007\n",
    "filter/exclusions/part-00000.csv": "USER_ID,ITEM_ID\n1,NA\n",
    "rejected/interactions.json": json.dumps(REJECTED) + "\n",
    "batch-output/part-0.json.out": (
        '{"input": {"userId": "1"}, "output": {"recommendedItems": ["007", "NA"],'
        ' "scores": [0.9, 0.1]}, "error": null}\n'
        '{"input": {"userId": "2"}, "output": null, "error": "unknown"}\n'
    ),
    "batch-output/_CHECK": "",
    "models/own/batch-output/part-0.json.out": (
        '{"input": {"userId": "3"}, "output": {"recommendedItems": ["NA"]}}\n'
    ),
    "recommendations/recommendations.csv": "USER_ID,ITEM_ID,RANK,SCORE\n1,007,1,0.9\n3,NA,1,\n",
}


@pytest.fixture(scope="module")
def s3() -> Iterator:
    """S3 with two whole runs, one that failed in the Spark job, and the list that is published."""
    with Endpoint(account=CONFIG.aws.account, region=CONFIG.aws.region) as endpoint:
        client = endpoint.client("s3")
        client.create_bucket(
            Bucket=CONFIG.bucket,
            CreateBucketConfiguration={"LocationConstraint": CONFIG.aws.region},
        )

        def put(key: str, text: str) -> None:
            client.put_object(Bucket=CONFIG.bucket, Key=key, Body=text.encode())

        for run in ("20240601-aaa", "20240602-bbb"):
            for path, text in FILES.items():
                put(f"runs/{run}/{path}", text)
        put("runs/20240603-ccc/rejected/interactions.json", json.dumps(REJECTED))
        put("recommendations/latest.json", json.dumps({"run": "20240602-bbb"}))
        yield client


@pytest.fixture
def run(s3) -> Run:
    return open_run(CONFIG, s3)


def test_the_latest_run_is_the_published_one_and_previous_the_one_before(s3) -> None:
    assert open_run(CONFIG, s3).name == "20240602-bbb"
    assert open_run(CONFIG, s3, "previous").name == "20240601-aaa"
    assert previous_run(CONFIG, s3).name == "20240601-aaa"
    assert open_run(CONFIG, s3, "20240601-aaa").name == "20240601-aaa"


def test_the_list_of_runs_shows_which_files_each_has(s3) -> None:
    runs = list_runs(s3, CONFIG.bucket).set_index("run")

    assert runs["data sets"].to_dict() == {
        "20240602-bbb": True,
        "20240601-aaa": True,
        "20240603-ccc": False,
    }
    assert runs["recommendations"].to_list() == runs["data sets"].to_list()
    assert runs.index[runs["published"]].to_list() == ["20240602-bbb"]
    assert str(runs["written"].dt.tz) == "UTC"


def test_ids_stay_text_and_columns_have_the_configured_types(run: Run) -> None:
    assert run.items["ITEM_ID"].to_list() == ["007", "NA"]
    assert run.items["DESCRIPTION"][0] == "one\\two"
    assert run.items["INDUSTRY"][0] == 'IT, "soft"'
    assert run.items["SALARY"].dtype == "Int64"
    assert run.items.loc[1, ["INDUSTRY", "SALARY"]].isna().all()
    assert run.interactions["USER_ID"].to_list() == ["1", "null", "1"]
    assert run.interactions["TIMESTAMP"].dtype == "int64"


def test_the_files_of_a_data_set_are_read_as_one(run: Run) -> None:
    assert run.interactions["TIMESTAMP"].to_list() == [100, 200, 300]
    assert run.newest_event == 300


def test_a_data_set_that_is_not_configured_is_empty_and_has_its_id(run: Run) -> None:
    assert run.users.columns.to_list() == ["USER_ID"]
    assert run.users.empty


def test_lists_and_filter_files_are_read(run: Run) -> None:
    assert run.recommendations["RANK"].to_list() == [1, 1]
    assert run.recommendations["ITEM_ID"].to_list() == ["007", "NA"]
    assert run.recommendations["SCORE"].isna().to_list() == [False, True]
    assert run.eligible_items == {"007"}
    assert run.exclusions.to_dict("records") == [{"USER_ID": "1", "ITEM_ID": "NA"}]


def test_the_lists_of_each_model_are_read_as_it_made_them(run: Run) -> None:
    personalize, own = run.lists_of(), run.lists_of("own")

    assert personalize.to_numpy().tolist() == [["1", "007", 1, 0.9], ["1", "NA", 2, 0.1]]
    assert own[["USER_ID", "ITEM_ID", "RANK"]].to_numpy().tolist() == [["3", "NA", 1]]
    assert own["SCORE"].isna().all()
    with pytest.raises(RunFilesError, match="models/other/batch-output/ is not there; the model"):
        run.lists_of("other")


def test_rejected_rows_are_read(run: Run) -> None:
    assert run.rejected.to_dict("records") == [{"data set": "INTERACTIONS", **REJECTED}]


def test_a_misspelt_run_gets_a_proposal(s3) -> None:
    with pytest.raises(RunFilesError, match=r"run '20240602-bb'.*did you mean '20240602-bbb'\?"):
        open_run(CONFIG, s3, "20240602-bb")


def test_a_run_without_a_manifest_is_reported_as_unfinished(s3) -> None:
    failed = open_run(CONFIG, s3, "20240603-ccc")

    with pytest.raises(RunFilesError, match=r"manifest.json is not there; the Spark job did not"):
        failed.interactions  # noqa: B018  reads on access
    with pytest.raises(RunFilesError, match="has not published any lists"):
        failed.recommendations  # noqa: B018
    assert len(failed.rejected) == 1, "its rejected rows can still be read"


def test_a_bucket_that_is_not_there_asks_whether_the_workflow_is_deployed(s3) -> None:
    with pytest.raises(RunFilesError, match=r"s3://elsewhere/runs/: .*is the workflow deployed"):
        list_runs(s3, "elsewhere")


def test_without_a_run_the_error_names_the_command_that_starts_one(s3) -> None:
    s3.create_bucket(
        Bucket="empty", CreateBucketConfiguration={"LocationConstraint": CONFIG.aws.region}
    )
    config = CONFIG.model_copy(update={"aws": CONFIG.aws.model_copy(update={"bucket": "empty"})})

    with pytest.raises(RunFilesError, match="'retrain start' begins one"):
        previous_run(config, s3)


def test_a_copy_of_a_run_in_a_directory_reads_the_same(run: Run, tmp_path: Path) -> None:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8", newline="")

    copy = read_directory(tmp_path, CONFIG)

    assert copy.items.equals(run.items)
    assert copy.interactions.equals(run.interactions)
    assert copy.recommendations.equals(run.recommendations)


def test_the_files_of_a_local_run_have_lists_but_no_data_sets(tmp_path: Path) -> None:
    (tmp_path / "recommendations.csv").write_text("USER_ID,ITEM_ID,RANK,SCORE\n1,2,1,0.5\n")

    run = read_directory(tmp_path)

    assert run.recommendations["ITEM_ID"].to_list() == ["2"]
    with pytest.raises(RunFilesError, match="output/ holds results alone; read the run from S3"):
        run.interactions  # noqa: B018


def test_a_file_that_does_not_fit_the_schema_is_named(s3) -> None:
    key, columns = "runs/20240604-ddd/interactions/part-00000.csv", "USER_ID,ITEM_ID,TIMESTAMP"
    s3.put_object(
        Bucket=CONFIG.bucket, Key="runs/20240604-ddd/manifest.json", Body=json.dumps(MANIFEST)
    )
    s3.put_object(Bucket=CONFIG.bucket, Key=key, Body=f"{columns}\n1,7,soon\n".encode())
    with pytest.raises(RunFilesError, match=r"ddd/interactions/ does not fit the schema: .*soon"):
        _ = open_run(CONFIG, s3, "20240604-ddd").interactions
    for path in ("manifest.json", "interactions/part-00000.csv"):
        s3.delete_object(Bucket=CONFIG.bucket, Key=f"runs/20240604-ddd/{path}")


def test_a_missing_directory_is_reported_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(RunFilesError, match="retrain local run --output"):
        read_directory(tmp_path / "nowhere")


def test_related_items_are_lists_of_an_item(tmp_path: Path) -> None:
    text = "ITEM_ID,RELATED_ITEM_ID,RANK,SCORE\n007,NA,1,\n"
    (tmp_path / "recommendations.csv").write_text(text)
    (row,) = read_directory(tmp_path).recommendations.to_dict("records")
    assert (row["USER_ID"], row["ITEM_ID"], row["RANK"]) == ("007", "NA", 1)
