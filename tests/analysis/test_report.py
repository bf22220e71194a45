"""The report of a run: whole, readable by a product's owner, and nothing fetched."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.report import report
from tests.analysis.run_records import FAILED, NOTHING_CHANGED, Given
from tests.browsing import DESKTOP, PHONE, visits
from tests.histories import entered, events, execution_failed, scheduled, task_failed
from tests.local_runs import EXAMPLE, WholeRun


@pytest.fixture(scope="module")
def page(whole_run: WholeRun) -> str:
    return (whole_run.output / "report.html").read_text(encoding="utf-8")


def headings(page: str, level: int = 2) -> list[str]:
    return re.findall(rf"<h{level}[^>]*>(.*?)</h{level}>", page)


def texts(page: str) -> str:
    """Return the words of a page, without its style, its picture and its tags."""
    body = re.sub(r"(?s)<(style|svg)\b.*?</\1>", "", page)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


def table(page: str, first: str) -> list[str]:
    """Return the cells of the table whose head begins with this column."""
    tables = (
        re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", each)
        for each in re.findall(r"(?s)<table.*?</table>", page)
    )
    return next(cells for cells in tables if cells[0] == first)


def test_a_run_leaves_a_report_with_every_part_and_the_graph_at_its_end(page: str) -> None:
    assert headings(page) == [
        "Recommendations",
        "Catalogue",
        "Warnings",
        "Data",
        "Metrics",
        "What it costs on AWS",
        "Configuration and versions",
        "Workflow",
    ]
    assert page.count("<img ") == page.count(' alt="') == 2
    assert "<details" in page[page.index('id="graph"') : page.index("<svg")]
    assert "Reimport All Datasets" in page
    assert "null id" in page, "the rows that were left out"


def test_the_report_begins_with_name_date_and_verdict(page: str) -> None:
    """The date is that of the schedule's time zone, in which people expect the run."""
    assert re.fullmatch(r"labbase, \d{1,2} [A-Z][a-z]+ \d{4}", headings(page, 1)[0])
    assert re.search(r'<p class="verdict (good|look)">(Good|To look at): ', page)
    assert " JST, took " in page


def test_the_report_compares_with_popularity_and_with_the_former_run(page: str) -> None:
    cells = table(page, "metric")

    assert cells[:6] == [
        "metric",
        "this version",
        "the version before",
        "popularity",
        "× the version before",
        "× popularity",
    ]
    assert "0.1250" in cells
    assert "Changed since the run before" in page


def test_lists_name_items_by_their_titles(page: str) -> None:
    """The sample's titles are Japanese job titles; its descriptions begin otherwise."""
    recommended = table(page, "rank")[3:]

    assert [cell for cell in recommended if "勤務地" in cell or "学部" in cell] == []
    assert any(re.search("[぀-ヿ一-鿿]", cell) for cell in recommended)


def test_local_seconds_are_not_priced(page: str) -> None:
    cost = texts(page[page.index('id="cost"') :])

    assert "etl_minutes 10 minutes the Spark job assumed" in cost
    assert "training_hours 1 hours" in cost
    assert re.search(r"users \d+ users in the batch inference job run \d{8}T", cost)
    assert "* not verified, or us-east-1's" in cost


def test_the_report_loads_nothing_and_is_accessible(whole_run: WholeRun) -> None:
    """In Chromium, at desktop and phone width, light and dark; axe knows contrast and headings."""
    check(whole_run.output / "report.html")


def check(file: Path) -> None:
    """Open a page at each width, in light and in dark; nothing may be wrong."""
    for (width, scheme), visit in visits(file).items():
        where = f"{width} pixels, {scheme}"
        assert visit.console == (), where
        assert visit.requests == (), where
        assert visit.width <= width, where
        assert visit.faults == (), where
    assert (DESKTOP, PHONE) == (1280, 390)


RELATED = (
    EXAMPLE.replace('user_id = "students.id"\nnum', 'item_id = "job_postings.id"\nnum')
    .replace('"aws-user-personalization"', '"aws-sims"')
    .partition("[filter.exclusions]")[0]
)
LONG = "x" * 120


def related() -> Given:
    return Given(config=RELATED)


def without_items() -> Given:
    config = EXAMPLE.replace('[report]\ntitle = "TITLE"', "[report]")
    head, _, rest = config.partition("[datasets.items]")
    given = Given(
        config=head + "[datasets.interactions]" + rest.partition("[datasets.interactions]")[2]
    )
    del given.files["items/a.csv"], given.manifest["datasets"]["ITEMS"]
    return given


def long_ids() -> Given:
    given = Given()
    given.files = {
        path: re.sub(r"(?m)^(\d+),", rf"\1{LONG},", text) for path, text in given.files.items()
    }
    return given


def failed() -> Given:
    return Given(events=FAILED, files={}, manifest={}, metrics={})


def test_a_failed_function_of_ones_own_is_to_be_mended_and_deployed_as_explain_says() -> None:
    given = Given(
        config=f'{EXAMPLE}\n[functions.ask-editors]\nsource = "functions/ask_editors.py"\n',
        events=events(
            entered("Ask the Editors"),
            scheduled("lambda", FunctionName="labbase-ask-editors"),
            task_failed("ValueError", "on holiday"),
            execution_failed("ValueError", "on holiday"),
        ),
        files={},
        manifest={},
        metrics={},
    )

    page = texts(report(given.record()))

    assert "Mend functions/ask_editors.py, then 'retrain deploy'. The last published" in page


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (related, "Related to 職種"),
        (without_items, "Items: 19. In at least one list: 18."),
        (long_ids, LONG),
        (failed, "Failed in 'ETL': what was published before stays as it is."),
    ],
)
def test_reports_of_other_runs_are_readable_too(tmp_path, given, expected) -> None:
    """Related items, no items at all, ids without a place to break, a run that failed."""
    file = tmp_path / "report.html"
    file.write_text(report(given().record()), encoding="utf-8")

    assert expected in texts(file.read_text(encoding="utf-8"))
    check(file)


