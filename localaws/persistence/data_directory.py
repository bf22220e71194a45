"""A data directory: everything of a local AWS that is kept when its process ends.

It holds the documents of Lambda, Glue, Personalize and SageMaker, the requests that made roles,
topics, rules, state machines and settings, the objects of buckets, the executions that ended, the
messages of queues and the events of log streams. A directory that a killed process leaves opens
again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from localaws.errors import LocalAwsError
from localaws.http.endpoint import Endpoint
from localaws.moto_patches.s3_buckets import Buckets
from localaws.persistence.arrivals import Arrivals
from localaws.persistence.documents import Documents
from localaws.persistence.executions import ExecutionArchive
from localaws.persistence.requests import RequestLog, services_in_log
from localaws.persistence.s3_objects import ObjectStore
from localaws.repeated_work import repeated
from localaws.sagemaker import registry as sagemaker

_SWEEP_SECONDS = 0.5
_HOLDINGS = ("s3", "functions", "glue", "personalize", "sagemaker")
"""Directories whose files mean nothing without the documents."""

_DIRECTORIES = (
    *_HOLDINGS, "functions/code", "functions/logs", "functions/runtime", "functions/tmp",
    "personalize/data", "personalize/models", "sagemaker/packages", "sagemaker/training-job",
    "sagemaker/processing-job", "sagemaker/transform-job", "tmp",
)  # fmt: skip
"""Directories that the services expect."""

_log = logging.getLogger(__name__)

Repair = Callable[[str], bool]
"""Is told what a repair moves aside, and returns whether to do it."""


class DataDirectoryError(LocalAwsError):
    """The directory is in use, or holds another account or region."""


class DataDirectory:
    """A directory that one process at a time holds; a context manager.

    Args:
        path: Made if it does not exist.
        account: Account number in every ARN; None takes the directory's.
        region: Region in every ARN; None takes the directory's.
        defaults: Account and region of a directory that has none yet, where none are given.
        repair: Agrees to begin anew where the database is lost; None never does.

    Attributes:
        account: The account number that the directory holds.
        region: The region that it holds.
        documents: The services' documents.
        executions: How many executions it held when it was restored.
        services_in_use: Signing names of the services of which it may hold something.

    Raises:
        DataDirectoryError: When it is entered: another process holds it, it holds another account
            or region, or its database is lost.
    """

    account: str
    region: str
    documents: Documents

    def __init__(
        self,
        path: Path,
        *,
        account: str | None,
        region: str | None,
        defaults: tuple[str, str],
        repair: Repair | None = None,
    ) -> None:
        self._path = path
        self._repair = repair
        self._requested = {"account": account, "region": region}
        self._defaults = dict(zip(self._requested, defaults, strict=True))
        self._open = ExitStack()
        self.executions = 0
        self.services_in_use: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._lock = opening.enter_context(_lock_directory(self._path))
            _make_room(self._path)
            self.documents = self._opened_documents()
            opening.callback(self.documents.close)
            self.account, self.region = self._identity()
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def changes(self) -> int:
        """The number of requests that have changed something; it only grows."""
        return self._requests.length

    def wrap(self, endpoint: Endpoint, *, on_start: Callable[[str], None]) -> None:
        """Keep what requests change in an endpoint's services, before it begins to answer.

        `on_start` is called with the ARN of each execution that starts.
        """
        documents, account, region = self.documents, self.account, self.region
        self._archive = endpoint.wrap(
            lambda behind: ExecutionArchive(
                behind, documents, account=account, region=region, on_start=on_start
            )
        )
        self._arrivals = endpoint.wrap(lambda behind: Arrivals(behind, documents, account))
        self._objects = endpoint.wrap(
            lambda behind: ObjectStore(
                behind, Buckets(account, region), documents, self._path / "s3"
            )
        )
        self._requests = endpoint.wrap(lambda behind: RequestLog(behind, documents))

    def restore(self) -> None:
        """Make again what the directory holds, in an endpoint that answers in this process only."""
        self.services_in_use = frozenset(self._services_in_use())
        self._requests.repeat()
        self._objects.restore()
        self._arrivals.restore()
        self.executions = self._archive.restore(now=time.time())
        for leftover in (self._path / "functions" / "tmp", self._path / "tmp"):
            shutil.rmtree(leftover, ignore_errors=True)

    def record_server(self, url: str) -> None:
        """Record who holds the directory, for the message to whoever wants it too."""
        self._lock.write_text(f"process {os.getpid()}, {url}", encoding="utf-8")

    @contextmanager
    def archived(self) -> Iterator[None]:
        """Keep executions that end, and what arrives, in a block, and the last ones at its end."""

        def sweep() -> None:
            self._archive.sweep()
            self._arrivals.sweep()

        try:
            with repeated(sweep, _SWEEP_SECONDS):
                yield
        finally:
            sweep()
            sweep()  # of an execution that ended just now, the error may have been missing

    def _opened_documents(self) -> Documents:
        """Open the database; one that was lost is made anew only if a repair is agreed to.

        Raises:
            DataDirectoryError: If it is lost, is empty or is none, and no repair is.
        """
        database = self._path / "aws.sqlite"
        holdings = [name for name in _HOLDINGS if any(self._files(name))]
        try:
            documents = Documents(database)
            faults = documents.damage()
            damaged = [] if faults else documents.set_damaged_aside()
            is_lost = documents.get("served", "identity") is None and bool(holdings)
            if not faults and not is_lost:
                for name in damaged:
                    _log.warning("%s: the document of %s is damaged and left out", database, name)
                return documents
            documents.close()
            fault = f"is damaged: {faults[0]}" if faults else "is lost or empty"
        except sqlite3.DatabaseError as error:
            fault = f"cannot be read: {error}"
        databases = [path.name for path in sorted(self._path.glob("aws.sqlite*"))]
        described = [f"{name}/ ({self._size_of(name)})" for name in holdings] + databases
        if self._repair is None:
            raise DataDirectoryError(
                f"{database} {fault}, and nothing says what the other files of {self._path} are:"
                f" {', '.join(described)}. Put the database back; or start with --repair, which"
                " moves all of them aside and begins with nothing"
            )
        aside = self._path / f"lost-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        if not self._repair(f"{database} {fault}: {', '.join(described)} go to {aside}"):
            raise DataDirectoryError(f"{database} {fault}; nothing was changed")
        aside.mkdir()
        for name in (*holdings, *databases):
            (self._path / name).rename(aside / name)
        return Documents(database)

    def _files(self, name: str) -> Iterator[Path]:
        return (path for path in (self._path / name).rglob("*") if path.is_file())

    def _size_of(self, name: str) -> str:
        sizes = [path.stat().st_size for path in self._files(name)]
        return f"{len(sizes):,} files, {sum(sizes) / 1e6:,.1f} MB"

    def _identity(self) -> tuple[str, str]:
        """Return the account and region of the directory, which never change."""
        held = self.documents.get("served", "identity")
        if held is None:
            held = {name: self._requested[name] or self._defaults[name] for name in self._defaults}
            self.documents.put("served", "identity", held)
        for name, requested in self._requested.items():
            if requested not in {None, held[name]}:
                raise DataDirectoryError(
                    f"{self._path} holds {name} {held[name]}, and {requested} was requested; name"
                    " another directory, or leave the option out"
                )
        return held["account"], held["region"]

    def _services_in_use(self) -> set[str]:
        collections = [
            ("lambda", "function"),
            ("glue", "glue job"),
            *(("sagemaker", collection) for collection in sagemaker.COLLECTIONS),
        ]
        return {
            *services_in_log(self.documents),
            *(name for name, kept in collections if any(self.documents.all(kept))),
            *("personalize" for _ in (self._path / "personalize").glob("*")),
        }


def _make_room(directory: Path) -> None:
    """Move files aside that stand where the services expect directories."""
    for name in _DIRECTORIES:
        path = directory / name
        if os.path.lexists(path) and not path.is_dir():
            aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            path.rename(aside)
            _log.warning("%s is no directory: it is %s now, and what it held is lost", path, aside)


@contextmanager
def _lock_directory(directory: Path) -> Iterator[Path]:
    """Keep a directory to one process; the lock goes with the process, however it ends.

    To its owner too, as it holds rows, and logs of jobs.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    # An earlier version made it readable by everybody; a directory with other files is not ours.
    if (directory / "aws.sqlite").exists() or not any(directory.iterdir()):
        try:
            directory.chmod(0o700)
        except PermissionError as error:  # it is another user's
            _log.warning("%s stays readable by others: %s", directory, error.strerror)
    path = directory / "lock"
    try:
        opened = path.open("a+", errors="replace")
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be opened: {error.strerror}; remove it") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DataDirectoryError(
                f"{directory} is served already, by {file.read() or 'another process'}; stop"
                " that one, or name another directory"
            ) from None
        path.write_text(f"process {os.getpid()}")
        yield path
