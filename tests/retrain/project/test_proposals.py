"""Proposals on real databases: the sample, and two that look nothing like it."""

import re

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.database import Database
from etl.datasets import DataSet, JobSpec
from etl.preview import Preview, previews, problems
from etl.tables import Tables
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from retrain.project.database.reading import read_schema
from retrain.project.errors import ProjectError
from retrain.project.metadata import upper_name
from retrain.project.parts import Question
from retrain.project.preview import remarks
from retrain.project.proposal import propose
from retrain.project.toml_text import toml_text
from tests.local_runs import EXAMPLE
from tests.mariadb import MariaDbDatabase
from tests.retrain.project.databases import BINARY_KEYS, SHOP, VIDEO
from workflow import parse_config


def proposed(url: str, **answers: str) -> str:
    """Return the text that is proposed; a question whose text has a word is answered by it."""

    def ask(question: Question) -> str:
        given = [answer for word, answer in answers.items() if word in question.text]
        return given[0] if given else question.guess

    return toml_text(propose(read_schema(url), ask), account="123456789012", region="us-east-1")


def spec_of(text: str) -> JobSpec:
    return parse_config(text).job_spec()


def columns(data_set: DataSet) -> dict[str, tuple[str, str]]:
    """Return name → source and what Personalize makes of it."""
    return {
        column.name: (
            column.source,
            "textual" if column.textual else "categorical" if column.categorical else column.type,
        )
        for column in data_set.columns
    }


def looked_at(spec: JobSpec, url: str, spark: SparkSession) -> list[Preview]:
    """Check a specification against its database; return what it gives."""
    tables = Tables(
        spark,
        engine=spec.engine,
        options={**Database.from_url(url).options(), "fetchsize": "1000"},
        database="the database",
        partitions=1,
    )
    assert problems(tables, spec) == []
    return list(previews(tables, spec))


