"""The job on a real PostgreSQL: each type arrives as what the database means."""

import json
import re
from dataclasses import replace
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.datasets import Column, DataSet, JobSpec, Join, Lookup, Relation
from localaws.http.endpoint import Endpoint
from tests.etl.runs import Run, users_spec

ID = Column("USER_ID", "id", required=True)


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path) -> Run:
    return Run(endpoint, spark, database, tmp_path)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def test_char_is_not_padded_as_an_id_a_category_a_filter_or_a_join_key(run: Run) -> None:
    execute(
        run.url,
        "CREATE DOMAIN code AS char(6)",
        "CREATE TABLE users (id char(8), plan code, tags char(4)[], open bpchar)",
        "INSERT INTO users VALUES ('u1', 'free', '{a,bb}', 'x '), ('u2', 'pro', '{}', NULL)",
        "CREATE TABLE events (u text, item char(6), kind char(9), at timestamptz)",
        "INSERT INTO events VALUES ('u1', 'i1', 'view', '2024-01-01 09:00+09'),"
        " ('u2', 'i1', 'buy', '2024-01-01 09:00+09')",
    )
    columns = Column("PLAN", "plan"), Column("TAGS", "array_join(tags, '|')"), Column("O", "open")
    users = DataSet("USERS", Relation("users"), (ID, *columns))
    events = DataSet(
        "INTERACTIONS",
        Relation(
            "events",
            joins=(Join("users", "inner", {"u": "id"}),),
            filter="kind = 'view' AND plan IN ('free')",
        ),
        (
            Column("USER_ID", "users.id", required=True),
            Column("ITEM_ID", "item", required=True),
            Column("TIMESTAMP", "at", "long", required=True),
            Column("EVENT_TYPE", "kind"),
        ),
    )
    batch = Lookup("batch-input/", Relation("users"), {"USER_ID": "id"})
    run(JobSpec("postgresql", (users, events), batch))
    assert run.rows("users/") == [["u1", "free", "a|bb", "x"], ["u2", "pro", "", ""]]
    assert run.rows("interactions/") == [["u1", "i1", "1704067200", "view"]]


def test_columns_that_nobody_names_may_have_any_type_and_any_value(run: Run) -> None:
    execute(
        run.url,
        "CREATE TYPE pair AS (x int, y text)",
        """CREATE TABLE users (
            id int, day date, n numeric, grid int[][], prices money[], "a""b" int, pairs pair[],
            hole refcursor, "date" date, tiny numeric(3,-2), "ID 2" int)""",
        """INSERT INTO users VALUES (1, 'infinity', 'NaN', '{{1,2},{3,4}}', '{$1}', 5,
            '{"(1,z)"}', 'r', '-infinity', 1200, 3)""",
    )
    spec = users_spec(
        "postgresql", Relation("users"), ID, Column("ONE", "date(string('2024-01-01'))")
    )
    run(spec)
    assert run.rows("users/") == [["1", "2024-01-01"]]
    run(users_spec("postgresql", Relation("users"), ID, Column("P", "array_join(prices, ' ')")))
    assert run.rows("users/") == [["1", "$1.00"]]
    odd = Relation("users", rename={'a"b': "renamed"})
    columns = Column("ODD", "renamed", "int"), Column("TINY", "tiny", "int")
    run(users_spec("postgresql", odd, ID, *columns, Column("B", "`ID 2`", "int")))
    assert run.rows("users/") == [["1", "5", "1200", "3"]]
    refused = run.refused(users_spec("postgresql", Relation("users"), ID, Column("N", "nn")))
    assert (
        "there is no column 'nn'; did you mean 'users.n'? Columns: users.id, users.day" in refused
    )


