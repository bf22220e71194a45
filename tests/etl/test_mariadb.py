"""The job on a real MariaDB whose zone is +09:00: each type arrives as what the database means."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from etl.datasets import Column, DataSet, JobSpec, Join, Lookup, Relation
from localaws.http.endpoint import Endpoint
from tests.etl.runs import Run, users_spec
from tests.mariadb import MariaDbDatabase

ID = Column("USER_ID", "id", required=True)


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, mariadb: MariaDbDatabase, tmp_path: Path) -> Run:
    return Run(endpoint, spark, mariadb.url, tmp_path)


def test_char_enum_and_set_are_not_padded_as_ids_categories_filters_and_join_keys(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "SET GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'",
        "CREATE TABLE users (id char(8), plan enum('free', 'premium'), tags set('a', 'bb'))",
        "INSERT INTO users VALUES ('u1', 'free', 'a'), ('u2', 'premium', 'a,bb')",
        "CREATE TABLE events (user varchar(8), item char(6), kind enum('view', 'purchase'),"
        " at timestamp)",
        "INSERT INTO events VALUES ('u1', 'i1', 'view', '2024-01-01 09:00:00'),"
        " ('u2', 'i1', 'purchase', '2024-01-01 09:00:01'), ('u2', 'i2', 'view', now())",
    )
    plan = Column("PLAN", "plan", categorical=True)
    users = DataSet("USERS", Relation("users"), (ID, plan, Column("TAGS", "tags")))
    events = DataSet(
        "INTERACTIONS",
        Relation(
            "events",
            joins=(Join("users", "inner", {"user": "id"}),),
            filter="kind = 'view' AND users.plan = 'free'",
        ),
        (
            Column("USER_ID", "users.id", required=True),
            Column("ITEM_ID", "item", required=True),
            Column("TIMESTAMP", "at", "long", required=True),
            Column("EVENT_TYPE", "kind"),
        ),
    )
    batch = Lookup("batch-input/", Relation("users", filter="plan = 'free'"), {"USER_ID": "id"})
    try:
        run(JobSpec("mysql", (users, events), batch))
    finally:
        mariadb.execute("SET GLOBAL sql_mode = DEFAULT")
    assert run.rows("users/") == [["u1", "free", "a"], ["u2", "premium", "a,bb"]]
    assert run.rows("interactions/") == [["u1", "i1", "1704067200", "view"]]
    assert (
        run.text(
            "batch-input/users.json"
            if "batch-input/users.json" in run.objects()
            else "batch-input/part-00000.json"
        )
        == '{"userId":"u1"}\n'
    )


def test_a_timestamp_is_an_instant_and_a_datetime_is_taken_as_utc(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    assert mariadb.execute("SELECT @@global.time_zone") == [("+09:00",)]
    mariadb.execute(
        "CREATE TABLE users (id int, t timestamp(6) NULL, d datetime(6))",
        "INSERT INTO users VALUES (1, '2024-01-01 09:00:00.5', '2024-01-01 09:00:00.5')",
        "SET time_zone = '-05:00'",
        "INSERT INTO users VALUES (2, '2023-12-31 19:00:00', NULL)",
    )
    columns = Column("T", "t", "long"), Column("D", "d", "long"), Column("TEXT", "string(t)")
    local = Column("LOCAL", "to_utc_timestamp(d, 'Asia/Tokyo')", "long")
    run(users_spec("mysql", Relation("users", filter="t < '2024-01-02'"), ID, *columns, local))
    assert run.rows("users/") == [
        ["1", "1704067200", "1704099600", "2024-01-01 00:00:00.5", "1704067200"],
        ["2", "1704067200", "", "2024-01-01 00:00:00", ""],
    ]


def test_numbers_stay_numbers_and_bit_1_is_a_boolean(run: Run, mariadb: MariaDbDatabase) -> None:
    mariadb.execute(
        "CREATE TABLE users (id bigint unsigned, stars tinyint(1), gone boolean, flag bit(1),"
        " bits bit(8), born year, small tinyint unsigned, price decimal(10,2))",
        "INSERT INTO users VALUES (18446744073709551615, 5, true, 1, 6, 1999, 200, 12.50),"
        " (2, 1, false, 0, 0, 0, 0, 0)",
    )
    columns = (
        Column("STARS", "stars", "int"),
        Column("GONE", "gone", "boolean"),
        Column("FLAG", "flag", "boolean"),
        Column("BITS", "bits", "int"),
        Column("BORN", "born", "int"),
        Column("SMALL", "small", "int"),
        Column("PRICE", "price", "float"),
        Column("STARS_TEXT", "stars"),
        Column("BORN_TEXT", "born"),
    )
    run(
        users_spec(
            "mysql", Relation("users", filter="stars >= 1 AND (flag OR NOT flag)"), ID, *columns
        )
    )
    big = "18446744073709551615"
    assert [[value.lower() for value in row] for row in run.rows("users/")] == [
        [big, "5", "true", "true", "6", "1999", "200", "12.5", "5", "1999"],
        ["2", "1", "false", "false", "0", "0", "0", "0.0", "1", "0"],
    ]
    for condition in ("NOT gone", "gone", "flag AND gone"):
        spec = users_spec("mysql", Relation("users", filter=condition), ID, *columns)
        assert "; MySQL's boolean is a tinyint, which is a number: write x <> 0" in run.refused(
            spec
        )


ODD_DATES = ["0000-00-00", "2024-00-10", "2024-01-00", "2024-02-31"]


def test_dates_that_are_none_are_rejected_rows_and_a_time_is_its_text(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    values = ", ".join(
        f"({number}, '{odd}', '{odd} 01:02:03', '1:00:00')" for number, odd in enumerate(ODD_DATES)
    )
    mariadb.execute(
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "CREATE TABLE users (id int, d date NOT NULL, t datetime NOT NULL, long_time time)",
        f"INSERT INTO users VALUES {values}, (8, '2024-02-29', '2024-02-29 00:00:00', '1:00:00'),"
        " (9, '2024-02-29', '2024-02-29 00:00:00', '25:00:00')",
    )
    d, t = Column("D", "d", "long"), Column("T", "t", "long")
    clock = Column("CLOCK", "long_time")
    manifest = run(users_spec("mysql", Relation("users"), ID, d, t, clock))
    assert run.rows("users/") == [
        ["8", "1709164800", "1709164800", "01:00:00"],
        ["9", "1709164800", "1709164800", "25:00:00"],
    ]
    assert manifest["datasets"]["USERS"]["rejected"] == {"value cannot be read as long": 4}
    assert run.rejected("users") == [
        ("value cannot be read as long", "D", odd) for odd in ODD_DATES
    ]


def test_more_digits_than_spark_has_are_a_rejected_row(run: Run, mariadb: MariaDbDatabase) -> None:
    mariadb.execute(
        "CREATE TABLE users (id decimal(65,0), price decimal(65,30))",
        f"INSERT INTO users VALUES (1, 0.5), ({'9' * 39}, 1), ({'9' * 38}, {'9' * 25}), (2, NULL)",
    )
    price = Column("PRICE", "price", "double")
    run(users_spec("mysql", Relation("users"), ID, price))
    assert run.rows("users/") == [["1", "0.5"], ["2", ""]]
    assert run.rejected("users") == [
        ("value cannot be read as double", "PRICE", f"{'9' * 25}.{'0' * 30}"),
        ("value cannot be read as string", "USER_ID", "9" * 39),
    ]


def test_columns_that_nobody_names_may_hold_anything(run: Run, mariadb: MariaDbDatabase) -> None:
    mariadb.execute(
        "SET sql_mode = ''",
        'CREATE TABLE users (id int, `a``b"c d` int, zero date, place point, big decimal(65,30),'
        " long_time time)",
        "INSERT INTO users VALUES (1, 7, '0000-00-00', point(1, 2), 1e30, '800:00:00')",
    )
    run(users_spec("mysql", Relation("users"), ID, Column("ONE", "1", "int")))
    assert run.rows("users/") == [["1", "1"]]
    odd = Relation("users", rename={'a`b"c d': "renamed"})
    run(users_spec("mysql", odd, ID, Column("ODD", "renamed", "int")))
    assert run.rows("users/") == [["1", "7"]]
    run(users_spec("mysql", Relation("users"), ID, Column("ODD", '`a``b"c d`', "int")))
    assert run.rows("users/") == [["1", "7"]]


def test_texts_are_compared_by_spark_and_not_by_the_collation_of_the_database(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "CREATE TABLE users (id varchar(9), plan varchar(9))",
        "INSERT INTO users VALUES ('a', 'free'), ('A', 'FREE'), ('b', 'free ')",
    )
    once = users_spec("mysql", Relation("users", filter="plan = 'free'"), ID, Column("P", "plan"))
    other = Lookup("batch-input/", Relation("users"), {"USER_ID": "id"})
    for spec in (once, replace(once, batch_input=other)):
        run(spec)
        assert run.rows("users/") == [["a", "free"]]


def test_a_table_is_read_by_several_connections_and_case_counts_in_its_name(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "CREATE TABLE `Users` (id int, name varchar(9))",
        "INSERT INTO `Users` SELECT seq, concat('n', seq) FROM seq_1_to_100",
        "CREATE TABLE `users` (other int)",
    )
    relation = Relation("Users", partition_column="ID")
    run(users_spec("mysql", relation, ID, Column("NAME", "name")))
    assert len(run.rows("users/")) == 100
    tables = run.runtime(users_spec("mysql", relation, ID)).tables
    assert [tables.size(name) for name in ("Users", "nowhere")] == [16_384, 0]  # InnoDB's one page
    assert run.refused(users_spec("mysql", Relation("USERS"), ID, Column("NAME", "name"))) == (
        "data set USERS: table 'USERS' does not exist in the database; did you mean 'Users'?"
        " Tables: Users, users"
    )
    assert "there is no column 'id'; Columns: users.other" in run.refused(
        users_spec("mysql", Relation("users"), ID, Column("NAME", "other"))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wr0ng"}, "Access denied for user 'shop'@'127.0.0.1'"),
        ({"name": "nowhere"}, "Unknown database 'nowhere'"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(
    run: Run, mariadb: MariaDbDatabase, change: dict[str, Any], message: str
) -> None:
    parts = {"password": mariadb.url.split(":")[2].split("@")[0], "name": mariadb.name}
    for key, value in change.items():
        run.url = run.url.replace(parts[key], value)
    refused = run.refused(users_spec("mysql", Relation("users"), ID, Column("NAME", "name")))
    assert message in refused
    assert refused.startswith("mysql database '")


def test_rejected_rows_are_json_with_the_values_of_their_other_columns(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "SET sql_mode = ''",
        "CREATE TABLE users (id int, d date, n decimal(5,1))",
        "INSERT INTO users VALUES (1, '0000-00-00', 1.5), (2, '2024-01-01', 1.5)",
    )
    columns = Column("D", "datediff(d, '2024-01-01')", "int"), Column("N", "n", "float")
    run(users_spec("mysql", Relation("users"), ID, *columns))
    assert run.rows("users/") == [["2", "0", "1.5"]]
    assert json.loads(run.text("rejected/users.json")) == {
        "reason": "value cannot be read as int",
        "column": "D",
        "row": {"USER_ID": 1, "D": "0000-00-00", "N": 1.5},
    }


def test_zero_dates_are_null_if_the_url_says_so_and_else_the_error_says_how(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "SET sql_mode = ''",
        "CREATE TABLE users (id int, d date NOT NULL)",
        "INSERT INTO users VALUES (1, '0000-00-00'), (2, '2024-01-01'), (3, '2024-00-01')",
    )
    spec = users_spec("mysql", Relation("users"), ID, Column("D", "d"), max_rejected_share=0.4)
    assert run.refused(spec).endswith(
        "; MySQL's zero dates become null if zeroDateTimeBehavior=CONVERT_TO_NULL is in the"
        " database's URL, on AWS in that of the Glue connection"
    )
    run.url += "?zeroDateTimeBehavior=CONVERT_TO_NULL"
    run(spec)
    assert run.rows("users/") == [["1", ""], ["2", "2024-01-01"]]


TYPES = {
    "smallint unsigned": ("65535", "65535"),
    "mediumint": ("-8388608", "-8388608"),
    "bigint": ("-9223372036854775808", "-9223372036854775808"),
    "bit(8)": ("b'110'", "6"),
    "year": ("1901", "1901"),
    "decimal(38,0)": ("9" * 38, "9" * 38),
    "decimal(40,2)": ("1.25", "1.25"),
    "char(9)": ("'a '", "a"),
    "varchar(9)": ("'a '", "a "),
    "mediumtext": ("'日本'", "日本"),
    "char(9) CHARACTER SET latin1": ("'é'", "é"),
    "enum('x', 'a b')": ("'a b'", "a b"),
    "set('x', 'y')": ("'y,x'", "x,y"),
    "json": ("'{\"a\": 1}'", '{"a": 1}'),
    "uuid": ("'00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
    "inet6": ("'::1'", "::1"),
    "date": ("'2024-02-29'", "2024-02-29"),
    "datetime(3)": ("'2024-02-29 01:02:03.25'", "2024-02-29 01:02:03.25"),
    "timestamp(3)": ("'2024-02-29 09:02:03.25'", "2024-02-29 00:02:03.25"),
    "time": ("'-23:59:59'", "-23:59:59"),
}


def test_each_type_arrives_as_documented(run: Run, mariadb: MariaDbDatabase) -> None:
    names = {f"c{number}": each for number, each in enumerate(TYPES)}
    mariadb.execute(
        f"CREATE TABLE users (id int, {', '.join(f'{n} {t}' for n, t in names.items())})",
        f"INSERT INTO users VALUES (1, {', '.join(value for value, _ in TYPES.values())})",
    )
    columns = (Column(name.upper(), name) for name in names)
    run(users_spec("mysql", Relation("users"), ID, *columns))
    assert dict(zip(TYPES, run.rows("users/")[0][1:], strict=True)) == {
        database_type: text for database_type, (_, text) in TYPES.items()
    }
    mariadb.execute("ALTER TABLE users ADD b blob, ADD g point")
    for name in ("b", "g"):
        refused = run.refused(users_spec("mysql", Relation("users"), ID, Column("B", name)))
        assert "Personalize has no binary values; use hex(…)" in refused


def test_a_zero_date_in_a_filter_rejects_the_row_and_a_time_is_compared(
    run: Run, mariadb: MariaDbDatabase
) -> None:
    mariadb.execute(
        "SET sql_mode = ''",
        "CREATE TABLE users (id int, d date NOT NULL, t time)",
        "INSERT INTO users VALUES (1, '0000-00-00', '800:00:00'), (2, '2024-01-01', '-1:00:00'),"
        " (3, '2023-01-01', '10:00:00'), (4, '2023-01-01', NULL)",
    )
    one = Column("ONE", "1")
    for condition in ("d >= '2024-01-01'", "d IS NULL OR d > '2023-06-01'"):
        run(users_spec("mysql", Relation("users", filter=condition), ID, one))
        assert run.rows("users/") == [["2", "1"]]
        assert run.rejected("users") == [("value cannot be compared", "filter", "0000-00-00")]
    run(users_spec("mysql", Relation("users", filter="hour(t) > 9"), ID, one))
    assert run.rows("users/") == [["3", "1"]]
    run(users_spec("mysql", Relation("users", filter="t IS NULL"), ID, one))
    assert run.rows("users/") == [["4", "1"]]