@pytest.fixture
def video(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    return database


@pytest.fixture
def shop(mariadb: MariaDbDatabase) -> str:
    mariadb.execute(*SHOP)
    return mariadb.url


def test_the_sample_gets_its_own_configuration_but_for_names(database: str):
    load_sample(database, SampleSize(students=500, postings=400, events=5_000))

    text = proposed(database)

    found, right = spec_of(text), spec_of(EXAMPLE)
    for mine, theirs in zip(found.datasets, right.datasets, strict=True):
        assert mine.relation == theirs.relation
        kinds = set(columns(mine).values())
        assert kinds >= set(columns(theirs).values())
        # The companies' prefecture is what the example leaves out.
        assert len(kinds) <= len(theirs.columns) + 1
    assert found.batch_input == right.batch_input
    assert found.eligible_items == right.eligible_items
    assert found.exclusions == right.exclusions
    assert found.event_types == right.event_types
    mine, theirs = parse_config(text), parse_config(EXAMPLE)
    assert mine.batch_inference == theirs.batch_inference
    assert mine.solution.recipe == theirs.solution.recipe
    assert mine.report == theirs.report
    assert "#   students.name        personal: a name\n" in text


def test_a_video_service_with_uuids_jsonb_enums_and_soft_deletes(video: str, spark: SparkSession):
    text = proposed(video)
    spec = spec_of(text)
    users, items, interactions = spec.datasets

    assert users.relation.table == "accounts"
    assert users.relation.filter == "accounts.deleted_at IS NULL"
    assert columns(users) == {
        "USER_ID": ("accounts.id", "string"),
        "COUNTRY": ("accounts.country", "categorical"),
        "PLAN": ("accounts.plan", "categorical"),
        "THEME": ("get_json_object(accounts.preferences, '$.theme')", "categorical"),
        "MARKETING_OPT_IN": ("accounts.marketing_opt_in", "boolean"),
    }
    assert columns(items) == {
        "ITEM_ID": ("videos.id", "string"),
        "TAGS": ("array_join(videos.tags, '|')", "categorical"),
        "YEAR": ("get_json_object(videos.metadata, '$.year')", "int"),
        "GENRE": ("get_json_object(videos.metadata, '$.genre')", "categorical"),
        "DURATION_SECONDS": ("videos.duration_seconds", "int"),
        "IS_KIDS": ("videos.is_kids", "boolean"),
        "CHANNEL": ("channels.name", "categorical"),
        "LANGUAGE": ("channels.language", "categorical"),
        "TITLE": ("videos.title", "string"),
        "SYNOPSIS": ("concat_ws(' ', videos.title, videos.synopsis)", "textual"),
        "CREATION_TIMESTAMP": ("coalesce(videos.published_at, videos.created_at)", "long"),
    }
    assert interactions.relation.filter == "playback_events.account_id IS NOT NULL"
    assert columns(interactions) == {
        "USER_ID": ("playback_events.account_id", "string"),
        "ITEM_ID": ("playback_events.video_id", "string"),
        "TIMESTAMP": ("playback_events.occurred_at", "long"),
        "EVENT_TYPE": ("playback_events.action", "string"),
        "EVENT_VALUE": ("playback_events.watched_seconds", "float"),
        "DEVICE_TYPE": ("get_json_object(playback_events.device, '$.type')", "categorical"),
    }
    assert spec.eligible_items is not None
    assert spec.exclusions is not None
    eligible = "videos.visibility = 'public' AND videos.deleted_at IS NULL"
    assert spec.eligible_items.relation.filter == eligible
    assert spec.exclusions.relation.filter == (
        "playback_events.action = 'complete' AND playback_events.account_id IS NOT NULL"
    )
    assert spec.batch_input.relation == users.relation
    settings = re.sub("#.*", "", text)
    for personal in ("email", "password", "display_name", "birth", "phone", "last_ip"):
        assert personal not in settings
    shown = looked_at(spec, video, spark)
    assert [remark for preview in shown for remark in remarks(preview, 0.01)] == []
    assert [preview.rejected for preview in shown[:3]] == [(), (), ()]


def test_a_mariadb_shop_without_declared_foreign_keys(shop: str, spark: SparkSession):
    text = proposed(shop)
    spec = spec_of(text)
    users, items, interactions = spec.datasets

    assert users.relation.filter == "tbl_customer.is_deleted = 0"
    assert columns(users) == {
        "USER_ID": ("tbl_customer.customer_id", "string"),
        "GENDER": ("tbl_customer.gender", "categorical"),
        "CITY": ("tbl_customer.city", "categorical"),
        "NEWSLETTER": ("tbl_customer.newsletter", "boolean"),
        "CUSTOMER_GROUP": ("tbl_customer.customer_group", "categorical"),
    }
    assert [(join.table, join.how, dict(join.on)) for join in items.relation.joins] == [
        ("tbl_category", "left", {"category_id": "category_id"})
    ]
    assert columns(items) == {
        "ITEM_ID": ("tbl_product.product_id", "string"),
        "BRAND": ("tbl_product.brand", "categorical"),
        "PRICE": ("tbl_product.price", "float"),
        "WEIGHT_G": ("tbl_product.weight_g", "int"),
        "COLOURS": ("regexp_replace(tbl_product.colours, ' *, *', '|')", "categorical"),
        "CATEGORY": ("tbl_category.name", "categorical"),
        "NAME": ("tbl_product.name", "string"),
        "DESCRIPTION": ("concat_ws(' ', tbl_product.name, tbl_product.description)", "textual"),
        "CREATION_TIMESTAMP": ("tbl_product.date_added", "long"),
    }
    assert interactions.relation.table == "tbl_order_item"
    assert interactions.relation.filter == (
        "tbl_order.customer_id IS NOT NULL"
        " AND tbl_order.order_status NOT IN ('cancelled', 'refunded')"
    )
    assert columns(interactions)["EVENT_TYPE"] == ("'purchase'", "string")
    assert columns(interactions)["TIMESTAMP"] == ("tbl_order.date_ordered", "long")
    assert spec.eligible_items is not None
    assert spec.eligible_items.relation.filter == "tbl_product.active <> 0"
    assert "customer_id and product_id: no foreign key is declared" in text
    shown = looked_at(spec, shop, spark)
    assert [remark for preview in shown for remark in remarks(preview, 0.01)] == []
    colours = next(c for c in shown[1].columns if c.column.name == "COLOURS")
    assert set(colours.values) == {"red|blue", "green", "blue|white"}


LIBRARY = """
CREATE TABLE auth_user (id serial PRIMARY KEY, username text UNIQUE, email text, is_staff boolean
    NOT NULL, is_active boolean NOT NULL, last_login timestamptz);
CREATE TABLE member_profile (id serial PRIMARY KEY,
    user_id int NOT NULL UNIQUE REFERENCES auth_user, age_group text);
CREATE TABLE genre (id serial PRIMARY KEY, name text);
CREATE TABLE book (id serial PRIMARY KEY, title text, language text, first_published date,
    added_on date NOT NULL, withdrawn boolean NOT NULL);
CREATE TABLE book_genre (book_id int REFERENCES book, genre_id int REFERENCES genre);
CREATE TABLE copy (id serial PRIMARY KEY, book_id int NOT NULL REFERENCES book, shelf text);
CREATE TABLE loan (id serial PRIMARY KEY, copy_id int NOT NULL REFERENCES copy,
    borrower_id int REFERENCES auth_user, borrowed_on date NOT NULL, returned_on date);
INSERT INTO auth_user SELECT n, 'u' || n, n || '@x.org', n < 3, n % 10 <> 0,
    now() - n * '1 h'::interval FROM generate_series(1, 300) n;
INSERT INTO member_profile SELECT n, n, (ARRAY['child', 'adult'])[1 + n % 2]
    FROM generate_series(1, 300) n;
INSERT INTO genre VALUES (1, 'crime'), (2, 'poetry');
INSERT INTO book SELECT n, 'Book ' || n, (ARRAY['de', 'fr'])[1 + n % 2], date '1920-01-01' + n,
    date '2020-01-01' + n, n % 9 = 0 FROM generate_series(1, 100) n;
INSERT INTO book_genre SELECT n, 1 + n % 2 FROM generate_series(1, 100) n;
INSERT INTO copy SELECT n, 1 + n % 100, 'S' || n % 9 FROM generate_series(1, 200) n;
INSERT INTO loan SELECT n, 1 + n * 7 % 200, 1 + n % 300, date '2023-01-01' + n / 20, NULL
    FROM generate_series(1, 3000) n;
"""
CLICKS = """
CREATE TABLE clicks (user_id text, item_id text, event text, ts bigint);
INSERT INTO clicks SELECT 'u' || n % 300, 'i' || n % 77, (ARRAY['view', 'buy'])[1 + (n % 9) / 8],
    1700000000000 + n * 1000 FROM generate_series(1, 3000) n;
"""


def test_the_item_of_a_copy_and_the_profile_of_a_user(database: str, spark: SparkSession):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(LIBRARY)

    text = proposed(database)

    users, items, interactions = spec_of(text).datasets
    assert columns(users) == {
        "USER_ID": ("auth_user.id", "string"),
        "AGE_GROUP": ("member_profile.age_group", "categorical"),
    }
    # A book of 1920 is older than Personalize's time.
    assert columns(items)["CREATION_TIMESTAMP"] == ("book.added_on", "long")
    assert [(join.table, dict(join.on)) for join in interactions.relation.joins] == [
        ("copy", {"copy_id": "id"})
    ]
    assert columns(interactions)["ITEM_ID"] == ("copy.book_id", "string")
    assert "book_genre: holds several rows of one item" in comments(text)
    looked_at(spec_of(text), database, spark)

    # What the comment says, done.
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO book_genre SELECT n, 3 - (1 + n % 2) FROM (VALUES (7)) v(n)"
        )
        connection.execute(proposed_view(text))
    spec = spec_of(with_view(text))
    genres = next(
        c for c in looked_at(spec, database, spark)[1].columns if c.column.name == "GENRE"
    )
    assert set(genres.values) == {"crime", "poetry", "crime|poetry"}


