"""Which columns a proposal takes, by their names and values, and what it says of the others."""

import re

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.datasets import DataSet
from tests.retrain.project.test_proposals import columns, looked_at, proposed, spec_of
from workflow import parse_config

SHOP = """
CREATE TYPE tier AS ENUM ('bronze', 'silver', 'gold');
CREATE TABLE categories (id int PRIMARY KEY, code text UNIQUE, name text UNIQUE);
CREATE TABLE origins (origin text PRIMARY KEY);
CREATE TABLE products (
    id int PRIMARY KEY, author_name text, title text UNIQUE, sku text UNIQUE,
    category_id int REFERENCES categories, origin text REFERENCES origins,
    rank_tier tier, position text, version text, legacy text, sort_order int, image text,
    at timestamptz NOT NULL);
CREATE TABLE kunden (
    id int PRIMARY KEY, vorname text, nachname text, steuernummer text, ausweisnummer text,
    benutzername text, "straße" text, hausnummer text, kontostand int, kundenname text,
    nombre text, apellidos text, domicilio text, "dirección" text, "prénom" text, indirizzo text,
    cpf text, achternaam text, "マイナンバー" text, "氏名フリガナ" text, "電話番号" text,
    tarif text);
CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int REFERENCES kunden, product_id int REFERENCES products,
    status text NOT NULL, qty int NOT NULL, note text, device text, coupon text,
    ordered_at timestamptz NOT NULL, delivered_at timestamptz);
INSERT INTO categories VALUES (1, 'c1', 'tea'), (2, 'c2', 'cups'), (3, 'c3', 'sweets');
INSERT INTO origins VALUES ('China'), ('Japan');
INSERT INTO products SELECT n, 'Author ' || n, 'Product ' || n, 'SKU' || n, 1 + n % 3,
    (ARRAY['China', 'Japan'])[1 + n % 2], (ARRAY['bronze', 'silver', 'gold'])[1 + n % 3]::tier,
    (ARRAY['top', 'shelf'])[1 + n % 2], (ARRAY['one', 'two'])[1 + n % 2],
    (ARRAY['yes', 'no'])[1 + n % 2], n, 'p' || n % 9 || '.jpg', now() - n * '1 day'::interval
    FROM generate_series(1, 90) n;
INSERT INTO kunden SELECT n, v, v, v, v, v, v, v, n % 5, v, v, v, v, v, v, v, v, v, v, v, v,
    (ARRAY['S', 'M', 'L'])[1 + n % 3]
    FROM (SELECT n, (ARRAY['Eins', 'Zwei', 'Drei'])[1 + n % 3] AS v FROM generate_series(1, 200) n)
    AS few;
INSERT INTO orders SELECT n, CASE WHEN n % 20 <> 0 THEN 1 + n % 200 END, 1 + n * 7 % 90,
    (ARRAY['paid', 'sent', 'cancelled'])[1 + n % 3], 1 + n % 4, 'please ' || n,
    (ARRAY['tv', 'web'])[1 + n % 2], (ARRAY['SPRING', 'WINTER'])[1 + n % 2],
    now() - n * '1 min'::interval, now() + n * '1 h'::interval FROM generate_series(1, 3000) n;
"""


