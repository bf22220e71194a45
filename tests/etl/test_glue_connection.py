"""The URL of a Glue connection, as `GlueContext.extract_jdbc_conf` gives its parts."""

import pytest

from etl.glue_connection import jdbc_url

POSTGRESQL, MYSQL = "jdbc:postgresql://db:5432/shop", "jdbc:mysql://db:3306/shop"


@pytest.mark.parametrize(
    ("engine", "jdbc", "url"),
    [
        ("postgresql", {"fullUrl": POSTGRESQL, "url": "jdbc:x"}, POSTGRESQL),
        ("postgresql", {"url": POSTGRESQL, "enforceSSL": "false"}, POSTGRESQL),
        (
            "postgresql",
            {"fullUrl": POSTGRESQL, "enforceSSL": "true"},
            f"{POSTGRESQL}?sslmode=require",
        ),
        ("mysql", {"fullUrl": MYSQL, "enforceSSL": "true"}, f"{MYSQL}?sslMode=REQUIRED"),
        (
            "mysql",
            {"fullUrl": f"{MYSQL}?useUnicode=true", "enforceSSL": "true"},
            f"{MYSQL}?useUnicode=true&sslMode=REQUIRED",
        ),
        (
            "postgresql",
            {"fullUrl": f"{POSTGRESQL}?sslmode=verify-full", "enforceSSL": "true"},
            f"{POSTGRESQL}?sslmode=verify-full",
        ),
    ],
)
def test_a_connection_that_requires_ssl_is_encrypted_or_fails(engine, jdbc, url):
    assert jdbc_url(engine, jdbc) == url