# A type, the column of x, texts of values with what is written of them, and unreadable ones.
UNREADABLE: list[tuple[str, Column, dict[str, str], list[str]]] = [
    ("numeric", Column("X", "x", "double"), {"1.5": "1.5"}, ["NaN", "Infinity", "1" * 25]),
    ("numeric(5,2)", Column("X", "x", "float"), {"-1.25": "-1.25"}, ["NaN"]),
    (
        "numeric(45,3)",
        Column("X", "x"),
        {"1.500": "1.5", "9" * 35: "9" * 35},
        [f"{'9' * 40}.000"],
    ),
    ("numeric", Column("X", "x"), {"12.00": "12", "9" * 20: "9" * 20}, ["9" * 21, "-Infinity"]),
    ("numeric", Column("X", "x + 1", "int"), {"1": "2"}, ["NaN"]),
    ("numeric", Column("X", "coalesce(x, 0)", "int"), {"1": "1"}, ["NaN"]),
    ("numeric", Column("X", "x", "boolean"), {"1": "True"}, ["NaN"]),
    ("float8", Column("X", "x", "double"), {"2.5": "2.5"}, ["NaN", "Infinity"]),
    ("float4", Column("X", "x", "long"), {"2": "2"}, ["NaN", "Infinity", "1e20", "1.5"]),
    ("date", Column("X", "x", "long"), {"1969-12-31": "-86400"}, ["infinity", "0044-03-15 BC"]),
    ("date", Column("X", "x"), {"0500-01-01": "0500-01-01"}, ["-infinity", "20000-01-01"]),
    ("numeric[]", Column("X", "x[0]", "int"), {"{1,NULL}": "1"}, ["{1,NaN}", "{{1},{2}}"]),
    ("date[]", Column("X", "string(x[0])"), {"{2024-01-01}": "2024-01-01"}, ["{infinity}"]),
    ("int[]", Column("X", "size(x)", "int"), {"{7,8}": "2", "{}": "0"}, ["{{1,2},{3,4}}"]),
]


def test_a_value_that_cannot_be_read_is_a_rejected_row_with_its_text(run: Run) -> None:
    """Each row has a value in one column alone; the first row has none."""
    names = [f"x{number}" for number in range(len(UNREADABLE))]
    types = ", ".join(f"{name} {row[0]}" for name, row in zip(names, UNREADABLE, strict=True))
    execute(run.url, f"CREATE TABLE users (id int, {types})", "INSERT INTO users VALUES (0)")
    columns = [
        replace(row[1], name=name, source=re.sub(r"\bx\b", name, row[1].source))
        for name, row in zip(names, UNREADABLE, strict=True)
    ]
    null = ["0" if "coal" in c.source else "-1" if "size" in c.source else "" for c in columns]
    ids, written, unreadable = count(1), [["0", *null]], []
    for place, (column_type, column, accepted, rejected) in enumerate(UNREADABLE):
        name, reason = names[place], f"value cannot be read as {column.type}"
        for text in (*accepted, *rejected):
            row_id = str(next(ids))
            execute(run.url, f"INSERT INTO users (id, {name}) VALUES ({row_id}, '{text}')")
            if text in accepted:
                written.append([row_id, *null[:place], accepted[text], *null[place + 1 :]])
            else:
                unreadable.append((reason, name, None if "float" in column_type else text))
    run(users_spec("postgresql", Relation("users"), ID, *columns))
    assert run.rows("users/") == sorted(written)
    floats = {name for name, row in zip(names, UNREADABLE, strict=True) if "float" in row[0]}
    found = [(why, name, None if name in floats else x) for why, name, x in run.rejected("users")]
    assert sorted(found, key=repr) == sorted(unreadable, key=repr)


def test_times_before_1970_and_without_end_are_rejected_rows(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE events (u int, i int, at timestamptz, day date, t timestamp(3))",
        """INSERT INTO events VALUES
            (1, 1, '1970-01-01Z', '1970-01-01', '1970-01-01 00:00:00.999'),
            (2, 1, '1969-12-31 23:59:59.5Z', '1970-01-01', '1970-01-01'),
            (3, 1, 'infinity', '1970-01-01', '1970-01-01'),
            (4, 1, '-infinity', '1970-01-01', '1970-01-01'),
            (5, 1, '1970-01-01Z', 'infinity', '1970-01-01'),
            (6, 1, '1970-01-01Z', '1969-12-31', '1970-01-01'),
            (7, 1, '1970-01-01Z', '1970-01-01', '-infinity'),
            (8, 1, '9999-12-31Z', '1970-01-01', '1970-01-01')""",
    )
    rejected = []
    for source in ("at", "day", "t"):
        columns = (
            Column("USER_ID", "u", required=True),
            Column("ITEM_ID", "i", required=True),
            Column("TIMESTAMP", source, "long", required=True),
        )
        batch = Lookup("batch-input/", Relation("events"), {"USER_ID": "u"})
        events = DataSet("INTERACTIONS", Relation("events"), columns)
        manifest = run(JobSpec("postgresql", (events,), batch, max_rejected_share=1))
        assert list(manifest["datasets"]["INTERACTIONS"]["rejected"]) == ["unreadable timestamp"]
        assert {row[2] for row in run.rows("interactions/")} == {"0"}
        lines = run.text("rejected/interactions.json").splitlines()
        rows = [json.loads(line)["row"] for line in lines]
        rejected += [(row["USER_ID"], row["TIMESTAMP"]) for row in rows]
    assert sorted(rejected) == [
        (2, "1969-12-31T23:59:59.500Z"),
        (3, "infinity"),
        (4, "-infinity"),
        (5, "infinity"),
        (6, "1969-12-31"),
        (7, "-infinity"),
        (8, "9999-12-31T00:00:00.000Z"),
    ]


