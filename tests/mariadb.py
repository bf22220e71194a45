"""A real MariaDB on 127.0.0.1, from the Debian package that the Makefile unpacks into .venv.

Its zone is +09:00: a server whose zone is UTC shows no fault of time zones.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

import pymysql
from pymysql.cursors import Cursor

INSTALLED = Path(sys.prefix, "mariadb", "usr")
ZONE = "+09:00"
# A throw-away server: small, and speed for safety against power cuts.
SERVER_OPTIONS = (
    *("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--performance-schema=OFF"),
    *("--innodb-flush-log-at-trx-commit=0", "--innodb-use-native-aio=OFF", "--skip-log-bin"),
    *("--character-set-server=utf8mb4", "--skip-name-resolve", f"--default-time-zone={ZONE}"),
)
USER = "shop"
NAMES = count(1)


class MariaDb:
    """A MariaDB server for the length of a `with` block, in a directory that exists."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._password = secrets.token_urlsafe(12)
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        accounts = self._directory / "accounts.sql"
        accounts.write_text(
            f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{self._password}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1';\n"
        )
        # The scripts of mariadb-install-db; without its help texts and its shell.
        scripts = (
            INSTALLED / "share/mysql" / f"mysql_system_tables{end}.sql" for end in ("", "_data")
        )
        tables = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *map(Path.read_text, scripts)])
        server = self._start("--bootstrap")
        server.communicate(tables.encode())
        if server.returncode:
            raise AssertionError(f"MariaDB: no tables of its own\n{self._log}")
        self._server = self._start(f"--port={self._port}", f"--init-file={accounts}")
        while b"ready for connections" not in self._log.encode():
            if self._server.poll() is not None:
                raise AssertionError(f"MariaDB: does not start\n{self._log}")
            try:
                self._server.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.terminate()
        self._server.wait()

    @property
    def _log(self) -> str:
        return (self._directory / "server.log").read_text("utf-8", errors="replace")

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        libraries = ":".join(map(str, (INSTALLED / "lib").glob("*-linux-gnu")))
        user = ["--user=root"] if os.geteuid() == 0 else []
        data = self._directory / "data"
        data.mkdir(exist_ok=True)
        with (self._directory / "server.log").open("wb") as log:
            return subprocess.Popen(
                [
                    *(str(INSTALLED / "sbin/mariadbd"), "--no-defaults", f"--basedir={INSTALLED}"),
                    *(f"--datadir={data}", f"--tmpdir={self._directory}", *user),
                    *(f"--socket={self._directory}/socket", "--bind-address=127.0.0.1"),
                    *(f"--pid-file={self._directory}/pid", *SERVER_OPTIONS, *options),
                ],
                env={**os.environ, "LD_LIBRARY_PATH": libraries},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @contextmanager
    def database(self) -> Iterator["MariaDbDatabase"]:
        """Make an empty database for the length of a `with` block."""
        database = MariaDbDatabase(self._port, self._password, f"shop{next(NAMES)}")
        database.execute(f"CREATE DATABASE {database.name}", inside=False)
        yield database
        database.execute(f"DROP DATABASE {database.name}", inside=False)


class MariaDbDatabase:
    """A database of the server."""

    def __init__(self, port: int, password: str, name: str) -> None:
        self._port, self._password, self.name = port, password, name

    @property
    def url(self) -> str:
        """`mysql://user:password@127.0.0.1:port/name`."""
        return f"mysql://{USER}:{self._password}@127.0.0.1:{self._port}/{self.name}"

    def execute(self, *statements: str, inside: bool = True) -> list[tuple[Any, ...]]:
        """Execute statements in one session; return the last one's rows."""
        with self.connect(inside=inside) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def connect(self, *, inside: bool = True) -> "pymysql.Connection[Cursor]":
        """Open a session, which commits each statement."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self._port,
            user=USER,
            password=self._password,
            database=self.name if inside else None,
            charset="utf8mb4",
            autocommit=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