def comments(text: str) -> str:
    return " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line[:1] == "#")


def proposed_view(text: str) -> str:
    """Return the statement that a comment proposes for a table between items and others."""
    return re.search(r"CREATE VIEW .*?;", comments(text))[0]


def with_view(text: str) -> str:
    """Return a configuration with the join and the column that the comment proposes."""
    join, name, column = re.search(
        r"write (\{.*?\} \}) into joins, (\w+) = (\{.*?\}) into columns", comments(text)
    ).groups()
    table = re.search(r"\[datasets\.items\]\ntable = .*\n", text)[0]
    assert "joins" not in text.split(table)[1].split("[datasets.items.columns]", maxsplit=1)[0]
    text = text.replace(table, f"{table}joins = [{join}]\n")
    return text.replace(
        "[datasets.items.columns]\n", f"[datasets.items.columns]\n{name} = {column}\n"
    )


def test_tags_of_a_bridge_on_mariadb(mariadb: MariaDbDatabase, spark: SparkSession):
    mariadb.execute(
        "CREATE TABLE users (id int PRIMARY KEY, plan varchar(9))",
        "CREATE TABLE recipes (id int PRIMARY KEY, kind varchar(9))",
        "CREATE TABLE tags (id int PRIMARY KEY, `label` varchar(9))",
        "CREATE TABLE recipe_tags (recipe_id int REFERENCES recipes (id),"
        " tag_id int REFERENCES tags (id), PRIMARY KEY (recipe_id, tag_id))",
        "CREATE TABLE views (user_id int REFERENCES users (id), recipe_id int REFERENCES recipes"
        " (id), viewed_at datetime)",
        "INSERT INTO users SELECT seq, ELT(1 + seq % 2, 'a', 'b') FROM seq_1_to_100",
        "INSERT INTO recipes SELECT seq, ELT(1 + seq % 2, 'x', 'y') FROM seq_1_to_60",
        "INSERT INTO tags VALUES (1, 'hot'), (2, 'sweet')",
        "INSERT INTO recipe_tags SELECT seq, 1 FROM seq_1_to_40",
        "INSERT INTO recipe_tags SELECT seq, 2 FROM seq_30_to_50",
        "INSERT INTO views SELECT 1 + seq % 100, 1 + seq % 60,"
        " '2024-01-01' + INTERVAL seq MINUTE FROM seq_1_to_2000",
    )
    text = proposed(mariadb.url)
    mariadb.execute(proposed_view(text))

    items = looked_at(spec_of(with_view(text)), mariadb.url, spark)[1]

    assert items.accepted == 60
    tags = next(c for c in items.columns if c.column.name == "TAGS")
    assert set(filter(None, tags.values)) == {"hot", "sweet", "hot|sweet"}
    assert tags.nulls == pytest.approx(10 / 60)


