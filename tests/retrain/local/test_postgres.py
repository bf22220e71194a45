"""A real PostgreSQL for the length of a block, and nothing after it."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from retrain.local.postgres import Postgres, PostgresError


def test_postgres_serves_on_loopback_with_a_password_in_utf_8(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SELECT '求人 📚'").fetchone() == ("求人 📚",)

    password = urlsplit(postgres.url).password or ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(password, "wrong"))


def test_closing_ends_the_server(scratch: Path) -> None:
    with Postgres(scratch / "short-lived") as postgres:
        port = urlsplit(postgres.url).port or 0
        psycopg.connect(postgres.url).close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_port_in_use_is_reported_with_the_servers_message(scratch: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with (
            pytest.raises(PostgresError, match="could not bind IPv4 address"),
            Postgres(scratch / "refused", port=port),
        ):
            pass


def test_the_url_needs_a_started_server(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="no URL before it is started"):
        _ = Postgres(tmp_path).url