def made(database: str, sql: str) -> str:
    """Return the proposal for a database of these tables."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql)
    return proposed(database)


def left_out(text: str) -> dict[str, str]:
    """Return column → why it is left out."""
    return dict(re.findall(r"^#   (\S+) +(\S.*)$", text, re.MULTILINE))


def sources(data_set: DataSet) -> dict[str, str]:
    return {name: source for name, (source, _) in columns(data_set).items()}


def test_a_shop_whose_users_are_described_in_other_languages(database: str):
    text = made(database, SHOP)

    spec, why = spec_of(text), left_out(text)
    users, items, interactions = spec.datasets
    assert sources(users) == {"USER_ID": "kunden.id", "TARIF": "kunden.tarif"}
    assert {reason for column, reason in why.items() if column.startswith("kunden.")} == {
        "personal: a name",
        "personal: an address",
        "personal: a telephone number",
        "personal: a number that identifies a person",
    }
    assert "personal columns are known by words of English, German, French" in text
    # Names of a lookup are categories though they are unique, and so is a key that is a name.
    assert columns(items) == {
        "ITEM_ID": ("products.id", "string"),
        "ORIGIN": ("products.origin", "categorical"),
        "RANK_TIER": ("products.rank_tier", "categorical"),
        "POSITION": ("products.position", "categorical"),
        "VERSION": ("products.version", "categorical"),
        "LEGACY": ("products.legacy", "categorical"),
        "CATEGORY": ("categories.name", "categorical"),
        "TITLE": ("products.title", "textual"),
    }
    assert parse_config(text).report.title == "TITLE"
    assert {column: why[column] for column in why if column.startswith("products.")} == {
        "products.author_name": "differs in nearly every row",
        "products.sku": "technical",
        "products.sort_order": "technical",
        "products.image": "technical",
        "products.at": "a time",
    }
    assert why["categories.code"] == "technical"
    assert sources(interactions)["DEVICE"] == "orders.device"
    assert {column: why[column] for column in why if column.startswith("orders.")} == {
        "orders.status": "says which rows count",
        "orders.note": "no context by its name, such as device or channel",
        "orders.coupon": "no context by its name, such as device or channel",
        "orders.delivered_at": "a time",
    }
    condition = "orders.customer_id IS NOT NULL AND orders.status <> 'cancelled'"
    assert interactions.relation.filter == condition
    assert spec.exclusions.relation.filter == condition


LIBRARY = """
CREATE TABLE "会員" ("会員番号" int PRIMARY KEY, "会員名" text, "フリガナ" text, "年代" text,
    "退会フラグ" boolean NOT NULL);
CREATE TABLE "書籍" ("書籍番号" int PRIMARY KEY, "著者名" text, "書名" text UNIQUE, "出版社" text,
    "スタジオ館" text, "ページ数" int, "貸出可" boolean NOT NULL, "除籍フラグ" boolean NOT NULL,
    "受入日" date NOT NULL);
CREATE TABLE "貸出" ("貸出番号" int PRIMARY KEY, "返却日時" timestamptz NOT NULL,
    "貸出日時" timestamptz NOT NULL, "会員番号" int, "書籍番号" int, "貸出状況" text);
INSERT INTO "会員" SELECT n, '山田' || n, 'ヤマダ', (ARRAY['20代', '30代'])[1 + n % 2], n % 9 = 0
    FROM generate_series(1, 200) n;
INSERT INTO "書籍" SELECT n, '著者' || n, '本 ' || n, (ARRAY['甲社', '乙社'])[1 + n % 2],
    (ARRAY['本館', '分館'])[1 + n % 2], 100 + n, n % 4 <> 0, n % 10 = 0, date '2020-01-01' + n
    FROM generate_series(1, 100) n;
INSERT INTO "貸出" SELECT n, now() - n * '1 min'::interval, now() - n * '1 h'::interval,
    1 + n % 200, 1 + n * 7 % 100,
    (ARRAY['貸出', '返却', '取消'])[1 + n % 3] FROM generate_series(1, 3000) n;
"""


def test_a_japanese_library(database: str):
    text = made(database, LIBRARY)

    spec, why = spec_of(text), left_out(text)
    users, items, interactions = spec.datasets
    assert sources(users) == {"USER_ID": "`会員`.`会員番号`", "AGE_GROUP": "`会員`.`年代`"}
    assert users.relation.filter == "NOT `会員`.`退会フラグ`"
    assert {why["会員.会員名"], why["会員.フリガナ"]} == {"personal: a name"}
    assert columns(items) == {
        "ITEM_ID": ("`書籍`.`書籍番号`", "string"),
        "PUBLISHER": ("`書籍`.`出版社`", "categorical"),
        "STUDIO_BRANCH": ("`書籍`.`スタジオ館`", "categorical"),
        "PAGES_COUNT": ("`書籍`.`ページ数`", "int"),
        "TITLE": ("`書籍`.`書名`", "textual"),
        "CREATION_TIMESTAMP": ("`書籍`.`受入日`", "long"),
    }
    assert parse_config(text).report.title == "TITLE"
    assert spec.eligible_items.relation.filter == "`書籍`.`貸出可` AND NOT `書籍`.`除籍フラグ`"
    assert sources(interactions)["TIMESTAMP"] == "`貸出`.`貸出日時`"
    assert sources(interactions)["EVENT_TYPE"] == "'borrow'"
    assert interactions.relation.filter == "`貸出`.`貸出状況` <> '取消'"
    assert why["貸出.返却日時"] == "a time"


PODCASTS = """
CREATE TABLE listeners (id int PRIMARY KEY, plan text);
CREATE TABLE shows (id int PRIMARY KEY, title text, host_name text, blurb text, genre text);
CREATE TABLE episodes (id int PRIMARY KEY, show_id int NOT NULL REFERENCES shows, title text,
    summary text, notes text, status text, extra jsonb);
