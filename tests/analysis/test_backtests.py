"""Back-tests and the quality gate as a person reads them: tables, a trend, findings, the report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.backtests import backtest_table, gate_rules, trend
from analysis.frames import open_run
from analysis.metrics import on_later_events
from analysis.report import report
from analysis.verdict import findings, verdict
from localaws.http.endpoint import Endpoint
from tests.analysis.run_records import FAILED, Given
from tests.analysis.test_report import check, headings, texts
from workflow import load_config

CONFIG = load_config(Path(__file__).parents[2] / "retraining.toml")
ARN = "arn:aws:personalize:ap-northeast-1:123456789012:solution/labbase/"
NDCG = "normalized_discounted_cumulative_gain_at_10"
BACKTEST = {
    "run": "20240531T040000Z-1a2b3c",
    "publishedAt": "2024-05-31T05:00:00Z",
    "solutionVersionArn": f"{ARN}old",
    "usersWithList": 1_234,
    "users": 400,
    "interactions": 1_700,
    "metrics": {
        "hit_rate_at_10": {
            "value": 0.25,
            "low": 0.21,
            "high": 0.294,
            "popularity": 0.2,
            "difference": {"value": 0.05, "low": 0.01, "high": 0.09},
        },
        NDCG: {"value": 0.1, "low": 0.08, "high": 0.12},
        "coverage": {"value": 0.5, "popularity": 0.05},
    },
}
GATE = {
    "decision": "keep",
    "reason": f"{NDCG} is 0.0500, minimum 0.1",
    "degraded": True,
    "solutionVersionArn": f"{ARN}new",
    "metrics": {NDCG: 0.05},
    "served": {"solutionVersionArn": f"{ARN}old", "metrics": {NDCG: 0.2}},
    "published": {"run": "20240531T040000Z-1a2b3c", "arn": f"{ARN}old", "metrics": {NDCG: 0.2}},
    "popularity": {"metrics": {NDCG: 0.04}},
    "rules": [
        {
            "metric": NDCG,
            "rule": "minimum",
            "value": 0.05,
            "bound": 0.1,
            "met": False,
            "text": f"{NDCG} is 0.0500, minimum 0.1",
        },
        {
            "metric": "coverage",
            "rule": "better_than_popularity",
            "value": 0.5,
            "bound": None,
            "met": None,
            "text": "coverage of the most popular items is not known: they were not measured",
        },
    ],
}


def given(gate: dict[str, Any] | None = None, backtest: dict[str, Any] | None = None) -> Given:
    """Return a run that is sound besides."""
    run = Given()
    if gate:
        run.files["record/gate.json"] = json.dumps(gate)
    if backtest:
        run.manifest["backtest"] = backtest
    return run


def found(run: Given, level: str) -> list[str]:
    """Return what is found beside that of a run that is sound."""
    usual = [each.text for each in findings(Given().record())]
    texts = [each.text for each in findings(run.record()) if each.level == level]
    return [text for text in texts if text not in usual]


def test_a_back_test_is_a_table_of_lists_side_by_side() -> None:
    table = backtest_table({"backtest": BACKTEST}).fillna(-1)

    assert table.to_numpy().tolist() == [
        ["hit rate@10", "published", 0.25, 0.21, 0.294, 400],
        ["hit rate@10", "most popular", 0.2, -1, -1, 400],
        ["hit rate@10", "difference", 0.05, 0.01, 0.09, 400],
        ["NDCG@10", "published", 0.1, 0.08, 0.12, 400],
        ["coverage", "published", 0.5, -1, -1, 400],
        ["coverage", "most popular", 0.05, -1, -1, 400],
    ]
    assert backtest_table({}).empty
    assert backtest_table({"backtest": {"reason": "nobody came back"}}).empty


def test_the_rules_of_the_gate_are_a_table() -> None:
    assert gate_rules(GATE).fillna(-1).to_numpy().tolist() == [
        ["NDCG@10", "minimum", 0.05, 0.1, "broken"],
        ["coverage", "better than popularity", 0.5, -1, "not judged"],
    ]


def test_a_refused_version_is_to_be_looked_at() -> None:
    record = given(GATE).record()

    assert verdict(record, findings(record)).sentence == (
        "To look at: the quality gate refused the new version, so that the last one made the lists."
    )
    assert found(given(GATE), "warning") == [
        f"The quality gate refused the new version (labbase/new): {NDCG} is 0.0500, minimum 0.1."
        " The lists were made by version labbase/old, which run 20240531T040000Z-1a2b3c had"
        " published."
    ]
    assert found(given(GATE), "note") == [
        "The quality gate could not judge better_than_popularity: coverage of the most popular"
        " items is not known: they were not measured."
    ]


def test_lists_that_did_worse_than_popularity_are_to_be_looked_at_unless_it_may_be_chance() -> None:
    worse = json.loads(json.dumps(BACKTEST))
    worse["metrics"]["hit_rate_at_10"]["difference"] = {"value": -0.02, "low": -0.03, "high": -0.01}

    assert found(given(backtest=BACKTEST), "warning") == []
    assert found(given(backtest=worse), "warning") == [
        "Of the users who came back since run 20240531T040000Z-1a2b3c, 25.0 % chose one of the"
        " first ten items of their list, and 20.0 % one of the ten most popular items; chance does"
        " not explain the difference."
    ]
    assert found(given(backtest={"reason": "nobody came back"}), "note") == [
        "The lists published last could not be compared with what people did: nobody came back."
    ]


def test_the_report_has_both_and_is_accessible(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    page = report(given(GATE, BACKTEST).record())
    file.write_text(page, encoding="utf-8")

    assert headings(page)[5:7] == [
        "Quality gate",
        "Back-test: how good were the lists published last?",
    ]
    words = texts(page)
    assert "<figure><img" not in page[page.index('id="backtest"') :], "one run is no trend"
    assert "400 of the 1,234 users with a list of run 20240531T040000Z-1a2b3c came back" in words
    assert "0.250 (0.210–0.294)" in words
    assert f"the last published one made the lists. {NDCG} is 0.0500, minimum 0.1." in words
    check(file)


def test_a_run_that_failed_at_the_gate_shows_its_figures() -> None:
    run = given(GATE | {"decision": "fail", "served": None})
    run.events = FAILED
    run.files = {"record/gate.json": run.files["record/gate.json"]}

    page = report(run.record())

    assert "The new version was refused, and the run failed." in page
    assert "broken" in page


def test_a_back_test_without_a_result_says_why() -> None:
    page = texts(report(given(backtest={"reason": "nobody came back"}).record()))

    assert "Not measured: nobody came back." in page


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with Endpoint(account=CONFIG.aws.account, region=CONFIG.aws.region) as endpoint:
        client = endpoint.client("s3")
        client.create_bucket(
            Bucket=CONFIG.bucket,
            CreateBucketConfiguration={"LocationConstraint": CONFIG.aws.region},
        )
        yield client


def manifest(newest: int, **more: Any) -> str:
    about = {"path": "interactions/", "rows": 1, "rejected": {}, "newestTimestamp": newest}
    return json.dumps({"datasets": {"INTERACTIONS": about}, **more})


def test_the_trend_is_read_from_manifests_and_else_from_files(s3: Any) -> None:
    """The first two runs were before the back-test was switched on; the third one failed later."""
    header, lists = "USER_ID,ITEM_ID,TIMESTAMP\n", "USER_ID,ITEM_ID,RANK,SCORE\n"
    files = {
        "run-1/manifest.json": manifest(100),
        "run-1/interactions/a.csv": f"{header}a,x,90\nb,x,100\n",
        "run-1/recommendations/recommendations.csv": f"{lists}a,x,1,\na,y,2,\nb,x,1,\n",
        "run-2/manifest.json": manifest(200),
        "run-2/interactions/a.csv": f"{header}a,x,90\nb,x,100\na,y,150\nb,z,200\n",
        "run-3/manifest.json": manifest(300, backtest=BACKTEST),
        "run-4/manifest.json": manifest(300, backtest={"reason": "nobody came back"}),
    }
    for path, text in files.items():
        s3.put_object(Bucket=CONFIG.bucket, Key=f"runs/{path}", Body=text.encode())

    measured = trend(CONFIG, s3)
    everything = trend(CONFIG, s3, random=np.random.default_rng(0))

    assert measured["run"].unique().tolist() == [BACKTEST["run"]]
    assert measured.columns.tolist() == [
        *("run", "date", "metric", "list", "value", "low", "high", "users"),
    ]
    assert everything["run"].unique().tolist() == ["run-1", BACKTEST["run"]]
    alone = on_later_events(
        open_run(CONFIG, s3, "run-1"),
        open_run(CONFIG, s3, "run-2"),
        keep=25,
        random=np.random.default_rng(0),
    )
    of_files = everything[everything["run"] == "run-1"]
    assert of_files["value"].tolist() == alone["value"].tolist()
