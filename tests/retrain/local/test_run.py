"""The whole retraining on one machine: its results, and how it fails."""

import csv
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.local.postgres import Postgres
from retrain.local.run import run_locally
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from tests.local_runs import EXAMPLE, RecordingView, WholeRun
from workflow import Config, parse_config
from workflow.runs.history import Failure, HistoryReader, failure_of, follow

pytestmark = pytest.mark.usefixtures("warm_java")


@pytest.fixture(scope="module")
def sample_url(module_database: str) -> str:
    """Load a small sample database into the tests' PostgreSQL."""
    load_sample(module_database, SampleSize(students=60, postings=40, events=4_000))
    return module_database


def failed_run(config: Config, url: str, directory: Path, **handlers: Any) -> Failure:
    """Run until it fails; also checks what every failed run has in common."""
    with LocalAws(
        directory=directory,
        is_kept=False,
        account=config.aws.account,
        region=config.aws.region,
        time_scale=0,
        database_url=url,
    ) as aws:
        workflow = deploy(config, aws.client)
        for name, handler in handlers.items():
            aws.functions.register(config.function(name.replace("_", "-")), handler)  # type: ignore[arg-type]
        queue = aws.client("sqs").create_queue(QueueName="failures")["QueueUrl"]
        aws.client("sns").subscribe(
            TopicArn=config.topic_arn,
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:{config.aws.region}:{config.aws.account}:failures",
        )
        client = aws.client("stepfunctions")
        execution = workflow.execute()
        reader = HistoryReader(client, execution.execution_arn)
        states = [step.state for step in follow(reader, poll_seconds=0.1)]
        failure = failure_of(reader.read_all())
        messages = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
        keys = [
            entry["Key"]
            for entry in aws.client("s3")
            .list_objects_v2(Bucket=config.bucket, Prefix="recommendations/")
            .get("Contents", [])
        ]
    assert states[-1] in {"Report Failure", "Retraining Failed"}
    assert "Report Failure" in states
    assert "recommendations/latest.json" not in keys
    assert failure is not None
    subject = json.loads(messages[0]["Body"])["Subject"]
    assert subject == "labbase: retraining failed"
    return failure


def test_a_run_with_a_sample_leaves_recommendations_metrics_and_history(
    whole_run: WholeRun,
) -> None:
    output, outcome, view = whole_run.output, whole_run.outcome, whole_run.view

    assert outcome.failure is None
    assert set(outcome.durations) == {"ETL", "imports", "training", "batch inference", "filter"}
    assert view.states[:3] == ["Begin Run", "Extracted Already?", "ETL"]
    assert view.states[-1] == "Filter Recommended Item"
    with (output / "recommendations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["USER_ID", "ITEM_ID", "RANK", "SCORE"]
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row["USER_ID"], []).append(int(row["RANK"]))
    assert all(own == list(range(1, len(own) + 1)) for own in ranks.values())
    assert max(map(len, ranks.values())) == 5
    metrics = json.loads((output / "metrics.json").read_text())
    assert set(metrics["metrics"]) == set(metrics["baseline"]["metrics"])
    assert metrics["baseline"]["recipeArn"].endswith("recipe/aws-popularity-count")
    assert json.loads((output / "history.json").read_text())["events"][-1]["type"] == (
        "ExecutionSucceeded"
    )
    with (output / "datasets" / "interactions.csv").open(encoding="utf-8", newline="") as file:
        header, *events = csv.reader(file)
    assert header == ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE"]
    assert header not in events, "the parts of the Spark job have a header each"
    assert outcome.titles[rows[0]["ITEM_ID"]]
    assert "root" in (output / "etl.log").read_text(), "the schemas are in the job's log"


def test_the_published_list_keeps_the_filter_rules(sample_url: str, scratch: Path) -> None:
    """Run against an existing database, as with --database-url."""
    output = scratch / "own-database"

    run_locally(
        parse_config(EXAMPLE),
        output=output,
        database_url=sample_url,
        sample=SampleSize(),
        view=RecordingView(),
    )

    with (output / "recommendations.csv").open(encoding="utf-8", newline="") as file:
        pairs = {(row["USER_ID"], row["ITEM_ID"]) for row in csv.DictReader(file)}
    with psycopg.connect(sample_url) as connection:
        query = "SELECT id::text FROM {} WHERE status = '{}'"
        active = {i for (i,) in connection.execute(query.format("students", "active"))}  # type: ignore[arg-type]
        open_now = {i for (i,) in connection.execute(query.format("job_postings", "open"))}  # type: ignore[arg-type]
        applied = set(
            connection.execute(
                "SELECT student_id::text, job_posting_id::text FROM events WHERE kind = 'apply'"
            )
        )
    assert {user for user, _ in pairs} == active
    assert {item for _, item in pairs} <= open_now
    assert not pairs & applied
    assert applied, "the sample has applications that could have been recommended"