TYPES = {
    "smallint": ("-5", "-5"),
    "bigint": ("9223372036854775807", "9223372036854775807"),
    "oid": ("5", "5"),
    "numeric(38,0)": ("9" * 38, "9" * 38),
    "numeric(3,-2)": ("12345", "12300"),
    "numeric(3,5)": ("0.00123", "0.00123"),
    "numeric(39,2)": ("1.25", "1.25"),
    "char(9)": ("a ", "a"),
    "varchar(9)": ("a ", "a "),
    "name": ("n", "n"),
    '"char"': ("x", "x"),
    "uuid": ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"),
    "date": ("2024-02-29", "2024-02-29"),
    "timestamp(3)": ("2024-02-29 01:02:03.25", "2024-02-29 01:02:03.25"),
    "timestamptz": ("2024-02-29 09:02:03.25+09", "2024-02-29 00:02:03.25"),
    "time": ("23:59:59", "23:59:59"),
    "mood": ("so so", "so so"),
    "padded": ("ab", "ab"),
    "json": ('{"a": 1}', '{"a": 1}'),
    "money": ("1234.5", "$1,234.50"),
    "bit(4)": ("0110", "0110"),
    "bit varying": ("011", "011"),
    "interval": ("1 day 02:00", "1 day 02:00:00"),
    "inet": ("10.0.0.1", "10.0.0.1"),
    "int4range": ("[1,3)", "[1,3)"),
    "point": ("(1,2)", "(1,2)"),
    "xml": ("<a/>", "<a/>"),
    "pair": ("(1,z)", "(1,z)"),
}


def test_each_type_arrives_as_documented(run: Run) -> None:
    names = {f"c{number}": each for number, each in enumerate(TYPES)}
    execute(
        run.url,
        "CREATE TYPE mood AS ENUM ('so so')",
        "CREATE DOMAIN padded AS char(9)",
        "CREATE TYPE pair AS (x int, y text)",
        f"CREATE TABLE users (id int, {', '.join(f'{n} {t}' for n, t in names.items())})",
        f"INSERT INTO users VALUES (1, {', '.join(repr(value) for value, _ in TYPES.values())})",
    )
    columns = (Column(name.upper(), name) for name in names)
    run(users_spec("postgresql", Relation("users"), ID, *columns))
    assert dict(zip(TYPES, run.rows("users/")[0][1:], strict=True)) == {
        database_type: text for database_type, (_, text) in TYPES.items()
    }
    execute(run.url, "ALTER TABLE users ADD b bytea")
    refused = run.refused(users_spec("postgresql", Relation("users"), ID, Column("B", "b")))
    assert "Personalize has no binary values; use hex(…)" in refused


def test_arrays_arrive_as_arrays_of_what_their_elements_are(run: Run) -> None:
    arrays = {
        "char(4)[]": ("{a,NULL,bb}", "a|bb"),
        "mood[]": ("{so,la}", "so|la"),
        "numeric(5,2)[]": ("{1.5,2}", "1.50|2.00"),
        "int[]": ("{3,1}", "3|1"),
        "timestamptz[]": ("{2024-01-01 09:00+09}", "2024-01-01 00:00:00"),
        "uuid[]": (
            "{00000000-0000-0000-0000-000000000001}",
            "00000000-0000-0000-0000-000000000001",
        ),
        "boolean[]": ("{t,f}", "true|false"),
        "varchar(3)[]": ("{}", ""),
    }
    names = {f"c{number}": each for number, each in enumerate(arrays)}
    execute(
        run.url,
        "CREATE TYPE mood AS ENUM ('so', 'la')",
        f"CREATE TABLE users (id int, {', '.join(f'{n} {t}' for n, t in names.items())})",
        f"INSERT INTO users VALUES (1, {', '.join(repr(value) for value, _ in arrays.values())})",
    )
    columns = (Column(name.upper(), f"array_join({name}, '|')") for name in names)
    run(users_spec("postgresql", Relation("users"), ID, *columns))
    assert dict(zip(arrays, run.rows("users/")[0][1:], strict=True)) == {
        database_type: text for database_type, (_, text) in arrays.items()
    }