def test_one_table_of_clicks_alone(database: str, spark: SparkSession):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(CLICKS)

    spec = spec_of(proposed(database))

    (interactions,) = spec.datasets
    assert columns(interactions) == {
        "USER_ID": ("clicks.user_id", "string"),
        "ITEM_ID": ("clicks.item_id", "string"),
        "TIMESTAMP": ("clicks.ts div 1000", "long"),
        "EVENT_TYPE": ("clicks.event", "string"),
    }
    assert spec.batch_input.relation.table == "clicks"
    looked_at(spec, database, spark)


@pytest.mark.parametrize(
    ("name", "source"),
    [("how", "clicks.how"), ("status", "'click'"), ("medium", "'click'")],
)
def test_a_column_whose_values_are_events_says_what_an_event_is(
    database: str, name: str, source: str
):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(CLICKS.replace("event text", f"{name} text"))

    (interactions,) = spec_of(proposed(database)).datasets

    assert columns(interactions)["EVENT_TYPE"] == (source, "string")


NEWS = """
CREATE TABLE "会員" ("会員番号" int PRIMARY KEY, "氏名" text, "連絡先" text, "都道府県" text,
    "退会日時" timestamptz, "血液型別" text);
CREATE TABLE "記事" ("記事番号" int PRIMARY KEY, "題名" text, "本文" text, "分類" text, "Größe" int,
    "公開日時" timestamptz NOT NULL, "公開" boolean NOT NULL);
CREATE TABLE "閲覧履歴" ("会員番号" int, "記事番号" int, "閲覧日時" timestamptz NOT NULL,
    "種別" text, "device_type" text);
INSERT INTO "会員" SELECT n, '山田', 'a' || n || '@b.jp', (ARRAY['東京', '大阪'])[1 + n % 2], NULL,
    (ARRAY['A', 'B'])[1 + n % 2]
    FROM generate_series(1, 200) n;
INSERT INTO "記事" SELECT n, '記事 ' || n, repeat('本文です。', 30) || n,
    (ARRAY['政治', '経済'])[1 + n % 2], n, now() - n * '1 day'::interval, n % 9 <> 0
    FROM generate_series(1, 120) n;
INSERT INTO "閲覧履歴" SELECT 1 + n % 200, 1 + n * 7 % 120, now() - n * '1 min'::interval,
    (ARRAY['表示', '保存'])[1 + n % 2], (ARRAY['tv', 'web'])[1 + n % 2]
    FROM generate_series(1, 3000) n;
"""