SHOP = """
name = "shop"
[aws]
account = "210987654321"
region = "eu-central-1"
[source]
engine = "postgresql"
connection = "shop"
[datasets.interactions]
table = 'sales."OrderLines"'
alias = "line"
joins = [
    { table = "sales.orders", alias = "bought", how = "inner", on = { "line.order_no" = "no" } },
    { table = "sales.customers", alias = "buyer", how = "inner", on = { customer = "key" } },
]
filter = "buyer.country <> 'XX' AND line.quantity > 0"
[datasets.interactions.columns]
USER_ID = "bought.customer"
ITEM_ID = "line.sku"
TIMESTAMP = "bought.placed_on"
EVENT_VALUE = "line.quantity * line.price"
CHANNEL = { source = "bought.channel", categorical = true }
[datasets.items]
table = '"商品"'
rename = { "商品 名" = "name" }
filter = "`商品`.deleted_at IS NULL"
joins = [
    { table = '"商品"', alias = "parent", how = "left", on = { parent = "sku", "shop" = "shop" } },
    { table = "order", how = "left", on = { "商品.sku" = "from" } },
]
[datasets.items.columns]
ITEM_ID = "`商品`.sku"
NAME = { source = "`商品`.name", textual = true }
PARENT = { source = "parent.`商品 名`", categorical = true }
TAGS = { source = "array_join(`商品`.tags, '|')", categorical = true }
COLOUR = { source = "get_json_object(`商品`.attributes, '$.colour')", categorical = true }
PRIORITY = { source = "order.limit", type = "int" }
CREATION_TIMESTAMP = "`商品`.created_ms div 1000"
[solution]
recipe = "aws-user-personalization-v2"
[batch_inference]
table = "sales.customers"
user_id = "customers.key"
num_results = 10
[filter]
keep = 3
"""


