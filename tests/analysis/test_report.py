"""The report of a run: whole, readable, and nothing fetched."""

import re

import pytest

from tests.browsing import DESKTOP, PHONE, visits
from tests.local_runs import WholeRun


@pytest.fixture(scope="module")
def page(whole_run: WholeRun) -> str:
    return (whole_run.output / "report.html").read_text(encoding="utf-8")


def headings(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


def test_a_run_leaves_a_report_with_every_part(page: str) -> None:
    assert headings(page) == [
        "In short",
        "Workflow",
        "Data",
        "Metrics",
        "Recommendations",
        "What it costs on AWS",
        "Configuration and versions",
    ]
    assert page.count("<img ") == page.count(' alt="') == 2
    assert "Reimport All Datasets" in page
    assert "null id" in page, "the rows that were left out"


def test_the_report_compares_with_popularity_and_with_the_former_run(page: str) -> None:
    table = page[page.index("Table of metrics") :]
    head = re.findall(r"<th [^>]*>(.*?)</th>", table[: table.index("</thead>")])

    assert head == [
        "metric",
        "this version",
        "the version before",
        "popularity",
        "× the version before",
        "× popularity",
    ]
    assert ">0.1250<" in table
    assert "Since the run before" in page


def test_the_report_loads_nothing_and_is_accessible(whole_run: WholeRun) -> None:
    """In Chromium, at desktop and phone width, light and dark; axe knows contrast and headings."""
    for (width, scheme), visit in visits(whole_run.output / "report.html").items():
        where = f"{width} pixels, {scheme}"
        assert visit.console == (), where
        assert visit.requests == (), where
        assert visit.width <= width, where
        assert visit.faults == (), where
    assert (DESKTOP, PHONE) == (1280, 390)


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
