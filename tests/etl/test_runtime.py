"""The Glue runtime against a recorded `awsglue`, and the command line of both runtimes.

AWS's own `awsglue` needs jars that exist on Glue alone, so a fake records its calls. It has the
signatures of the original: any other call fails.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.arguments import Arguments, parse_arguments
from etl.datasets import JobSpec, Lookup, Relation
from etl.errors import EtlError, TableError
from etl.runtime import GlueRuntime, RunFolder, open_runtime
from tests.etl.awsglue_signatures import REQUIRED, SIGNATURES, with_signature

SPEC = JobSpec(
    engine="postgresql",
    datasets=(),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
    partitions=6,
)
ON_GLUE = Arguments("glue", "nightly-etl", "run-1", "bucket", "s3://bucket/spec.json", "rds")


@dataclass(frozen=True)
class DiskFolder(RunFolder):
    """The run's folder on this disk, since Spark reaches `s3://` on Glue alone."""

    directory: Path

    def uri(self, path: str) -> str:
        """Return a path of this disk."""
        return f"{self.directory}/{path}"


class RecordedS3:
    """Records the objects in the order in which they are written."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def put_object(self, **arguments: Any) -> None:
        """Record the object."""
        self.calls.append(("put_object", arguments))


@pytest.fixture
def jdbc(database: str) -> dict[str, str]:
    """Return what Glue says of its connection, which leads to a real PostgreSQL."""
    url = urlsplit(database)
    return {
        "url": f"jdbc:postgresql://127.0.0.1:{url.port}",
        "fullUrl": f"jdbc:postgresql://127.0.0.1:{url.port}{url.path}",
        "user": str(url.username),
        "password": str(url.password),
        "vendor": "postgresql",
        "enforceSSL": "false",
    }


@pytest.fixture
def glue_calls(
    spark: SparkSession, jdbc: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Install a fake `awsglue`, and return its calls in their order."""
    calls: list[Any] = []

    def recorded(name: str, answer: Any = None) -> Any:
        def record(**arguments: Any) -> Any:
            calls.append((name, arguments))
            return answer

        return with_signature(name, record)

    def options_of(args: list[str], options: list[str]) -> dict[str, str]:
        calls.append(("getResolvedOptions", options))
        return {name: args[args.index(f"--{name}") + 1] for name in options}

    context = SimpleNamespace(
        spark_session=spark,
        extract_jdbc_conf=recorded("GlueContext.extract_jdbc_conf", jdbc),
    )
    job = SimpleNamespace(init=recorded("Job.init"), commit=recorded("Job.commit"))
    members: dict[str, dict[str, Any]] = {
        "awsglue": {},
        "awsglue.context": {"GlueContext": with_signature("GlueContext", lambda **_: context)},
        "awsglue.job": {"Job": with_signature("Job", lambda **_: job)},
        "awsglue.utils": {"getResolvedOptions": with_signature("getResolvedOptions", options_of)},
    }
    for name, attributes in members.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def on_glue(calls: list[Any], directory: Path) -> GlueRuntime:
    folder = DiskFolder(RecordedS3(calls), "bucket", "run-1", directory)
    runtime = GlueRuntime(arguments=ON_GLUE, folder=folder, spec=SPEC)
    assert calls == [
        ("Job.init", {"job_name": "nightly-etl", "args": {"JOB_NAME": "nightly-etl"}}),
        ("GlueContext.extract_jdbc_conf", {"connection_name": "rds"}),
    ]
    calls.clear()
    return runtime


