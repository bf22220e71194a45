"""The objects of S3 buckets, written to the disk as soon as a request has changed them.

A WSGI application between the endpoint and the S3 behind it. State is kept, not requests: what S3
holds of a key once a request has succeeded, its bytes each in a file of their own, and a document
that names them. A client has its response only then. A kill leaves the key as it was before or
after the request. Bytes that no document names are left where they are: a kill may have left them,
or the documents may be lost. A key whose bytes are damaged answers with that, until it is written
or deleted.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import call_of, is_s3
from localaws.http.errors import ServiceError, error_response
from localaws.http.wsgi import perform
from localaws.moto_patches.s3_buckets import Buckets, DamagedFileError
from localaws.persistence.documents import Documents
from localaws.persistence.files import UNFINISHED, written_whole

_COLLECTION = "object"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHUNK_BYTES = 1 << 20
_MULTIPART = frozenset({"uploads", "partNumber"})
"""Operations that begin a multipart upload or send a part: there is no object yet."""

log = logging.getLogger(__name__)


class ObjectStore:
    """Keeps what an application changes in buckets: descriptions in documents, bytes in files."""

    def __init__(
        self,
        application: WSGIApplication,
        buckets: Buckets,
        documents: Documents,
        directory: Path,
    ) -> None:
        self._application = application
        self._buckets = buckets
        self._documents = documents
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._locks = [threading.Lock() for _ in range(64)]
        self._damaged: dict[str, str] = {}  # reasons by bucket/key

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        target = bucket_and_key(environ)
        if target is None:
            return self._application(environ, start_response)
        bucket, key = target
        if environ["REQUEST_METHOD"] in _READING:
            if reason := self._damaged.get(f"{bucket}/{key}"):
                error = ServiceError("InternalError", reason)
                refusal = error_response(error, protocol="rest-xml", service="s3", resource=key)
                return refusal(environ, start_response)
            return self._application(environ, start_response)
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        keys = [key] if key else _keys_to_delete(environ)
        response = perform(self._application, environ)
        if response.succeeded and not query.keys() & _MULTIPART:
            for changed in keys or self._keys(bucket):
                with self._locks[hash((bucket, changed)) % len(self._locks)]:
                    self._keep(bucket, changed)
        return response(environ, start_response)

    def restore(self) -> None:
        """Put everything back into S3, whose buckets exist again.

        What cannot be put back stays as it is, with a warning; only unfinished files are removed.
        """
        named = set()
        for name, document in self._documents.all(_COLLECTION):
            bucket = name.partition("/")[0]
            named |= _files(document["versions"])
            if bucket not in self._buckets:
                log.warning("s3://%s cannot be restored: its bucket is not there", name)
                continue
            try:
                self._buckets.restore(bucket, document["versions"], self._directory)
            except DamagedFileError as error:
                self._damaged[name] = str(error)
                log.warning("s3://%s cannot be restored: %s", name, error)
        others = [path for path in self._directory.iterdir() if path.name not in named]
        for path in others:
            if path.suffix == UNFINISHED:
                path.unlink()
        unnamed = sum(path.suffix != UNFINISHED for path in others)
        if unnamed:
            log.warning(
                "%s: no object has %d of the files, which a kill may have left; they stay",
                self._directory,
                unnamed,
            )

    def _keys(self, bucket: str) -> list[str]:
        """Return every key that is or was in a bucket."""
        names = (name.partition("/") for name, _ in self._documents.all(_COLLECTION))
        before = {key for owner, _, key in names if owner == bucket}
        keys = sorted(before | set(self._buckets.keys(bucket)))
        return [key for key in keys if f"{bucket}/{key}" not in self._damaged]

    def _keep(self, bucket: str, key: str) -> None:
        """Keep what a bucket now holds of a key."""
        name = f"{bucket}/{key}"
        document = self._documents.get(_COLLECTION, name)
        before = document["versions"] if document else []
        versions = self._buckets.versions(bucket, key, self._write)
        if versions == before:
            return
        if versions:
            self._documents.put(_COLLECTION, name, {"versions": versions})
        else:
            self._documents.drop(_COLLECTION, name)
        if self._damaged.pop(name, None):
            return  # of its versions, some may be whole: their files stay, for whoever wants them
        for file in _files(before) - _files(versions):
            (self._directory / file).unlink(missing_ok=True)

    def _write(self, content: BinaryIO) -> tuple[str, str]:
        """Write a file whole or not at all; return its name and its SHA-256."""
        name, digest = uuid.uuid4().hex, hashlib.sha256()
        with written_whole(self._directory / name) as file:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        return name, digest.hexdigest()


def bucket_and_key(environ: WSGIEnvironment) -> tuple[str, str] | None:
    """Return the bucket whose objects a request can change, and the key if the request names one.

    None for other services, and for requests about a bucket itself.
    """
    if not is_s3(environ):
        return None
    # WSGI decodes the path as Latin-1, whatever it is.
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").lstrip("/")
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    virtual, dot, _ = host.rpartition(".localhost")
    bucket, _, key = (virtual, "", path) if dot else path.partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    many = environ["REQUEST_METHOD"] == "POST" and ("delete" in query or not query)
    return (bucket, key) if bucket and (key or many) else None


def _keys_to_delete(environ: WSGIEnvironment) -> list[str]:
    """Return the keys of a DeleteObjects; none of another request."""
    delete = call_of(environ).parameters.get("Delete", {})
    return list(dict.fromkeys(entry["Key"] for entry in delete.get("Objects", ())))


def _files(versions: Iterable[dict[str, str]]) -> set[str]:
    return {version["file"] for version in versions if "file" in version}