CREATE TABLE plays (listener_id int REFERENCES listeners, episode_id int REFERENCES episodes,
    started boolean, completed boolean, listened_seconds int, at timestamptz NOT NULL);
CREATE TABLE follows (listener_id int REFERENCES listeners, show_id int REFERENCES shows,
    at timestamptz NOT NULL);
INSERT INTO listeners SELECT n, (ARRAY['a', 'b'])[1 + n % 2] FROM generate_series(1, 200) n;
INSERT INTO shows SELECT n, 'Show ' || n, 'Host ' || n, repeat('A show. ', 9) || n,
    (ARRAY['x', 'y'])[1 + n % 2] FROM generate_series(1, 60) n;
INSERT INTO episodes SELECT n, 1 + n % 60, 'Episode ' || n, repeat('On. ', 30) || n,
    repeat('See. ', 20) || n, (ARRAY['published', 'draft'])[1 + n % 4 / 3], '{"a": {"b": 1}}'
    FROM generate_series(1, 120) n;
INSERT INTO plays SELECT 1 + n % 200, 1 + n * 7 % 120, n % 2 = 0, n % 3 = 0, n % 90,
    now() - n * '1 min'::interval FROM generate_series(1, 4000) n;
INSERT INTO follows SELECT 1 + n % 200, 1 + n * 7 % 60, now() - n * '1 min'::interval
    FROM generate_series(1, 3000) n;
"""


@pytest.mark.parametrize("events", ["plays", "follows"])
def test_no_column_vanishes_without_a_word(database: str, events: str):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(PODCASTS)

    text = proposed(database, **{"events": events})

    spec, why = spec_of(text), left_out(text)
    items, interactions = spec.datasets[1:]
    assert interactions.relation.table == events
    if events == "follows":
        assert sources(items) == {
            "ITEM_ID": "shows.id",
            "GENRE": "shows.genre",
            "TITLE": "shows.title",
            "BLURB": "concat_ws(' ', shows.title, shows.blurb)",
        }
        assert why["shows.host_name"] == "differs in nearly every row"
        return
    assert sources(items)["GENRE"] == "shows.genre"
    assert {column: why[column] for column in why if column.split(".")[0] != "listeners"} == {
        "episodes.status": "says which rows count",
        "episodes.notes": "a text; one is imported",
        "episodes.extra": "JSON without a plain value at its top",
        "shows.title": "free text of a joined table",
        "shows.host_name": "differs in nearly every row",
        "shows.blurb": "free text of a joined table",
        "plays.started": "no context by its name, such as device or channel",
        "plays.completed": "no context by its name, such as device or channel",
    }


def test_names_with_quotes_are_previewed_as_they_are(database: str, spark: SparkSession):
    text = made(
        database,
        """
        CREATE TABLE "us""er's" (id int PRIMARY KEY, "pl`an" text);
        CREATE TABLE items (id int PRIMARY KEY, kind text);
        CREATE TABLE views (user_id int REFERENCES "us""er's", item_id int REFERENCES items,
            at timestamptz NOT NULL);
        INSERT INTO "us""er's" SELECT n, (ARRAY['a', 'b'])[1 + n % 2] FROM generate_series(1, 90) n;
        INSERT INTO items SELECT n, (ARRAY['a', 'b'])[1 + n % 2] FROM generate_series(1, 60) n;
        INSERT INTO views SELECT 1 + n % 90, 1 + n % 60, now() FROM generate_series(1, 900) n;
        """,
    )

    users = looked_at(spec_of(text), database, spark)[0]

    assert users.accepted == 90
    assert [column.column.source for column in users.columns] == [
        "`us\"er's`.id",
        "`us\"er's`.`pl``an`",
    ]