def test_glue_reads_as_this_machine_does_by_the_address_of_its_connection(
    glue_calls: list[Any], database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute('CREATE TABLE "Events" (id numeric, kind char(9), odd int[][], t date)')
        connection.execute(
            """INSERT INTO "Events" SELECT n, 'view', '{{1},{2}}', 'infinity'
            FROM generate_series(1, 100) AS n"""
        )
    tables = on_glue(glue_calls, tmp_path).tables
    columns = tables.columns("Events")
    assert [column.type for column in columns] == ["numeric", "character(9)", "integer[]", "date"]
    named = {"id", "kind", "t"}
    frame = tables.read("Events", columns, named=named, partition_column="ID")
    assert frame.rdd.getNumPartitions() == 6
    assert (
        frame.where("kind = 'view' AND t = '9999-12-31' AND `t (unreadable)` = 'infinity'").count()
        == 100
    )
    with pytest.raises(
        TableError, match=r"table 'event' does not exist .* did you mean 'Events'\?"
    ):
        tables.columns("event")
    assert glue_calls == []


def test_a_connection_that_enforces_ssl_refuses_a_server_without_it(
    glue_calls: list[Any], jdbc: dict[str, str], tmp_path: Path
) -> None:
    jdbc["enforceSSL"] = "true"
    tables = on_glue(glue_calls, tmp_path).tables
    with pytest.raises(EtlError, match=r"Glue connection 'rds': The server does not support SSL"):
        tables.columns("students")


def test_glue_writes_csv_that_personalize_reads_and_nothing_beside_it(
    glue_calls: list[Any], spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.createDataFrame([("1", 'a,"b"'), ("2", None)], "USER_ID string, NAME string")
    on_glue(glue_calls, tmp_path).write_csv(frame.coalesce(1), "users/")
    files = [path for path in (tmp_path / "users").iterdir() if not path.name.startswith(".")]
    assert [path.read_text("utf-8") for path in files] == [
        r"""USER_ID,NAME
1,"a,\"b\""
2,
"""
    ]


@pytest.mark.parametrize(("escape", "quote"), [('"', '""'), ("\\", '\\"')])
def test_glue_reads_csv_files_each_with_its_header(
    glue_calls: list[Any], tmp_path: Path, escape: str, quote: str
) -> None:
    """Quotes inside values are doubled in published lists, escaped in the job's own files."""
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "a.csv").write_text(f'USER_ID,ITEM_ID,RANK\n1,"a {quote}b{quote}, c",1\n# 1, x,2\n')
    (lists / "b.csv").write_text("USER_ID,ITEM_ID,RANK\n007,あ,1\n")

    frame = on_glue(glue_calls, tmp_path).read_csv(
        f"{lists}/", "USER_ID string, ITEM_ID string, RANK int", escape=escape
    )

    assert sorted(map(tuple, frame.collect())) == [
        ("# 1", " x", 2),
        ("007", "あ", 1),
        ("1", 'a "b", c', 1),
    ]


def test_glue_writes_json_lines_then_the_manifest_then_commits(
    glue_calls: list[Any], spark: SparkSession, tmp_path: Path
) -> None:
    runtime = on_glue(glue_calls, tmp_path)
    frame = spark.createDataFrame([("1",)], "userId string")
    runtime.write_json_lines(frame, "batch-input/")
    runtime.commit("{}\n")
    files = [path for path in (tmp_path / "batch-input").iterdir() if path.name[0] != "."]
    assert "".join(path.read_text("utf-8") for path in files) == '{"userId":"1"}\n'
    assert glue_calls == [
        (
            "put_object",
            {"Bucket": "bucket", "Key": "runs/run-1/manifest.json", "Body": b"{}\n"},
        ),
        ("Job.commit", {}),
    ]


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_fake_refuses_what_glue_does_not_take(name: str) -> None:
    required = {key: None for key, default in SIGNATURES[name].items() if default is REQUIRED}
    call = with_signature(name, lambda **arguments: arguments)

    assert call(**required) == required
    with pytest.raises(TypeError, match=f"awsglue's {name}.* 'conection'"):
        call(**required, conection="rds")
    if required:
        with pytest.raises(TypeError, match="missing a required argument"):
            call()


def test_glue_reads_lines_by_spark_in_their_order(glue_calls: list[Any], tmp_path: Path) -> None:
    runtime = on_glue(glue_calls, tmp_path)
    files = {"part-1.out": "b\r\nc", "part-10.out": "d\n", "part-2.out": "\ne\n"}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())

    lines = runtime.read_lines(sorted(files)).orderBy("file", "block", "number")
    assert [bytes(row.line) for row in lines.collect()] == [b"b\r", b"c", b"d", b"", b"e"]


def test_glue_reads_its_arguments_by_its_own_reader(glue_calls: list[Any]) -> None:
    argv = "job.py --runtime glue --JOB_NAME nightly-etl --run run-1 --bucket bucket"
    rest = "--spec s3://bucket/spec.json --connection rds --JOB_RUN_ID jr_1"
    assert parse_arguments([*argv.split(), *rest.split()]) == ON_GLUE
    assert glue_calls == [
        ("getResolvedOptions", ["JOB_NAME", "run", "bucket", "spec", "connection"])
    ]


def test_glue_gives_the_window_of_an_increment_where_the_run_has_one(
    glue_calls: list[Any],
) -> None:
    """Glue's parser fails for a name that is not among the arguments."""
    argv = "job.py --runtime glue --JOB_NAME j --run r --bucket b --spec s3://b/s --connection c"
    window = "--since 2024-06-01T04:00:00Z --until end --unchanged 1f2e --after r1"
    arguments = parse_arguments([*argv.split(), *window.split()])
    assert (arguments.since, arguments.until, arguments.unchanged, arguments.after) == (
        "2024-06-01T04:00:00Z",
        "end",
        "1f2e",
        "r1",
    )
    assert glue_calls[-1][1][-4:] == ["since", "until", "unchanged", "after"]