def test_a_filter_compares_infinity_and_nan_as_the_database_does(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id int, until date, price numeric, at timestamptz, grid int[])",
        """INSERT INTO users VALUES (1, 'infinity', 'NaN', '-infinity', '{1}'),
            (2, '-infinity', 5, '2024-01-01', '{2}'), (3, '2024-01-01', '-Infinity', NULL, NULL),
            (4, NULL, 1e30, '2024-01-01', '{{1},{2}}')""",
    )
    kept = {
        "until > date '2024-06-01'": ["1"],
        "until < date '2024-01-01'": ["2"],
        "until IS NULL": ["4"],
        "price > 10": ["1", "4"],
        "price < 0": ["3"],
        "at < timestamp '2000-01-01'": ["1"],
    }
    for condition, ids in kept.items():
        manifest = run(
            users_spec("postgresql", Relation("users", filter=condition), ID, Column("ONE", "1"))
        )
        assert [row[0] for row in run.rows("users/")] == ids, condition
        assert manifest["datasets"]["USERS"]["rejected"] == {}
    spec = users_spec("postgresql", Relation("users", filter="grid[0] = 2"), ID, Column("ONE", "1"))
    run(spec)
    assert [row[0] for row in run.rows("users/")] == ["2"]
    assert run.rejected("users") == [("value cannot be compared", "filter", "{{1},{2}}")]


def test_a_row_whose_join_key_cannot_be_read_is_rejected_and_not_lost(run: Run) -> None:
    digits = "9" * 40
    execute(
        run.url,
        "CREATE TABLE users (id int, account numeric, plan text)",
        f"INSERT INTO users VALUES (1, 7, 'free'), (2, {digits}, 'free'), (3, 'NaN', 'pro'),"
        " (4, 8, 'free'), (5, NULL, 'free')",
        "CREATE TABLE accounts (number numeric, owner int)",
        f"INSERT INTO accounts VALUES (7.0, 70), ({digits}, 71)",
        "CREATE TABLE owners (id int, city text)",
        "INSERT INTO owners VALUES (70, 'Kyoto')",
    )
    accounts, city = Join("accounts", "inner", {"account": "number"}), Column("CITY", "city")
    for first, found in (("inner", [["1", "Kyoto"]]), ("left", [["1", "Kyoto"]])):
        joins = (replace(accounts, how=first), Join("owners", "inner", {"owner": "owners.id"}))
        id_column = Column("USER_ID", "users.id", required=True)
        for condition in ("", "city = 'Kyoto'"):
            relation = Relation("users", joins=joins, filter=condition)
            manifest = run(users_spec("postgresql", relation, id_column, city))
            assert run.rows("users/") == found
            assert run.rejected("users") == [
                ("value cannot be compared", "joins", digits),
                ("value cannot be compared", "joins", "NaN"),
            ]
            assert manifest["batchInput"]["rejected"] == {"value cannot be compared": 2}


