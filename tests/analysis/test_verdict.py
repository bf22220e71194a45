"""The verdict on a run: good, or what to look at, from the facts alone."""

import json

import pytest

from analysis.data_profile import NULL_ID
from analysis.report import report
from analysis.verdict import findings, verdict
from etl import validation
from tests.analysis.run_records import EXAMPLE, FAILED, LISTS, NOTHING_CHANGED, Given
from tests.histories import BEGIN, entered, event, events


def sentence(given: Given) -> str:
    record = given.record()
    return verdict(record, findings(record)).sentence


def warnings(given: Given) -> list[str]:
    return [each.text for each in findings(given.record()) if each.level == "warning"]


def test_a_run_without_fault_is_good_and_is_compared() -> None:
    assert sentence(Given()) == (
        "Good: 40 users have lists that are 5.0 times as good as the most popular items and as good"
        " as those of the run before."
    )


def test_the_first_run_is_compared_with_nothing() -> None:
    given = Given(metrics={"this version": {"NDCG@10": 0.5}})

    assert sentence(given) == "Good: 40 users have lists."


def test_lists_that_are_no_better_than_popularity_are_to_be_looked_at() -> None:
    given = Given()
    given.metrics["this version"]["NDCG@10"] = 0.09
    given.metrics["the version before"]["NDCG@10"] = 0.09

    assert sentence(given) == "To look at: the lists are no better than the most popular items."


def test_a_fall_of_the_quality_is_to_be_looked_at() -> None:
    given = Given()
    given.metrics["this version"]["NDCG@10"] = 0.44

    assert sentence(given) == "To look at: the quality fell by 12 %."


def test_users_without_a_list_are_counted() -> None:
    given = Given()
    given.manifest["batchInput"]["rows"] = 44

    assert sentence(given) == "To look at: 4 of 44 users have no list."


def test_error_lines_are_why_users_have_no_list() -> None:
    given = Given()
    given.manifest["batchInput"]["rows"] = 44
    given.files["record/publication.json"] = json.dumps({"model": {"name": "svd"}, "errorLines": 4})
    error = {"reason": "scores hold nan, which is no number", "line": "{}"}
    given.files["recommendations/errors.jsonl"] = f"{json.dumps(error)}\n" * 4

    assert warnings(given) == [
        "4 of the 44 users to recommend for have no list: 4 lines of svd's output were an error,"
        " the first: scores hold nan, which is no number (recommendations/errors.jsonl)."
    ]


def test_short_lists_are_to_be_looked_at() -> None:
    given = Given()
    given.files["recommendations.csv"] = "\n".join(
        [
            LISTS[0],
            *(f"{user},{1 + (user + n) % 18},{n},0.5" for user in range(1, 41) for n in (1, 2)),
        ]
    )

    assert sentence(given) == "To look at: 40 of 40 lists are short."
    assert warnings(given) == [
        "40 of the 40 lists have less than half of the 20 items that they could have, 2 at the"
        " median: Personalize returned no more, or the filters took them away."
    ]


def test_items_that_a_model_made_up_are_to_be_looked_at() -> None:
    given = Given()
    lists = given.files["recommendations.csv"]
    given.files["recommendations.csv"] = f"{lists}\n1,nope-2,13,0.1\n2,nope-1,13,0.1"
    assert warnings(given) == [], "Personalize recommends what it has imported, of earlier runs too"

    given.files["record/publication.json"] = json.dumps({"model": {"name": "svd"}})

    assert warnings(given) == [
        "2 of 20 recommended items are in no data set of the run, for example nope-1: svd made them"
        " up. filter.eligible_items keeps such out of the lists."
    ]


def test_lists_of_the_same_few_items_are_to_be_looked_at() -> None:
    given = Given()
    given.files["recommendations.csv"] = "\n".join(
        [LISTS[0], *(f"{user},1,1,0.5" for user in range(1, 41))]
    )

    assert warnings(given)[-1] == (
        "Only 1 of the 20 items that may be recommended are in any list; the others are shown to"
        " nobody."
    )


def test_warnings_of_the_spark_job_are_repeated() -> None:
    given = Given()
    warning = "40.0% of interactions whose user is in USERS (4 of 10); compare the ids"
    given.manifest["agreement"] = [
        {
            "check": "interactions whose user is in USERS",
            "found": 4,
            "of": 10,
            "share": 0.4,
            "least": 0.1,
            "warning": warning,
        }
    ]

    assert sentence(given) == "To look at: only 40 % of interactions whose user is in USERS."
    assert warnings(given) == [f"{warning}."]


@pytest.mark.parametrize(("rows", "level"), [(2, "note"), (9, "warning")])
def test_rejected_rows_are_a_warning_near_the_share_at_which_the_run_fails(rows, level) -> None:
    given = Given()
    given.manifest["datasets"]["INTERACTIONS"]["rejected"] = {"null id": rows - 1, "bad time": 1}

    found = {each.short: each for each in findings(given.record())}

    rejected = found[f"{rows} rows of INTERACTIONS were left out"]
    assert rejected.level == level
    assert f"null id: {rows - 1}, bad time: 1" in rejected.text