def test_japanese_names_and_no_foreign_keys(database: str, spark: SparkSession):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(NEWS)

    text = proposed(database)

    spec = spec_of(text)
    users, items, interactions = spec.datasets
    assert users.relation.filter == "`会員`.`退会日時` IS NULL"
    assert set(columns(users).values()) == {
        ("`会員`.`会員番号`", "string"),
        ("`会員`.`都道府県`", "categorical"),
        ("`会員`.`血液型別`", "categorical"),
    }
    assert list(columns(users)) == ["USER_ID", "PREFECTURE", "COLUMN"]
    assert "categorical = true }  # 血液型別: give it a name in letters A to Z\n" in text
    assert columns(items)["CATEGORY"] == ("`記事`.`分類`", "categorical")
    assert columns(items)["GROSSE"] == ("`記事`.`Größe`", "int")
    assert "personal: a name" in text
    assert "personal: an e-mail address" in text  # by its values: the name says nothing of it
    assert columns(items)["CREATION_TIMESTAMP"] == ("`記事`.`公開日時`", "long")
    assert columns(interactions)["EVENT_TYPE"] == ("`閲覧履歴`.`種別`", "string")
    assert columns(interactions)["DEVICE_TYPE"] == ("`閲覧履歴`.device_type", "categorical")
    looked_at(spec, database, spark)