def test_rows_of_lists_that_cannot_be_read_are_counted_and_too_many_fail(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id numeric, n int)",
        "INSERT INTO users SELECT n, n FROM generate_series(1, 8) AS n",
        f"INSERT INTO users VALUES ('NaN', 9), ({'9' * 40}, 10), (1, 11), (NULL, 12), (NULL, 13)",
    )
    one = Column("ONE", "1", "int")
    users = Relation("users", filter="n < 9")
    spec = users_spec("postgresql", users, Column("USER_ID", "id", required=True), one)
    everybody = replace(spec, batch_input=replace(spec.batch_input, relation=Relation("users")))
    manifest = run(everybody)
    assert manifest["batchInput"] == {
        "contentHash": manifest["batchInput"]["contentHash"],
        "path": "batch-input/",
        "rows": 8,
        "rejected": {"null id": 1, "value cannot be read as string": 2},
        "id": "USER_ID",
    }
    reason = "value cannot be read as string"
    assert run.rejected("batch-input") == [
        ("null id", "USER_ID", None),
        (reason, "USER_ID", "9" * 40),
        (reason, "USER_ID", "NaN"),
    ]
    assert "\n".join(run.log).count("left out 3: null id (USER_ID) 1, value cannot be read") == 1
    message = run.refused(replace(everybody, max_rejected_share=0.1))
    assert (
        "batch input: 2 of 10 rows (20.0%) break a rule, more than max_rejected_share = 10.0%:"
        " value cannot be read as string (USER_ID) 2; for example" in message
    )
    exclusions = Lookup("filter/exclusions/", Relation("users"), {"USER_ID": "id", "ITEM_ID": "n"})
    message = run.refused(replace(spec, exclusions=exclusions, max_rejected_share=0.1))
    assert message.startswith("exclusions: 2 of 11 rows (18.2%) break a rule")


def test_days_written_as_numbers_are_warned_of_and_times_are_no_timestamps(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id int, day int, at time, seconds text)",
        "INSERT INTO users VALUES (1, 20251231, '10:00', '1714500000')",
    )
    days = Column("CREATION_TIMESTAMP", "day", "long")
    run(users_spec("postgresql", Relation("users"), ID, days))
    (warning,) = [line for line in run.log if line.startswith("WARNING: data set USERS")]
    assert "the newest timestamp is 20251231, that is 1970-08-23; a number is taken as" in warning
    for source in ("at", "seconds"):
        column = replace(days, source=source)
        message = run.refused(
            users_spec("postgresql", Relation("users"), ID, column, max_rejected_share=0)
        )
        assert "unreadable timestamp (CREATION_TIMESTAMP) 1" in message
        assert "cast(x as bigint) for epoch seconds in a text" in message


def test_ids_that_begin_with_a_number_sign_are_ids_like_any_other(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id text, n int)",
        """INSERT INTO users VALUES ('#1', 1), ('##', 2), ('"#"', 3)""",
    )
    spec = users_spec("postgresql", Relation("users"), ID, Column("N", "n", "int"))
    exclusions = Lookup("filter/exclusions/", Relation("users"), {"USER_ID": "id", "ITEM_ID": "id"})
    run(replace(spec, exclusions=exclusions))
    assert run.rows("users/") == [['"#"', "3"], ["##", "2"], ["#1", "1"]]
    assert run.text("users/part-00000.csv").splitlines()[1:] == ["#1,1", "##,2", '"\\"#\\"",3']
    assert run.rows("filter/exclusions/") == [['"#"', '"#"'], ["##", "##"], ["#1", "#1"]]


def test_decimals_are_written_and_joined_as_people_write_them(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id numeric, small numeric(30,10), code numeric(12,2))",
        "INSERT INTO users VALUES (0.0000000001, 0.000000001, 7), (-0.0000002, 0, 8.50),"
        " (99999999999999999999.123456789012345678, 1, 9)",
        "CREATE TABLE plans (code text, plan text)",
        "INSERT INTO plans VALUES ('7', 'a'), ('8.5', 'b'), ('9.00', 'c')",
    )
    relation = Relation("users", joins=(Join("plans", "left", {"users.code": "plans.code"}),))
    columns = Column("SMALL", "small"), Column("PLAN", "plan")
    run(users_spec("postgresql", relation, ID, *columns))
    assert run.rows("users/") == [
        ["-0.0000002", "0", "b"],
        ["0.0000000001", "0.000000001", "a"],
        ["99999999999999999999.123456789012345678", "1", ""],
    ]


def test_domains_of_domains_and_arrays_of_decimals_and_bits(run: Run) -> None:
    execute(
        run.url,
        "CREATE DOMAIN inner_code AS numeric(20,4)",
        "CREATE DOMAIN code AS inner_code CHECK (VALUE > 0)",
        "CREATE DOMAIN moment AS timestamptz",
        "CREATE DOMAIN moments AS moment",
        "CREATE TABLE users (id code, at moments, prices numeric[], few numeric(5,1)[],"
        " bits bit(1)[], times time[])",
        "INSERT INTO users VALUES (1, '2024-01-01 09:00+09', '{1.50,2}', '{1.5,2}', '{1,0}',"
        " '{09:00,10:30}')",
    )
    columns = (
        Column("AT", "at", "long"),
        *(Column(name.upper(), f"array_join({name}, '|')") for name in ("prices", "few", "bits")),
        Column("TIMES", "array_join(times, '|')"),
    )
    run(users_spec("postgresql", Relation("users"), ID, *columns))
    assert run.rows("users/") == [
        ["1", "1704067200", "1.50|2", "1.5|2.0", "1|0", "09:00:00|10:30:00"]
    ]


