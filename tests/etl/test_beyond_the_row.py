"""An expression sees the columns of its row: no Java, no file, no variable and no other row."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import Column, DataSet, JobSpec, Lookup, Relation, beyond_the_row
from etl.plans import beyond_the_parsed_row
from etl.preview import problems
from tests.etl.test_preview import SHOP, tables

GETENV = "('java.lang.System', 'getenv', 'DATABASE_URL')"
BEYOND = {
    f"reflect{GETENV}": "reflect(…)",
    f"concat('x', REFLECT {GETENV})": "reflect(…)",
    f"`reflect`{GETENV}": "reflect(…)",
    f"reflect/* a /* b */ c */-- d\n{GETENV}": "reflect(…)",
    f"reflect -- ( \\\n more\n{GETENV}": "reflect(…)",
    f"java_method{GETENV}": "java_method(…)",
    f"'--' || reflect/**/{GETENV}": "reflect(…)",
    f"r'\\' || reflect{GETENV} || r'\\'": "reflect(…)",
    f"identifier('ref' || 'lect'){GETENV}": "identifier(…)",
    f"transform(array(name), x -> reflect{GETENV})[0]": "reflect(…)",
    "input_file_name()": "input_file_name(…)",
    "input_file_block_start()": "input_file_block_start(…)",
    "current_user()": "current_user(…)",
    "user()": "user(…)",
    "version()": "version(…)",
    "current_database()": "current_database(…)",
    "monotonically_increasing_id()": "monotonically_increasing_id(…)",
    "spark_partition_id()": "spark_partition_id(…)",
    "'${env:DATABASE_URL}'": "${env:DATABASE_URL}",
    "'${system:user.home}'": "${system:user.home}",
    "(SELECT max(value) FROM text.`/etc/hostname`)": "a subquery",
    "(/* x */ select first(value) from text.`/etc/hostname`)": "a subquery",
    "(TABLE text.`/etc/hostname`)": "a subquery",
    "name IN (FROM text.`/etc/hostname` SELECT value)": "a subquery",
    "exists(with a as (select 1) select * from a)": "a subquery",
    "(SELECT TRANSFORM(1) USING 'cat' AS (x))": "a subquery",
}
WITHIN = [
    "name",
    "user.id",
    "`user`",
    "upper(user)",
    "CASE WHEN name = 'reflect' THEN 'please (select one)' END",
    "extract(YEAR FROM at)",
    "trim(BOTH ' ' FROM name)",
    "(from_unixtime(id))",
    "version",
    "exists(split(name, ','), x -> x = 'a')",
    "concat(name, '$', '{', '}')",
    "name -- a comment",
    "name /* reflect() is refused */",
    "(table_name)",
    "reflection(name)",
]


@pytest.mark.parametrize(("expression", "found"), BEYOND.items())
def test_what_reads_something_else_is_named(expression: str, found: str) -> None:
    assert beyond_the_row(expression) == found


@pytest.mark.parametrize("expression", [each for each in WITHIN if "reflect()" not in each])
def test_what_reads_its_row_alone_is_taken(spark: SparkSession, expression: str) -> None:
    assert beyond_the_row(expression) is None
    assert beyond_the_parsed_row(expression) is None


@pytest.mark.parametrize("expression", [each for each in BEYOND if "${" not in each])
def test_sparks_own_parser_finds_the_same(spark: SparkSession, expression: str) -> None:
    assert beyond_the_parsed_row(expression) == BEYOND[expression]


def test_spark_itself_replaces_no_variable_and_reads_no_file(spark: SparkSession) -> None:
    rows = spark.range(1)
    assert rows.select(F.expr("'${env:HOME}'")).collect()[0][0] == "${env:HOME}"
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        rows.select(F.expr("(SELECT max(value) FROM text.`/etc/hostname`)"))


def test_the_check_against_a_database_names_their_keys(database: str, spark: SparkSession) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SHOP)
    users = DataSet(
        "USERS",
        Relation("buyers", filter="input_file_name() <> ''"),
        (Column("USER_ID", f"java_method{GETENV}", required=True),),
    )
    batch = Lookup("batch-input/", Relation("buyers"), {"USER_ID": "'${env:HOME}'"})
    spec = JobSpec(engine="postgresql", datasets=(users,), batch_input=batch)

    found = problems(tables(spark, database), spec)

    assert {problem.partition(" reads something else")[0] for problem in found} == {
        "datasets.users.filter = \"input_file_name() <> ''\": input_file_name(…)",
        f'datasets.users.columns.USER_ID = "java_method{GETENV}": java_method(…)',
        "batch_inference.user_id = \"'${env:HOME}'\": ${env:HOME}",
    }
    fits = replace(spec, datasets=(), batch_input=replace(batch, columns={"USER_ID": "buyers.id"}))
    assert problems(tables(spark, database), fits) == []


def test_java_does_not_get_the_database_s_password(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from etl.session import local_spark
spark = local_spark(Path(sys.argv[1]), drivers={})
java = spark._jvm.System.getenv()
print(sorted(name for name in java if "sEcret" in java[name] or name == "KEPT"))
workers = spark.sparkContext.parallelize([1], 1).map(lambda _: os.environ.get("DATABASE_URL"))
print(workers.collect(), os.environ["DATABASE_URL"])
spark.stop()
"""
    url = "postgresql://me:sEcret@127.0.0.1/shop"
    environment = {**os.environ, "DATABASE_URL": url, "PG_URL": url, "KEPT": "http://x/y"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines() == ["['KEPT']", f"[None] {url}"]
