"""Joins and expressions, on frames made by Spark itself."""

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl.datasets import Column, Join, Relation
from etl.errors import EtlError
from etl.projection import Table, join_tables, project_columns


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> dict[str, Table]:
    """Return three people and two teams; one person has no team, one a team that does not exist."""
    frames = {
        "people": spark.createDataFrame(
            [(1, "a", 10, 2), (2, "b", None, 1), (3, "c", 99, None)],
            "id int, name string, team_id int, boss_id int",
        ),
        "teams": spark.createDataFrame([(10, "red"), (11, "blue")], "id int, name string"),
        "public.Tags": spark.createDataFrame(
            [("1", "x"), ("zwei", "y")], "person string, t string"
        ),
    }
    return {name: Table(frame, tuple(frame.columns)) for name, frame in frames.items()}


def rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in frame.collect()), key=repr)


def select(tables: dict[str, Table], relation: Relation, *sources: str) -> DataFrame:
    columns = [Column(f"C{n}", source) for n, source in enumerate(sources)]
    keys = [f"datasets.users.columns.{column.name}" for column in columns]
    joined = join_tables(relation, tables, key="datasets.users")
    return project_columns(joined, columns, keys=keys).select(*(c.name for c in columns))


def test_inner_join_drops_rows_without_a_partner_and_left_join_keeps_them(
    tables: dict[str, Table],
) -> None:
    def joined(how: Any) -> DataFrame:
        relation = Relation("people", joins=(Join("teams", how, {"team_id": "id"}),))
        return select(tables, relation, "people.id", "teams.name")

    assert rows(joined("inner")) == [(1, "red")]
    assert rows(joined("left")) == [(1, "red"), (2, None), (3, None)]


def test_a_table_joined_to_itself_goes_by_two_aliases(tables: dict[str, Table]) -> None:
    relation = Relation(
        "people", alias="p", joins=(Join("people", "left", {"p.boss_id": "id"}, alias="boss"),)
    )
    assert rows(select(tables, relation, "p.name", "boss.name")) == [
        ("a", "b"),
        ("b", "a"),
        ("c", None),
    ]


def test_rename_filter_and_the_last_part_of_a_name_as_alias(tables: dict[str, Table]) -> None:
    relation = Relation(
        "people",
        rename={"name": "label"},
        joins=(Join("public.Tags", "inner", {"people.id": "person"}),),
        filter="label = 'a' AND Tags.t IS NOT NULL",
    )
    assert rows(select(tables, relation, "label", "upper(t)")) == [("a", "X")]


def test_an_unqualified_join_column_means_the_tables_before_not_the_joined_one(
    tables: dict[str, Table],
) -> None:
    relation = Relation("teams", joins=(Join("people", "inner", {"id": "team_id"}),))
    assert rows(select(tables, relation, "people.name")) == [("a",)]


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        (
            Relation("people", rename={"nmae": "label"}),
            "datasets.users.rename: table 'people' has no column 'nmae'; did you mean 'name'?"
            " Columns: id, name, team_id, boss_id",
        ),
        (
            Relation("people", joins=(Join("teams", "left", {"team": "id"}),)),
            "datasets.users.joins[0].on: there is no column 'team'; did you mean 'people.team_id'?"
            " Columns: people.id, people.name, people.team_id, people.boss_id",
        ),
        (
            Relation("people", joins=(Join("people", "left", {"id": "id"}),)),
            "datasets.users.joins[0]: alias 'people' stands for two tables;"
            ' give one of them another alias = "…"',
        ),
        (
            Relation("people", filter="staus = 1"),
            "datasets.users.filter = \"staus = 1\": there is no column 'staus';"
            " Columns: people.id, people.name, people.team_id, people.boss_id",
        ),
    ],
)
def test_a_relation_that_does_not_fit_is_reported_with_its_key_path_and_the_fix(
    tables: dict[str, Table], relation: Relation, message: str
) -> None:
    with pytest.raises(EtlError) as caught:
        join_tables(relation, tables, key="datasets.users")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "max(people.id)",
            "holds an aggregate over rows, and each row stands alone here; make a view in the"
            " database that counts or sums, and name it as the table",
        ),
        (
            "people.name::text",
            "Syntax error at or near ':'; write cast(x as string), not x::text",
        ),
        (
            "名簿.名前",
            "Syntax error at or near '名'; names of other letters than A-Z stand in backticks,"
            " for example `表`.`列`",
        ),
        (
            "uper(people.name)",
            "Spark SQL has no function 'uper'; see"
            " https://spark.apache.org/docs/latest/sql-ref.html",
        ),
        ("people.*", "gives 4 columns; name one of them"),
    ],
)
def test_sql_that_spark_writes_otherwise_than_databases_is_reported(
    tables: dict[str, Table], source: str, fault: str
) -> None:
    with pytest.raises(EtlError) as caught:
        select(tables, Relation("people"), source)
    assert str(caught.value) == f'datasets.users.columns.C0 = "{source}": {fault}'


def test_every_expression_that_does_not_fit_is_reported_at_once(
    tables: dict[str, Table],
) -> None:
    relation = Relation("people", joins=(Join("teams", "left", {"team_id": "id"}),))
    with pytest.raises(EtlError) as caught:
        select(tables, relation, "nam", "name", "people.id", "1 +", "split('a|b', 'x')")
    names = "people.id, people.name, people.team_id, people.boss_id, teams.id, teams.name"
    assert caught.value.problems == (
        "datasets.users.columns.C0 = \"nam\": there is no column 'nam';"
        f" did you mean 'people.name'? Columns: {names}",
        "datasets.users.columns.C1 = \"name\": 'name' is in several tables;"
        " write one of people.name, teams.name",
        'datasets.users.columns.C3 = "1 +": Syntax error at or near end of input;'
        " see https://spark.apache.org/docs/latest/sql-ref.html",
        "datasets.users.columns.C4 = \"split('a|b', 'x')\": Personalize has no arrays;"
        " use array_join(…, '|')",
    )


def test_an_id_of_floating_point_is_refused_before_any_row_is_read(spark: SparkSession) -> None:
    frame = join_tables(Relation("t"), {"t": Table(spark.sql("SELECT 1D AS id"), ("id",))}, key="k")
    with pytest.raises(EtlError, match=r"an id of type double has no certain text \(1 or 1.0\?\)"):
        project_columns(frame, [Column("USER_ID", "id", required=True)], keys=["k.columns.USER_ID"])