def test_related_items_have_no_user_s_history() -> None:
    """An item's number may be a user's number too."""
    page = texts(report(related().record()))

    assert "User " not in page[: page.index("Catalogue")].partition("rank")[2]
    assert "events" not in " ".join(headings(report(related().record()), 3)[:3])


def test_a_failed_run_says_what_to_do_and_has_no_empty_parts() -> None:
    page = report(failed().record())

    assert headings(page) == [
        "Why it failed",
        "Warnings",
        "Data",
        "Configuration and versions",
        "Workflow",
    ]
    assert "What to do:" in page
    assert "The data cannot be judged: the Spark job did not finish." in page


def test_a_local_run_that_failed_is_run_again_and_not_resumed() -> None:
    page = texts(report(replace(failed().record(), is_over=True)))

    assert "there is nothing to resume: retrain local run does all of it again" in page
    assert "nothing to resume" not in texts(report(failed().record()))


def test_a_page_that_cannot_be_read_would_be_found(tmp_path) -> None:
    """Otherwise the test above would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<p style="color:#ddd;background:#fff;width:900px">pale</p>'
        '<img src="missing.png"><script>console.error("broken")</script>'
    )

    visit = visits(bad, widths=(PHONE,))[PHONE, "light"]

    assert "error: broken" in visit.console
    assert [request.rpartition("/")[2] for request in visit.requests] == ["missing.png"]
    assert visit.width > PHONE
    assert {fault.partition(":")[0] for fault in visit.faults} >= {"color-contrast", "image-alt"}


def test_a_report_says_what_was_left_out_and_why() -> None:
    given = Given()
    trained = {
        **NOTHING_CHANGED,
        "step": "training",
        "datasets": {
            "ITEMS": {"mode": None, "rows": 20, "why": "nothing is new since run 'r1'"},
            "INTERACTIONS": {"mode": "INCREMENTAL", "rows": 1_200, "why": "it goes on"},
        },
        "trainingMode": "UPDATE",
        "trainingWhy": "INTERACTIONS changed",
    }
    given.files["record/increment.json"] = json.dumps(trained)
    given.manifest["datasets"]["INTERACTIONS"]["since"] = "2024-05-31T04:00:00Z"

    page = report(given.record())

    assert table(page, "data set") == [
        *("data set", "import", "rows read", "why"),
        *("ITEMS", "left out", "20", "nothing is new since run &#x27;r1&#x27;"),
        *("INTERACTIONS", "incremental", "1,200", "it goes on"),
    ]
    assert "Training: update (INTERACTIONS changed)." in texts(page)
    assert "The interactions are those since 2024-05-31T04:00:00Z;" in texts(page)

    given.files["record/increment.json"] = json.dumps(NOTHING_CHANGED)
    assert (
        "Nothing has changed since the published list: nothing was imported, trained or published."
        in texts(report(given.record()))
    )


def test_what_of_old_runs_was_deleted_is_told() -> None:
    given = Given()
    record = {
        "runs": ["r1", "r2"],
        "files": 1_234,
        "bytes": 5_600_000,
        "solutions": ["labbase-v1"],
        "left": ["r3"],
    }
    given.files["record/retention.json"] = json.dumps(record)

    words = texts(report(given.record()))

    assert "1,234 files of old runs were deleted, 5.6 MB in all: those of r1, r2." in words
    assert "So were the former solutions labbase-v1, with their versions." in words
    assert "Left for the next run: r3." in words


def test_the_report_names_what_each_recommender_has_published() -> None:
    similar = """
[recommenders.similar]
solution = { recipe = "aws-similar-items" }
batch_inference = { table = "job_postings", item_id = "job_postings.id" }
[recommenders.late]
batch_inference = { table = "students", user_id = "students.id" }
"""
    related = "recommenders/similar/"
    publication = {"users": 20, "recommendations": 60, "csv": "s3://bucket/similar.csv"}
    given = Given(config=EXAMPLE + similar)
    given.files |= {
        f"{related}record/publication.json": json.dumps(publication),
        f"{related}recommendations/recommendations.csv": (
            "ITEM_ID,RELATED_ITEM_ID,RANK,SCORE\n1,2,1,0.5\n"
        ),
    }
    given.manifest["recommenders"] = {"similar": {"batchInput": {"rows": 20}}}
    given.manifest["backtest"] = {"reason": "no list has been published yet"}
    record = given.record()
    page = report(record)
    own = replace(
        record,
        config=record.config.of_recommender("similar"),
        run=record.run.of_recommender("similar"),
    )

    cells = table(page, "solution")
    row = cells.index("labbase-similar")
    assert cells[row : row + 6] == [
        "labbase-similar",
        "aws-similar-items",
        "items",
        "20",
        "60",
        "s3://bucket/similar.csv",
    ]
    assert cells.count("none published") == 2
    assert own.run.manifest["batchInput"] == {"rows": 20}
    assert "backtest" not in own.run.manifest
    assert "labbase / similar" in report(own)
    assert "Each has a list of its own" not in report(own)
