"""Lines of a batch inference job's output → rows of the published list, and what they add up to.

The function that filters and the Spark job that does so in its place run this very code, so that
their lists are the same bytes. It reads and writes nothing.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import isfinite
from types import NoneType
from typing import Any

from lambdas.errors import IncompleteInput, LinesDoNotMatch, ListsAlike, NoRecommendations

HEADER = ("USER_ID", "ITEM_ID", "RANK", "SCORE")
RELATED_HEADER = ("ITEM_ID", "RELATED_ITEM_ID", "RANK", "SCORE")

Row = tuple[str, str, int, str]
"""User, item, rank, score; of related items, the item to which they are found is in the user's
place. Ranks run 1..N without gaps; the score is empty if Personalize gave none."""

_SCORE_TYPES = {int, float, NoneType}  # bool is none
_FEW = 25  # fewer users may have the same list by chance
_ROWS_PER_CHUNK = 5_000


@dataclass
class Counts:
    """What a sequence of lines adds up to.

    Attributes:
        lines: Of the output, without empty ones; 0 where it is read of `latest.json`.
        users: With a recommendation.
        different_lists: Lists of Personalize that are not like the one before.
        recommendations: Rows.
        error_lines: Lines that hold no recommendations.
        ineligible: Items that may not be recommended.
        excluded: Items that may not be recommended to the user.
        first: The first list of Personalize; None if there is none.
        last: The last one.
    """

    lines: int = 0
    users: int = 0
    different_lists: int = 0
    recommendations: int = 0
    error_lines: int = 0
    ineligible: int = 0
    excluded: int = 0
    first: Sequence[str] | None = field(default=None, repr=False)
    last: Sequence[str] | None = field(default=None, repr=False)

    def count_list(self, items: Sequence[str]) -> None:
        """Count the next list of Personalize."""
        self.different_lists += self.last is not None and items != self.last
        self.first, self.last = items if self.first is None else self.first, items

    def add(self, following: Counts) -> None:
        """Add what the lines add up to that follow these."""
        for name in (
            "lines", "users", "different_lists", "recommendations", "error_lines", "ineligible",
            "excluded",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(following, name))
        if following.first is not None:
            self.different_lists += self.last is not None and following.first != self.last
            self.first = following.first if self.first is None else self.first
            self.last = following.last

    def published(self) -> dict[str, Any]:
        """Return the counts as `latest.json` has them."""
        return {
            "users": self.users,
            "differentLists": self.different_lists,
            "recommendations": self.recommendations,
            "errorLines": self.error_lines,
            "dropped": {"ineligible": self.ineligible, "excluded": self.excluded},
        }

    @classmethod
    def from_published(cls, content: Mapping[str, Any]) -> Counts:
        """Return the counts that `published` returned."""
        return cls(
            users=content["users"],
            different_lists=content["differentLists"],
            recommendations=content["recommendations"],
            error_lines=content["errorLines"],
            **content["dropped"],
        )


class Lists:
    """Makes rows of lines, one line after the other, and counts.

    Args:
        eligible: Item ids that may be recommended; None for all.
        keep: Most items per user.
        on_error: Called with a line of `errors.jsonl` for each line without recommendations.
    """

    def __init__(
        self, *, eligible: Set[str] | None, keep: int, on_error: Callable[[str], object]
    ) -> None:
        self.counts = Counts()
        self._eligible, self._keep, self._on_error = eligible, keep, on_error

    def rows(
        self, line: bytes, excluded: Callable[[str], Set[str]], fault: Callable[[str], str]
    ) -> Iterator[Row]:
        """Yield the rows of the next line.

        Args:
            line: A line of a batch inference job's output.
            excluded: User id → item ids never recommended to that user.
            fault: User id → what `fault_of_user` returns of it.
        """
        counts, line = self.counts, _bare(line)
        if not line:
            return
        counts.lines += 1
        try:
            user, items, scores = _recommendations(line)
            if reason := fault(user):
                raise ValueError(reason)
        except ValueError as error:
            counts.error_lines += 1
            # Half a character in the line's own error, too, is nothing that UTF-8 can hold.
            reason = str(error).encode(errors="backslashreplace").decode()
            text = line.decode(errors="backslashreplace")
            record = json.dumps({"reason": reason, "line": text}, ensure_ascii=False)
            self._on_error(f"{record}\n")
            return
        counts.count_list(items)
        without, rank = excluded(user), 0
        first_scores: dict[str, float | None] = {}
        for item, score in zip(items, scores, strict=True):
            first_scores.setdefault(item, score)
        for item, score in first_scores.items():
            if self._eligible is not None and item not in self._eligible:
                counts.ineligible += 1
            elif item in without:
                counts.excluded += 1
            elif rank < self._keep:
                rank += 1
                yield user, item, rank, "" if score is None else repr(score)
        counts.users += rank > 0
        counts.recommendations += rank


def fault_of_user(user: str, *, is_requested: bool, is_first: bool) -> str:
    """Return why a line is an error because of its user; empty if it is none.

    Args:
        user: Whose line it is.
        is_requested: Whether the batch input asks for them: a model of one's own may write others.
        is_first: Whether no earlier line has a list of them: who reads a list expects one.
    """
    if not is_requested:
        return f"the batch input does not ask for {user}"
    return "" if is_first else f"an earlier line has the list of {user}"


def requested_id(line: bytes) -> str:
    """Return the user of a line of batch input, or the item to which related ones are asked for.

    Raises:
        ValueError: If it has none.
    """
    request = json.loads(line)
    requested = request.get("userId") or request.get("itemId")
    if not isinstance(requested, str):
        raise ValueError("no userId, no itemId")
    return requested


def _bare(line: bytes) -> bytes:
    """Return a line without what surrounds it; Spark leaves out a mark that begins a file."""
    return line.strip().removeprefix(codecs.BOM_UTF8)


def user_of(line: bytes) -> str | None:
    """Return the user of a line, or the item to which others are related; None of an error."""
    read = list_of(line)
    return read[0] if read else None


def list_of(line: bytes) -> tuple[str, Sequence[str]] | None:
    """Return the user of a line, as `user_of` does, and the list; None of an error."""
    try:
        return _recommendations(_bare(line))[:2]
    except ValueError:
        return None


def _recommendations(line: bytes) -> tuple[str, Sequence[str], Sequence[float | None]]:
    """Return user (or item to which others are related), items and scores of a line.

    Raises:
        ValueError: If it holds no recommendations, with the reason.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: {error}") from None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(record, Mapping):
        raise ValueError("no JSON object")
    if record.get("error"):
        raise ValueError(str(record["error"]))
    request, output = (
        member if isinstance(member, Mapping) else {}
        for member in (record.get("input"), record.get("output"))
    )
    user = request.get("userId") or request.get("itemId")
    if isinstance(user, bool | list | Mapping):
        raise ValueError(f"{type(user).__name__} is no id")
    items = output.get("recommendedItems")
    if not user or items is None:
        raise ValueError("neither error nor recommendedItems" if user else "no userId, no itemId")
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("recommendedItems is no list of texts, as ids are")
    scores = output.get("scores") or [None] * len(items)
    if not _are_scores(scores):
        raise ValueError("scores is no list of numbers")
    if len(scores) != len(items):
        raise ValueError(f"{len(items)} items, but {len(scores)} scores")
    user = str(user)
    if "\\u" in text:
        _check_characters((user, *items))
    return user, items, scores


