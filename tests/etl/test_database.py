"""Database URLs, table names and JDBC drivers."""

import os
from pathlib import Path

import pytest

from etl.database import Database, TableName, driver_settings
from etl.errors import EtlError


def test_a_url_becomes_options_with_the_password_decoded_and_outside_the_jdbc_url() -> None:
    database = Database.from_url("postgres://us%40er:p%2Fw%3A1@db.example/shop?sslmode=require")
    assert database.options() == {
        "url": "jdbc:postgresql://db.example:5432/shop?sslmode=require",
        "user": "us@er",
        "password": "p/w:1",
        "driver": "org.postgresql.Driver",
    }
    assert database.description == "postgresql database 'shop' at db.example:5432"
    assert "p/w" not in repr(database)


def test_mysql_streams_rows_and_ipv6_keeps_its_brackets() -> None:
    database = Database.from_url("mysql://root@[::1]:3307/shop")
    assert database.options() == {
        "url": "jdbc:mysql://[::1]:3307/shop?useCursorFetch=true&tinyInt1isBit=false"
        "&yearIsDateType=false&connectionTimeZone=%2B00:00&forceConnectionTimeZoneToSession=true",
        "user": "root",
        "password": "",
        "driver": "com.mysql.cj.jdbc.Driver",
    }


HOW_TO_WRITE_IT = (
    "write postgresql://user:password@host:port/name, and in the password %2F for /, %23 for #,"
    " %3F for ?, %5B for ["
)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "oracle://u:secret@h/d",
            "database URL: 'oracle' is not supported; begin it with postgresql:// or mysql://",
        ),
        (
            "postgresql://u:secret@h",
            "database URL: host or database name is missing;"
            " write postgresql://user:password@host:port/name",
        ),
        (
            "postgresql://u:secret@h:99999/d",
            f"database URL: host or port cannot be read; {HOW_TO_WRITE_IT}",
        ),
        (
            "postgresql://u:se/cret@h/d",
            f"database URL: host or port cannot be read; {HOW_TO_WRITE_IT}",
        ),
        (
            "postgresql://u:secret@[h/d",
            f"database URL: host or port cannot be read; {HOW_TO_WRITE_IT}",
        ),
    ],
)
def test_a_url_that_cannot_be_used_is_reported_without_its_password(url: str, message: str) -> None:
    with pytest.raises(EtlError) as caught:
        Database.from_url(url)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "parts", "postgresql", "mysql"),
    [
        ("students", ("students",), '"students"', "`students`"),
        ("crm.Students", ("crm", "Students"), '"crm"."Students"', "`crm`.`Students`"),
        ('"a.b"."c ""d"', ("a.b", 'c "d'), '"a.b"."c ""d"', '`a.b`.`c "d`'),
        ("`crm`.x", ("crm", "x"), '"crm"."x"', "`crm`.`x`"),
    ],
)
def test_a_table_name_means_exactly_its_letters(
    text: str, parts: tuple[str, ...], postgresql: str, mysql: str
) -> None:
    name = TableName.parse(text)
    assert (name.parts, name.alias) == (parts, parts[-1])
    assert name.quote("postgresql") == postgresql
    assert name.quote("mysql") == mysql


def test_drivers_come_from_the_named_jar_or_the_wheel(tmp_path: Path) -> None:
    jar = tmp_path / "driver.jar"
    with pytest.raises(EtlError, match=r"driver\.jar does not exist; leave it out"):
        driver_settings("postgresql", jar)
    jar.touch()
    assert driver_settings("postgresql", jar) == {"spark.driver.extraClassPath": str(jar)}
    bundled = driver_settings("postgresql")
    names = [Path(path).name for path in bundled["spark.driver.extraClassPath"].split(os.pathsep)]
    assert names == ["postgresql-42.7.4.jar", "mysql-connector-j-8.0.33.jar"]
    assert driver_settings("mysql") == bundled  # one class path, so one archive of its classes