def test_glue_s_reader_is_asked_for_the_task_only_if_there_is_one(glue_calls: list[Any]) -> None:
    """It requires each argument that it is asked for."""
    argv = "job.py --runtime glue --JOB_NAME nightly-etl --run run-1 --bucket bucket"
    rest = "--spec s3://bucket/spec.json --connection rds --task deliver"
    options = parse_arguments([*argv.split(), *rest.split()])
    assert options == replace(ON_GLUE, task="deliver")
    assert glue_calls == [
        ("getResolvedOptions", ["JOB_NAME", "run", "bucket", "spec", "connection", "task"])
    ]


def test_glue_reads_a_published_list_and_writes_a_record(
    glue_calls: list[Any], tmp_path: Path
) -> None:
    runtime = on_glue(glue_calls, tmp_path)
    (tmp_path / "list.csv").write_text('USER_ID,SCORE\n"a ""b""\nc",0.5\nd,\n', "utf-8")
    rows = runtime.read_csv(
        runtime.folder.uri("list.csv"),
        "USER_ID string, SCORE string",
        escape='"',
        is_multi_line=True,
    )
    assert [tuple(row) for row in rows.collect()] == [('a "b"\nc', "0.5"), ("d", None)]
    runtime.commit("{}", path="record/delivery.json")
    assert [name for name, _ in glue_calls] == ["put_object", "Job.commit"]
    assert glue_calls[0][1]["Key"] == "runs/run-1/record/delivery.json"


def test_the_task_and_what_it_needs_are_arguments_too(glue_calls: list[Any]) -> None:
    argv = "--JOB_NAME j --run r --bucket b --spec s3://b/s --connection c --task filter --keep 7"
    there, here = (
        parse_arguments(["job.py", "--runtime", runtime, *argv.split()])
        for runtime in ("glue", "local")
    )

    assert (there.task, there.keep) == (here.task, here.keep) == ("filter", 7)
    assert glue_calls[-1][1][-2:] == ["task", "keep"]


def test_the_local_command_line_leaves_what_only_glue_knows() -> None:
    argv = "job.py --runtime local --run r --bucket b --spec s3://b/s.json --JOB_RUN_ID jr_1"
    assert parse_arguments(argv.split()) == Arguments("local", "etl", "r", "b", "s3://b/s.json", "")


def test_without_a_database_url_the_error_names_the_variable() -> None:
    arguments = Arguments("local", "etl", "r", "b", "s3://b/s.json")
    with (
        pytest.raises(EtlError, match="DATABASE_URL is not set; set it to postgresql://"),
        open_runtime(arguments, SPEC, s3=None, environment={}),
    ):
        pass


PROGRAM = """
import os, sys
import etl.sources
from etl.datasets import JobSpec, Lookup, Relation
from etl.arguments import Arguments
from etl.runtime import open_runtime
etl.sources.LARGE_BYTES = int(sys.argv[1])
spec = JobSpec("postgresql", (), Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}))
arguments = Arguments("local", "etl", "r", "b", "s3://b/s.json")
with open_runtime(arguments, spec, s3=None, environment=os.environ) as runtime:
    rows = runtime.tables.read("students", runtime.tables.columns("students"), named=["id"])
    java = rows.sparkSession._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    print("TieredStopAtLevel=1" in str(java.getInputArguments()), rows.count())
"""


def test_java_has_its_second_compiler_where_the_tables_are_large(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE students AS SELECT generate_series(1, 1000) AS id")
        (size,) = connection.execute("SELECT pg_relation_size('students')").fetchall()[0]

    def opened(large_bytes: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(large_bytes)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "DATABASE_URL": database},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    assert opened(size) == "True 1000\n"
    assert opened(size - 1) == "False 1000\n"


def test_java_starts_before_spark_for_python_is_imported() -> None:
    program = "import sys, etl.job; print([n for n in ('pyspark', 'boto3') if n in sys.modules])"
    root = Path(__file__).parents[2]
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "[]\n"


def test_what_makes_expressions_is_sought_in_spark_s_jars_once(spark: SparkSession) -> None:
    jvm: Any = spark.sparkContext._jvm
    assert jvm.functions is jvm.functions
    assert jvm.functions.col is jvm.functions.col
    assert jvm.PythonUtils.toSeq is jvm.PythonUtils.toSeq