def test_a_database_that_differs_from_the_sample_in_everything(
    postgres: Postgres, scratch: Path
) -> None:
    """Keys of several types, an enum, arrays, JSON, a reserved word, a self join, bad rows."""
    with psycopg.connect(postgres.url) as connection:
        connection.execute(
            """
            CREATE SCHEMA sales;
            CREATE TYPE sales.channel AS ENUM ('web', 'shop');
            CREATE TABLE sales.customers (key uuid PRIMARY KEY, country char(2));
            CREATE TABLE sales.orders (no numeric(12) PRIMARY KEY, customer uuid, placed_on date,
                                       channel sales.channel);
            CREATE TABLE sales."OrderLines" (order_no numeric(12), sku text, quantity integer,
                                             price numeric(10, 2));
            SELECT setseed(0.5);
            INSERT INTO sales.customers
                SELECT md5(n::text)::uuid, 'DE' FROM generate_series(1, 80) n;
            INSERT INTO sales.orders
                SELECT n, md5((1 + n % 80)::text)::uuid, date '2024-01-01' + n / 20,
                       (CASE n % 3 WHEN 0 THEN 'web' ELSE 'shop' END)::sales.channel
                FROM generate_series(1, 1500) n;
            INSERT INTO sales."OrderLines"
                SELECT n, 'sku, "' || (random() * random() * 50)::int || '"', 1, 9.90
                FROM generate_series(1, 1500) n;
            INSERT INTO sales."OrderLines"
                VALUES (1, NULL, 1, 1), (2, '', 1, 1), (3, repeat('x', 300), 1, 1);
            CREATE TABLE "商品" (sku text, shop smallint, "商品 名" text, parent text, tags text[],
                                 attributes jsonb, created_ms bigint, deleted_at timestamp);
            INSERT INTO "商品"
                SELECT DISTINCT ON (sku) sku, 1, E'改行\\n"引用", ' || sku, min(sku) OVER (),
                       array['a', NULL, 'b'], '{"colour": "赤"}'::jsonb, 1700000000000,
                       CASE WHEN sku LIKE '%7"' THEN timestamp '2024-01-01' END
                FROM sales."OrderLines" WHERE length(sku) BETWEEN 1 AND 256;
            CREATE TABLE "order" ("from" text, "limit" integer);
            """
        )
    outcome = run_locally(
        parse_config(SHOP),
        output=scratch / "shop",
        database_url=postgres.url,
        sample=SampleSize(),
        view=RecordingView(),
    )

    assert outcome.failure is None
    with (scratch / "shop" / "recommendations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80 * 3
    assert all(row["ITEM_ID"].startswith('sku, "') for row in rows)
    assert rows[0]["USER_ID"].count("-") == 4
    rejected = (scratch / "shop" / "rejected" / "interactions.json").read_text(encoding="utf-8")
    assert sorted(json.loads(line)["reason"] for line in rejected.splitlines()) == [
        "id over 256 characters",
        "null id",
        "null id",
    ]


def test_an_unknown_table_is_named_with_the_one_that_was_meant(
    sample_url: str, tmp_path: Path
) -> None:
    config = parse_config(EXAMPLE.replace('table = "students"', 'table = "studnets"'))

    failure = failed_run(config, sample_url, tmp_path)

    assert failure.state == "ETL"
    assert "studnets" in failure.cause
    assert "did you mean" in failure.cause
    assert "students" in failure.cause


def test_a_database_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://labbase:very-secret@127.0.0.1:9/labbase"

    failure = failed_run(parse_config(EXAMPLE), url, tmp_path)

    assert failure.state == "ETL"
    assert "127.0.0.1:9" in failure.cause
    assert "very-secret" not in failure.cause


def test_a_data_set_that_personalize_refuses(sample_url: str, tmp_path: Path) -> None:
    few = 'partition_column = "id"\nfilter = "events.id <= 500"\n\n[datasets.interactions.columns]'
    text = EXAMPLE.replace('partition_column = "id"\n\n[datasets.interactions.columns]', few)

    failure = failed_run(parse_config(text), sample_url, tmp_path)

    assert failure.error == "DatasetImportFailed"
    assert "1000" in failure.cause.replace(",", "")
    assert "interactions" in failure.cause


def test_training_that_fails(sample_url: str, tmp_path: Path) -> None:
    few = 'filter = "events.student_id <= 20"\n\n[datasets.interactions.columns]'
    text = EXAMPLE.replace("\n\n[datasets.interactions.columns]", f"\n{few}")

    failure = failed_run(parse_config(text), sample_url, tmp_path)

    assert failure == Failure(
        state="Get Solution Version Status",
        error="SolutionVersionFailed",
        cause="Create failed. Dataset has fewer than 25 users with at least 2 interactions each.",
    )


def test_a_handler_that_raises(sample_url: str, tmp_path: Path) -> None:
    def broken(event: Any, context: Any) -> Any:
        raise LookupError(f"run {event['run'][:4]}… cannot be filtered")

    failure = failed_run(parse_config(EXAMPLE), sample_url, tmp_path, filter_recommendations=broken)

    assert failure.state == "Filter Recommended Item"
    assert failure.error == "LookupError"
    assert failure.cause.endswith("cannot be filtered")


def test_rejected_rows_are_named_by_the_path_where_they_are_kept(
    sample_url: str, tmp_path: Path
) -> None:
    text = EXAMPLE.replace(
        'USER_ID = "events.student_id"', 'USER_ID = "nullif(events.student_id, 1)"'
    )

    outcome = run_locally(
        parse_config(text.replace("max_rejected_share = 0.01", "max_rejected_share = 0")),
        output=tmp_path,
        database_url=sample_url,
        sample=SampleSize(),
        view=RecordingView(),
    )

    path = tmp_path / "rejected" / "interactions.json"
    assert path.is_file()
    assert outcome.failure is not None
    assert outcome.failure.cause.startswith("data set INTERACTIONS: ")
    for told in (
        outcome.failure.cause,
        (tmp_path / "etl.log").read_text(encoding="utf-8"),
        (tmp_path / "report.html").read_text(encoding="utf-8"),
    ):
        assert f"see {path}, then" in told
        assert "/rejected/interactions.json" not in told.replace(str(path), "")


def test_a_failed_run_keeps_the_recommendations_of_the_run_before(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "recommendations.csv").write_text("of the run before")

    outcome = run_locally(
        parse_config(EXAMPLE),
        output=output,
        database_url="postgresql://nobody:x@127.0.0.1:9/none",
        sample=SampleSize(),
        view=RecordingView(),
    )

    assert outcome.failure is not None
    assert sorted(path.name for path in output.iterdir()) == [
        "etl.log",
        "history.json",
        "recommendations.csv",
        "report.html",
    ]
    assert (output / "recommendations.csv").read_text() == "of the run before"
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Why it failed" in page
    assert "Connection to 127.0.0.1:9 refused" in page
    assert "check the Glue connection" in page
