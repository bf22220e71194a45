"""A whole local run of two recommenders on tiny data: both are trained, both lists are there."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.frames import read_directory
from retrain.local.run import run_locally
from retrain.local.sample_size import SampleSize
from tests.local_runs import EXAMPLE, RecordingView
from workflow import parse_config

pytestmark = pytest.mark.usefixtures("warm_java")

SIMILAR = """
[recommenders.similar]
solution = { recipe = "aws-similar-items" }

[recommenders.similar.batch_inference]
table = "job_postings"
item_id = "job_postings.id"
num_results = 30

[recommenders.similar.filter]
keep = 4

[recommenders.similar.filter.eligible_items]
table = "job_postings"
filter = "job_postings.status = 'open'"
item_id = "job_postings.id"
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("output")
    outcome = run_locally(
        parse_config(EXAMPLE.replace("keep = 25", "keep = 5") + SIMILAR),
        output=output,
        database_url=None,
        sample=SampleSize(students=60, postings=40, events=4_000),
        view=RecordingView(),
    )
    assert outcome.failure is None, outcome.failure
    assert output / "recommenders/similar/recommendations.csv" in outcome.files
    return output


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_students_get_postings_and_postings_similar_ones(output: Path) -> None:
    postings = rows(output / "recommendations.csv")
    similar = rows(output / "recommenders" / "similar" / "recommendations.csv")

    assert list(postings[0]) == ["USER_ID", "ITEM_ID", "RANK", "SCORE"]
    assert list(similar[0]) == ["ITEM_ID", "RELATED_ITEM_ID", "RANK", "SCORE"]
    assert len({row["USER_ID"] for row in postings}) > 40
    assert {row["RANK"] for row in similar} <= {"1", "2", "3", "4"}
    items = {row["ITEM_ID"] for row in rows(output / "datasets" / "items.csv")}
    assert {row["ITEM_ID"] for row in similar} | {row["RELATED_ITEM_ID"] for row in similar} <= (
        items
    )
    assert all(row["ITEM_ID"] != row["RELATED_ITEM_ID"] for row in similar)
    assert len({row["ITEM_ID"] for row in similar}) > 20


def test_each_has_metrics_of_its_own(output: Path) -> None:
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))

    assert metrics["recipeArn"].endswith("/aws-user-personalization")
    similar = metrics["recommenders"]["similar"]
    assert similar["recipeArn"].endswith("/aws-similar-items")
    assert similar["solutionVersionArn"] != metrics["solutionVersionArn"]
    assert similar["metrics"].keys() == metrics["metrics"].keys()


def test_a_notebook_reads_the_lists_of_each(output: Path) -> None:
    config = parse_config(EXAMPLE + SIMILAR)

    lists = [read_directory(output, each).recommendations for each in config.each_recommender]

    assert [each["RANK"].max() for each in lists] == [5, 4]
    assert list(lists[0].columns) == list(lists[1].columns)


def test_the_report_names_both(output: Path) -> None:
    page = (output / "report.html").read_text(encoding="utf-8")

    assert "labbase-similar" in page
    assert "retrain report --recommender NAME" in page