def _are_scores(value: object) -> bool:
    """Return whether they are JSON's numbers: Python reads NaN, Infinity and 1e999 as such too."""
    if not isinstance(value, list) or not {*map(type, value)} <= _SCORE_TYPES:
        return False
    try:
        return all(map(isfinite, (score for score in value if score is not None)))
    except OverflowError:  # a whole number beyond all others
        return False


def _check_characters(ids: Iterable[str]) -> None:
    r"""Raise `ValueError` for an id that is no text: JSON can have half a character, `\ud83d`."""
    for value in ids:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"an id holds half a character: {value!a}") from None


def header_of(manifest: Mapping[str, Any]) -> Sequence[str]:
    """Return the list's columns: of users, or of items to which others are related."""
    is_related = (manifest.get("batchInput") or {}).get("id") == "ITEM_ID"
    return RELATED_HEADER if is_related else HEADER


def csv_chunks(rows: Iterable[Row], header: Sequence[str] = HEADER) -> Iterator[bytes]:
    """Yield a CSV (RFC 4180 quoting, UTF-8, LF) in chunks of some thousand rows.

    Args:
        rows: The rows.
        header: The names of the columns; empty for rows that go on with a CSV.
    """
    buffer = _LineFeeds()
    writer = csv.writer(buffer)
    if header:
        writer.writerow(header)
    for number, row in enumerate(rows, start=1):
        writer.writerow(row)
        if number % _ROWS_PER_CHUNK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