def test_of_many_users_with_few_active_ones_these_get_recommendations(
    database: str, spark: SparkSession
):
    """A batch input of users without events would fail the run: agreement.batch_input."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE users (id int PRIMARY KEY, plan text, active boolean NOT NULL);"
            "CREATE TABLE items (id int PRIMARY KEY, kind text);"
            "CREATE TABLE views (user_id int REFERENCES users, item_id int REFERENCES items,"
            " at timestamptz NOT NULL);"
            "INSERT INTO users SELECT n, (ARRAY['a', 'b'])[1 + n % 2], n % 9 <> 0"
            " FROM generate_series(1, 3000) n;"
            "INSERT INTO items SELECT n, (ARRAY['a', 'b'])[1 + n % 2]"
            " FROM generate_series(1, 90) n;"
            "INSERT INTO views SELECT 30 + n % 60, 1 + n % 90, now()"
            " FROM generate_series(1, 9000) n"
        )

    spec = spec_of(proposed(database))

    assert spec.batch_input.relation.table == "views"
    assert spec.batch_input.relation.filter == "users.active"
    batch = looked_at(spec, database, spark)[3]
    assert (batch.source.title, batch.accepted) == ("batch input", 54)


def test_answers_make_another_proposal(video: str):
    text = proposed(video, events="comments", visibility="no", deleted_at="no")

    spec = spec_of(text)
    assert columns(spec.datasets[-1])["ITEM_ID"] == ("comments.video_id", "string")
    assert spec.batch_input.relation.filter == ""
    assert spec.eligible_items is None


def test_a_user_who_may_only_read_sees_the_foreign_keys_and_what_may_be_read(video: str):
    """information_schema hides constraints from such a user."""
    reader = video.replace("://postgres:", "://reader:").replace(
        Database.from_url(video).password, "only-reads"
    )
    with psycopg.connect(video, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'only-reads'")
        connection.execute("GRANT USAGE ON SCHEMA catalog TO reader")
        connection.execute("GRANT SELECT ON accounts, catalog.videos, playback_events TO reader")
        try:
            schema = read_schema(reader)
        finally:
            connection.execute("DROP OWNED BY reader")
            connection.execute("DROP ROLE reader")

    assert sorted(schema.by_name) == ["accounts", "catalog.videos", "playback_events"]
    references = schema.by_name["playback_events"].references
    assert {(each.target, each.declared) for each in references} == {
        ("accounts", True),
        ("catalog.videos", True),
    }


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1", "has no tables that the user 'postgres' may read"),
        (
            "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)",
            "no table looks like events: rows that refer to a user and to an item",
        ),
        (
            "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE items (id int PRIMARY KEY);"
            "CREATE TABLE views (user_id int REFERENCES users, item_id int REFERENCES items,"
            " at timestamptz)",
            "views: looks like events, and has no rows",
        ),
    ],
)
def test_a_database_of_which_nothing_can_be_proposed(database: str, sql: str, message: str):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql)

    with pytest.raises(ProjectError, match=message):
        proposed(database)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://a:b@127.0.0.1:1/shop", "postgresql database 'shop' at 127.0.0.1:1: "),
        ("mysql://a:b@127.0.0.1:1/shop", "mysql database 'shop' at 127.0.0.1:1: "),
        ("oracle://a:b@127.0.0.1/shop", "'oracle' is not supported"),
    ],
)
def test_an_unreachable_database(url: str, message: str):
    with pytest.raises(ProjectError, match=re.escape(message)):
        read_schema(url)


def test_binary_keys_are_hexadecimal_texts_everywhere(
    mariadb: MariaDbDatabase, spark: SparkSession
):
    mariadb.execute(*BINARY_KEYS)
    ((reader,),) = mariadb.execute("SELECT HEX(id) FROM readers ORDER BY id LIMIT 1")

    text = proposed(mariadb.url)

    spec = spec_of(text)
    users, items, interactions = spec.datasets
    assert columns(users)["USER_ID"] == ("hex(readers.id)", "string")
    assert columns(items)["GENRE"] == ("genres.name", "categorical")
    assert columns(interactions)["ITEM_ID"] == ("hex(loans.book_id)", "string")
    assert spec.batch_input.relation.table == "readers"
    assert spec.batch_input.columns == {"USER_ID": "hex(readers.id)"}
    assert spec.exclusions.columns["USER_ID"] == "hex(loans.reader_id)"
    assert "binary ids are written by hex(), as HEX() of the database does" in text
    previewed = {each.source.title: each for each in looked_at(spec, mariadb.url, spark)}
    assert any(f"{reader}," in line for line in previewed["data set USERS"].lines)
    assert previewed["data set ITEMS"].columns[1].distinct == 3
    assert previewed["batch input"].accepted == 200


VIEWS = """
CREATE SCHEMA kept;
CREATE TABLE kept.p (k int PRIMARY KEY, t text, s text, c text);
CREATE TABLE kept.u (k int PRIMARY KEY, p text);
CREATE TABLE kept.e (payload jsonb, at timestamptz NOT NULL);
INSERT INTO kept.p SELECT n, 'Product number ' || n, 'active', (ARRAY['a', 'b'])[1 + n % 2]
    FROM generate_series(1, 80) n;
