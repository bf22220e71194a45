"""Request bodies, read whole from a connection before a service sees the request.

A service then reads a body of a known length, in memory if it is small and else on the disk,
however it was sent. A body that is malformed, cut off, stalled or too large gets AWS's error, and
takes no more memory than a piece of it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import is_s3
from localaws.http.errors import error_to

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (an upload in one operation)
S3_LIMIT = 5 << 30
# What Lambda says of a larger CreateFunction; no other service takes as much in one request.
LIMIT = 70_167_211

CONNECTION = "localaws.connection"
"""Where a request has the stream of its connection, as it was sent."""

_PIECE = 1 << 16
_IN_MEMORY = 1 << 20
_LINE = 4096
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CHUNK_LENGTH = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;[^\r\n]*)?\r?\n")


class _BodyError(Exception):
    """A body that is not taken: AWS's error, its message and its status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class WholeBodies:
    """A WSGI application in front of another, which gets whole bodies of known length."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            pieces = _pieces(environ)
            if pieces is None:
                return self._application(environ, start_response)
            with ExitStack() as stack:
                body = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
                environ["CONTENT_LENGTH"] = str(_copy(pieces, body, is_s3=is_s3(environ)))
                environ["wsgi.input"] = body
                environ.pop("HTTP_TRANSFER_ENCODING", None)
                environ.pop("wsgi.input_terminated", None)
                response = self._application(environ, start_response)
                stack.callback(getattr(response, "close", lambda: None))
                return list(response)  # now, as the body goes with the block
        except _BodyError as error:
            refused = error_to(environ, error.code, error.message, status=error.status)
            return refused(environ, start_response)


def _pieces(environ: WSGIEnvironment) -> Iterator[bytes] | None:
    """Return the pieces of a request's body, None if it has none.

    Raises:
        _BodyError: If its headers do not say where it ends.
    """
    encoding, length = environ.get("HTTP_TRANSFER_ENCODING"), environ.get("CONTENT_LENGTH", "")
    if encoding is not None:
        if encoding.strip().lower() != "chunked" or length:
            message = f"Transfer-Encoding {encoding!r}: send chunked, without a Content-Length"
            raise _BodyError("InvalidRequest", message)
        return _chunks(environ[CONNECTION])
    if not length:
        return None
    if not _LENGTH.fullmatch(length):
        raise _BodyError("InvalidRequest", f"Content-Length {length!r} is no number of bytes")
    if int(length) > (S3_LIMIT if is_s3(environ) else LIMIT):
        raise _too_large(is_s3=is_s3(environ))
    return _read(environ[CONNECTION], int(length))


def _copy(pieces: Iterable[bytes], file: IO[bytes], *, is_s3: bool) -> int:
    """Copy a body to a file, and return its length.

    Raises:
        _BodyError: If it is too large, or stalls.
    """
    length, limit = 0, S3_LIMIT if is_s3 else LIMIT
    try:
        for piece in pieces:
            length += len(piece)
            if length > limit:
                raise _too_large(is_s3=is_s3)
            file.write(piece)
    except TimeoutError:
        message = "Your socket connection was not written to within the timeout period"
        raise _BodyError("RequestTimeout", message) from None
    file.seek(0)
    return length


def _too_large(*, is_s3: bool) -> _BodyError:
    if is_s3:
        message = f"Your proposed upload exceeds the maximum allowed size of {S3_LIMIT} bytes"
        return _BodyError("EntityTooLarge", message)
    message = f"Request must be smaller than {LIMIT} bytes"
    return _BodyError("RequestEntityTooLargeException", message, 413)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the pieces of a chunked body.

    https://www.rfc-editor.org/rfc/rfc9112#section-7.1
    """
    while True:
        line = stream.readline(_LINE)
        match = _CHUNK_LENGTH.fullmatch(line)
        if match is None:
            raise _BodyError("InvalidRequest", f"{line[:40]!r} is no length of a chunk")
        length = int(match[1], 16)
        if not length:
            break
        yield from _read(stream, length)
        if stream.readline(2).strip():
            raise _BodyError("InvalidRequest", "a chunk is longer than its length says")
    while stream.readline(_LINE).strip():
        pass  # trailers


def _read(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield pieces of so many bytes."""
    while length:
        piece = stream.read(min(_PIECE, length))
        if not piece:
            message = "You did not provide the number of bytes specified by the HTTP headers"
            raise _BodyError("IncompleteBody", message)
        length -= len(piece)
        yield piece