class _LineFeeds(io.StringIO):
    """A buffer that ends each row with LF alone; only a writer of CRLF quotes an id with a CR."""

    def write(self, row: str) -> int:
        return super().write(f"{row.removesuffix(csv.excel.lineterminator)}\n")


def readable(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Return chunks of bytes as a file that an upload reads."""
    return io.BufferedReader(_ChunkReader(iter(chunks)))


class _ChunkReader(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def raise_if_other_lines(lines: int, requested: int | None, where: str) -> None:
    """Raise an error if a model has not one line of output for each line of its input.

    Args:
        lines: Of the output.
        requested: Lines of the batch input; None if nobody counted them.
        where: The S3 URI of the output.

    Raises:
        LinesDoNotMatch: If they differ; nobody knows then whose lists are missing, or there twice.
    """
    if requested is not None and lines != requested:
        raise LinesDoNotMatch(
            f"{where} has {lines:,} lines, and batch-input/ has {requested:,}: a model writes one"
            " line for each that it gets, of those that it has no list for one with an error; the"
            " published list stays as it was. Mend what predict_fn and output_fn return"
        )


def raise_if_incomplete(found: int, expected: int | None, where: str) -> None:
    """Raise an error if what the manifest counts is not all there; None counts nothing.

    Args:
        found: Rows or lines.
        expected: As many as the manifest says.
        where: The S3 URI of the files.

    Raises:
        IncompleteInput: If they differ: files are missing, cut off, or of another run.
    """
    if expected is not None and found != expected:
        raise IncompleteInput(
            f"{where} holds {found:,} lines, and {expected:,} by the run's manifest.json: files are"
            " missing, cut off, or of another run; the published list stays as it was"
        )


def raise_if_useless(counts: Counts, least_different: float) -> None:
    """Raise an error if there is no recommendation, or one list for all.

    Args:
        counts: Of all lines.
        least_different: Least share of lists that are not like the one before.

    Raises:
        NoRecommendations: If nothing is left to recommend.
        ListsAlike: If nearly all users have the same list.
    """
    if not counts.recommendations:
        if counts.error_lines and not counts.ineligible + counts.excluded:
            raise NoRecommendations(
                f"nothing is left to recommend: each line is an error ({counts.error_lines:,}), and"
                " the run's recommendations/errors.jsonl has the reasons; the published list stays"
                " as it was"
            )
        raise NoRecommendations(
            f"nothing is left to recommend: {counts.error_lines} error lines,"
            f" {counts.ineligible} items not eligible, {counts.excluded}"
            " excluded; the published list stays as it was. Look at the filter rules and at the"
            " run's recommendations/errors.jsonl"
        )
    if counts.users >= _FEW and counts.different_lists < least_different * counts.users:
        raise ListsAlike(
            f"{counts.users - counts.different_lists:,} of {counts.users:,} users have the same"
            " list, so the model knows nothing of them; the published list stays as it was. Is"
            " batch_inference.user_id the id of the interactions, written alike? Where one list for"
            " all is right, write agreement.different_lists = 0"
        )