INSERT INTO kept.u SELECT n, (ARRAY['free', 'paid'])[1 + n % 2] FROM generate_series(1, 200) n;
INSERT INTO kept.e SELECT jsonb_build_object('u', 1 + n % 200, 'p', 1 + n * 7 % 80), now()
    FROM generate_series(1, 3000) n;
CREATE VIEW v_customers AS SELECT k AS id, p AS plan FROM kept.u;
CREATE VIEW products_view AS SELECT k AS product_id, t AS title, c AS category FROM kept.p;
CREATE MATERIALIZED VIEW product_clicks AS
    SELECT (payload->>'u')::int AS customer_id, (payload->>'p')::int AS product_id, at AS clicked_at
    FROM kept.e;
"""


def test_events_users_and_items_that_only_views_show(database: str, spark: SparkSession):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIEWS)

    spec = spec_of(proposed(database))

    users, items, interactions = spec.datasets
    assert (users.relation.table, items.relation.table) == ("v_customers", "products_view")
    assert interactions.relation.table == "product_clicks"
    assert columns(items)["ITEM_ID"] == ("products_view.product_id", "string")
    assert columns(items)["CATEGORY"] == ("products_view.category", "categorical")
    assert columns(interactions) == {
        "USER_ID": ("product_clicks.customer_id", "string"),
        "ITEM_ID": ("product_clicks.product_id", "string"),
        "TIMESTAMP": ("product_clicks.clicked_at", "long"),
        "EVENT_TYPE": ("'click'", "string"),
    }
    assert all(preview.accepted for preview in looked_at(spec, database, spark))


def test_views_as_items_on_mariadb_beside_tables(mariadb: MariaDbDatabase, spark: SparkSession):
    mariadb.execute(
        "CREATE TABLE users (id int PRIMARY KEY, plan varchar(9))",
        "CREATE TABLE raw (k int PRIMARY KEY, doc longtext)",
        "CREATE VIEW movies AS SELECT k AS id, JSON_VALUE(doc, '$.genre') AS genre FROM raw",
        "CREATE TABLE ratings (user_id int, movie_id int, stars int, rated_at datetime)",
        "INSERT INTO users SELECT seq, ELT(1 + seq % 2, 'a', 'b') FROM seq_1_to_100",
        "INSERT INTO raw SELECT seq, JSON_OBJECT('genre', ELT(1 + seq % 2, 'x', 'y'))"
        " FROM seq_1_to_60",
        "INSERT INTO ratings SELECT 1 + seq % 100, 1 + seq % 60, 1 + seq % 5,"
        " '2024-01-01' + INTERVAL seq MINUTE FROM seq_1_to_2000",
    )

    spec = spec_of(proposed(mariadb.url))

    _, items, interactions = spec.datasets
    assert interactions.relation.table == "ratings"
    assert items.relation.table == "movies"
    assert columns(items) == {
        "ITEM_ID": ("movies.id", "string"),
        "GENRE": ("movies.genre", "categorical"),
    }
    assert all(preview.accepted for preview in looked_at(spec, mariadb.url, spark))


def test_a_view_of_what_tables_have_changes_nothing(video: str):
    before = proposed(video)
    with psycopg.connect(video, autocommit=True) as connection:
        connection.execute("CREATE VIEW video_views AS SELECT * FROM playback_events")
        connection.execute("CREATE VIEW users AS SELECT * FROM accounts")

    assert proposed(video) == before


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("商品分類", "PRODUCT_CATEGORY"),
        ("商品のサイズ", "PRODUCT_SIZE"),
        ("会社名", "COMPANY_NAME"),
        ("カテゴリーID", "CATEGORY_ID"),
        ("ブランコ", "BURANKO"),
        ("日本語", ""),  # 日 and 本 are no words in it
        ("prénomUsuel", "PRENOM_USUEL"),
        ("категория", "KATEGORIYA"),
        ("가격", "GA_GYEOG"),
        ("2nd choice", "C_2ND_CHOICE"),
    ],
)
def test_names_in_any_script_become_latin_capitals(name: str, written: str):
    assert upper_name(name) == written
