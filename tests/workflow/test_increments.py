"""The table [increments]: the column by which the database is asked, and each mistake."""

import pytest

from tests.workflow.test_config import MINIMAL, mistakes
from workflow import parse_config
from workflow.runs.executions import RunningError
from workflow.runs.first_input import with_increment


def increments(text: str = "", *, before: str = MINIMAL) -> str:
    return f"{before}\n[increments]\n{text}\n"


def test_without_the_table_a_run_does_everything() -> None:
    config = parse_config(MINIMAL)
    assert config.watermark is None
    assert config.job_spec().watermark is None
    assert "plan-increment" not in config.function_names


@pytest.mark.parametrize(
    ("source", "table", "column"),
    [
        ("clicks.at", "", "at"),
        ("at", "", "at"),
        ("`clicks`.`at time`", "", "at time"),
        ("CLICKS.at", "", "at"),
        ("e.at", 'alias = "e"', "at"),
        ("clicks.at", 'rename = { created_at = "at" }', "created_at"),
    ],
)
def test_the_watermark_is_the_column_of_the_timestamp(source: str, table: str, column: str) -> None:
    text = MINIMAL.replace("clicks.at", source)
    text = text.replace('table = "sales.clicks"', f'table = "sales.clicks"\n{table}')
    watermark = parse_config(increments("overlap_hours = 2", before=text)).watermark
    assert watermark is not None
    assert (watermark.column, watermark.overlap_seconds) == (column, 7_200)


@pytest.mark.parametrize(
    "source", ["clicks.at div 1000", "to_timestamp(clicks.at)", "visits.at", "clicks.at.x"]
)
def test_an_expression_needs_a_watermark_of_its_own(source: str) -> None:
    text = MINIMAL.replace("clicks.at", source)
    assert mistakes(increments(before=text)) == {
        "increments.watermark": (
            "TIMESTAMP is no plain column of the interactions' table, so that the database cannot"
            " be asked for the rows since a time",
            "name the column of sales.clicks that says when a row was written",
        )
    }
    config = parse_config(increments('watermark = "written"', before=text))
    assert config.watermark is not None
    assert config.watermark.column == "written"


BARE = "it is a column of the interactions' own table, and is written without an alias"


@pytest.mark.parametrize(
    ("watermark", "table", "rule", "fix"),
    [
        ("clicks.written", "", BARE, "write 'written'"),
        ("e.at", 'alias = "e"\nrename = { created_at = "at" }', BARE, "write 'created_at'"),
        ("visits.at", "", BARE, "name one of sales.clicks, without an alias"),
        (
            "at",
            'rename = { created_at = "at" }',
            "'at' is the new name of 'created_at', and the database knows the old one",
            "write 'created_at'",
        ),
        (" ", "", "the name of a column is empty", "name one, or leave watermark out"),
        (
            "written; drop table x",
            "",
            "'written; drop table x' is no column's name",
            "name a column of sales.clicks, such as 'inserted_at'",
        ),
        (
            "written DESC",
            "",
            "'written DESC' is no column's name",
            "name a column of sales.clicks, such as 'inserted_at'",
        ),
        (
            "max(written)",
            "",
            "'max(written)' is no column's name",
            "name a column of sales.clicks, such as 'inserted_at'",
        ),
    ],
)
def test_a_watermark_is_the_bare_name_of_a_column(
    watermark: str, table: str, rule: str, fix: str
) -> None:
    text = MINIMAL.replace('table = "sales.clicks"', f'table = "sales.clicks"\n{table}')
    if table:
        alias = "e" if "alias" in table else "clicks"
        text = text.replace("clicks.at", f"{alias}.at")
    expected = {"increments.watermark": (rule, fix)}
    assert mistakes(increments(f'watermark = "{watermark}"', before=text)) == expected


@pytest.mark.parametrize("watermark", [" written ", "written at", "書込日時", "1st-written$"])
def test_a_watermark_may_have_any_name_of_a_column(watermark: str) -> None:
    config = parse_config(increments(f'watermark = "{watermark}"'))
    assert config.watermark is not None
    assert config.watermark.column == watermark.strip()


def test_update_is_refused_where_the_recipe_has_none_and_left_out_where_it_was_not_asked_for() -> (
    None
):
    similar = MINIMAL + '[solution]\nrecipe = "aws-user-personalization-v2"\n'
    assert mistakes(increments('training = "update"', before=similar)) == {
        "increments.training": (
            "aws-user-personalization-v2 can only be trained in full; aws-user-personalization"
            " can be updated",
            'write training = "full", or leave it out',
        )
    }
    assert not parse_config(increments(before=similar)).is_updatable
    assert parse_config(increments()).is_updatable
    assert not parse_config(increments('training = "full"')).is_updatable


def test_out_of_range_values_are_mistakes() -> None:
    assert set(mistakes(increments('full_every = 0\noverlap_hours = -1\nevery = "day"'))) == {
        "increments.full_every",
        "increments.overlap_hours",
        "increments.every",
    }


def test_other_columns_and_another_watermark_are_another_description() -> None:
    first = parse_config(increments()).data_set_digests["INTERACTIONS"]
    others = [
        parse_config(increments('watermark = "written"')),
        parse_config(increments(before=MINIMAL.replace("clicks.sku", "lower(clicks.sku)"))),
        parse_config(increments(before=MINIMAL.replace("sales.clicks", "clicks"))),
    ]
    digests = {first, *(other.data_set_digests["INTERACTIONS"] for other in others)}
    assert len(digests) == 4
    assert parse_config(increments("full_every = 3")).data_set_digests["INTERACTIONS"] == first


def test_settings_of_the_lists_are_in_their_digest() -> None:
    kept = [parse_config(f"{MINIMAL}\n[filter]\nkeep = {number}\n") for number in (10, 20)]
    assert kept[0].publication_digest != kept[1].publication_digest


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, {"a": 1}),
        ({"full": True}, {"a": 1, "increments": {"full": True}}),
        (
            {"since": "2024-06-01T09:00+09:00", "until": "2024-06-02"},
            {
                "a": 1,
                "increments": {"since": "2024-06-01T00:00:00Z", "until": "2024-06-02T00:00:00Z"},
            },
        ),
    ],
)
def test_a_request_is_a_part_of_the_executions_input(
    request_: dict[str, object], expected: dict[str, object]
) -> None:
    assert with_increment(parse_config(increments()), {"a": 1}, **request_) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "inputs", "request_", "message"),
    [
        ("", {}, {"full": True}, "--full needs the table [increments]"),
        ("[increments]", [], {"full": True}, "--input: [] is no JSON object"),
        ("[increments]", {}, {"full": True, "since": "2024-06-01"}, "leave --since and --until"),
        ("[increments]", {}, {"until": "2024-06-01"}, "--until needs --since"),
        ("[increments]", {}, {"since": "monday"}, "--since monday: write a time"),
        (
            "[increments]",
            {},
            {"since": "2024-06-02", "until": "2024-06-01"},
            "--since 2024-06-02 is not before --until 2024-06-01",
        ),
    ],
)
def test_a_request_that_cannot_be_met_starts_nothing(
    table: str, inputs: object, request_: dict[str, object], message: str
) -> None:
    with pytest.raises(RunningError) as caught:
        with_increment(parse_config(f"{MINIMAL}\n{table}\n"), inputs, **request_)  # type: ignore[arg-type]
    assert message in str(caught.value)