def test_rows_of_a_list_without_an_id_are_no_fault_as_for_the_job() -> None:
    """The job leaves them out, however many: a left join gives them."""
    given = Given()
    given.manifest["batchInput"]["rejected"] = {"null id": 7}
    given.manifest["filter"] = {
        "exclusions": {"rows": 3_097, "rejected": {"null id": 146, "too long": 3}}
    }
    assert NULL_ID == validation.NULL_ID

    found = {each.short: (each.level, each.text) for each in findings(given.record())}

    assert sentence(given).startswith("Good: ")
    assert found["7 rows of batch input have no id"] == (
        "note",
        "7 rows of batch input have no id: left out, which is no fault.",
    )
    assert "146 rows of exclusions have no id" in found
    assert found["3 rows of exclusions were left out"] == (
        "note",
        "3 rows of exclusions were left out, 0.10 % of them (too long: 3); above 1.0 % the run"
        " fails.",
    )


def test_what_personalize_advises_and_old_events_are_good_to_know() -> None:
    given = Given()
    given.manifest["datasets"]["INTERACTIONS"]["newestTimestamp"] = int(BEGIN.timestamp()) - 864_000

    notes = [each.text for each in findings(given.record()) if each.level == "note"]

    assert notes == [
        "Events: 1,200; Personalize advises at least 50,000, otherwise: weaker recommendations.",
        "Users with two events: 40; Personalize advises at least 1,000, otherwise: weaker"
        " recommendations.",
        "The newest event is of 2024-05-22, 10 days before the run: of what people did since, the"
        " model knows nothing.",
    ]


def test_a_failed_run_says_where_and_that_the_lists_stay() -> None:
    given = Given(events=FAILED, files={}, manifest={}, metrics={})

    assert sentence(given) == "Failed in 'ETL': what was published before stays as it is."


def test_a_stopped_run_is_no_failure_and_a_running_one_is_not_judged() -> None:
    begun = [entered("ETL")]
    stopped = events(*begun, event("ExecutionAborted", previousEventId=0))

    assert sentence(Given(events=stopped, files={}, manifest={}, metrics={})).startswith(
        "Stopped in 'ETL'"
    )
    assert sentence(Given(events=events(*begun), files={}, manifest={}, metrics={})) == (
        "Still running: what follows is not all."
    )


def test_related_items_are_of_items() -> None:
    config = EXAMPLE.replace('user_id = "students.id"\nnum', 'item_id = "job_postings.id"\nnum')
    config = config.replace('"aws-user-personalization"', '"aws-sims"')
    config = config.partition("[filter.exclusions]")[0] + "[report]\ntitle = 'TITLE'\n"

    assert sentence(Given(config=config)).startswith("Good: 40 items have lists")


def increment_of(given: Given) -> Given:
    """Return a run of which nothing had changed, with a tenth of the events."""
    del given.files["recommendations.csv"]
    given.files["record/increment.json"] = json.dumps(NOTHING_CHANGED)
    given.files["interactions/a.csv"] = "\n".join(
        given.files["interactions/a.csv"].split("\n")[:13]
    )
    given.manifest["datasets"]["INTERACTIONS"] |= {"rows": 12, "since": NOTHING_CHANGED["since"]}
    given.metrics.clear()
    return given


def test_a_run_in_which_nothing_has_changed_says_so() -> None:
    assert sentence(increment_of(Given())) == (
        "Good: nothing has changed since the published list, which stays as it is."
    )


def test_a_delivered_list_is_a_note_and_one_that_was_not_a_warning() -> None:
    given = Given()
    delivery = {"run": "r", "to": "database", "table": "shop.lists"}
    given.files["record/delivery.json"] = json.dumps(
        {**delivery, "status": "DELIVERED", "rows": 1_000, "replaced": 12}
    )
    assert sentence(given).startswith("Good: ")
    assert "Table shop.lists has the list, in 1,000 rows." in [
        each.text for each in findings(given.record()) if each.level == "note"
    ]
    for status, reason in (("SKIPPED", "it is that of run 'r2'"), ("FAILED", "no such table.")):
        given.files["record/delivery.json"] = json.dumps(
            {**delivery, "status": status, "reason": reason}
        )
        assert sentence(given) == "To look at: table shop.lists has not got the list."


def test_an_increment_is_not_judged_by_what_personalize_needs_of_all_interactions() -> None:
    given = increment_of(Given())
    assert [each.text for each in findings(given.record()) if "Personalize" in each.text] == []


def test_an_increment_without_any_event_is_judged_too() -> None:
    given = increment_of(Given())
    given.files["interactions/a.csv"] = given.files["interactions/a.csv"].split("\n")[0]
    given.manifest["datasets"]["INTERACTIONS"] |= {"rows": 0, "newestTimestamp": None}
    assert sentence(given).startswith("Good: nothing has changed")


def test_a_campaign_that_serves_the_version_before_is_to_be_looked_at() -> None:
    solution = "arn:aws:personalize:ap-northeast-1:123456789012:solution/labbase"
    given = Given()
    behind = {
        "name": "home",
        "solutionVersionArn": f"{solution}/old",
        "follows": False,
        "reason": f"campaign 'home' still serves {solution}/old: No capacity",
    }
    campaigns = [behind, {**behind, "name": "mail", "follows": True, "reason": ""}]
    content = {"solutionVersionArn": f"{solution}/new", "campaigns": campaigns}
    given.files["record/campaigns.json"] = json.dumps(content)

    assert sentence(given) == "To look at: campaign 'home' does not serve the new version."
    (finding,) = [each for each in findings(given.record()) if "campaign" in each.short]
    assert finding.text == (
        f"Campaign 'home' still serves {solution}/old: No capacity. The list is of version"
        " labbase/new."
    )
    page = report(given.record())
    assert '<h2 id="campaigns-title">Campaigns</h2>' in page
    assert "the version of this list" in page