def test_rows_that_another_condition_leaves_out_are_not_rejected(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id int, kind text, grid int[])",
        "INSERT INTO users VALUES (1, 'old', '{{1}}'), (2, 'new', '{2}'), (3, 'new', '{{3}}'),"
        " (4, 'new', NULL)",
    )
    one = Column("ONE", "1")
    for condition, ids, rejected in (
        ("kind = 'new' AND grid[0] = 2", ["2"], ["{{3}}"]),
        ("kind IN ('new') AND grid[0] = 2", ["2"], ["{{3}}"]),
        ("kind = 'old' OR grid[0] = 2", ["1", "2"], ["{{3}}"]),
        ("kind = 'new' AND grid IS NOT NULL", ["2"], ["{{1}}", "{{3}}"]),
    ):
        manifest = run(users_spec("postgresql", Relation("users", filter=condition), ID, one))
        assert [row[0] for row in run.rows("users/")] == ids, condition
        texts = [value for *_, value in run.rejected("users")]
        assert texts == rejected, condition
        assert manifest["batchInput"]["rejected"] == {"value cannot be compared": len(rejected)}


def test_a_text_that_is_no_value_of_the_compared_type_is_refused(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id int, at timestamptz)",
        "INSERT INTO users VALUES (1, now())",
    )
    for condition, problem in (
        ("at > 'yesterday'", "'yesterday' is no timestamp"),
        ("at > '2024-13-45' OR id = 1", "'2024-13-45' is no timestamp"),
        ("id = 'x1'", "'x1' is no int"),
    ):
        spec = users_spec("postgresql", Relation("users", filter=condition), ID, Column("A", "1"))
        message = (
            f'datasets.users.filter = "{condition}": {problem}: the condition holds for no row'
        )
        assert message in run.refused(spec)
    run(users_spec("postgresql", Relation("users", filter="id = '1'"), ID, Column("A", "1")))
    assert run.rows("users/") == [["1", "1"]]


def test_what_spark_cannot_tell_apart_or_makes_several_rows_of_is_refused(run: Run) -> None:
    execute(
        run.url,
        'CREATE TABLE users ("Id" int, id int, "we""ird" int)',
        "INSERT INTO users VALUES (1, 2, 3)",
        "CREATE TABLE plans (number int, plan text)",
        "INSERT INTO plans VALUES (3, 'a')",
    )
    assert run.refused(users_spec("postgresql", Relation("users"), ID)).endswith(
        "table 'users' has the columns 'Id' and 'id', which Spark takes for the same name; make a"
        " view that renames one of them, and name it as the table"
    )
    odd = Column("USER_ID", '`we"ird`', required=True)
    spec = users_spec("postgresql", Relation("users"), odd, Column("A", "explode(array(1, 2))"))
    assert "makes several rows of one; make a view in the database" in run.refused(spec)
    joined = Relation("users", joins=(Join("plans", "inner", {'we"ird': "number"}),))
    run(users_spec("postgresql", joined, odd, Column("PLAN", "plan")))
    assert run.rows("users/") == [["3", "a"]]
    spec = users_spec("postgresql", Relation("other.public.users"), ID)
    assert "'other.public.users' is no table's name; write table or schema.table" in run.refused(
        spec
    )


def test_a_partition_column_may_hold_the_greatest_number(run: Run) -> None:
    execute(
        run.url,
        "CREATE TABLE users (id bigint)",
        "INSERT INTO users VALUES (1), (9223372036854775807), (-9223372036854775808)",
    )
    relation = Relation("users", partition_column="id")
    run(users_spec("postgresql", relation, ID, Column("ONE", "1")))
    assert [row[0] for row in run.rows("users/")] == [
        "-9223372036854775808",
        "1",
        "9223372036854775807",
    ]
