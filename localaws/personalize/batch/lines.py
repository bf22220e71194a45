"""The lines of batch jobs: what each type of recipe is asked and answers.

Formats: https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html and
https://docs.aws.amazon.com/personalize/latest/dg/prepare-input-data-user-segment.html
A line that cannot be answered has ``"output": null`` and an ``error``, in its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.personalize.batch.themes import Themes
from localaws.personalize.filters import Eligibility, Filter, UserEligibility, Values
from recommenders import Eligible, Exploration, Recommender

_LONGEST_ID = 256
_MOST_RANKED = 500


@dataclass(frozen=True)
class Line:
    """One line of input.

    Args:
        given: Its JSON value, or its text.
        fault: What is wrong with it; empty if it can be answered.
        values: What it gives for the filter's placeholders.
    """

    given: Any
    fault: str = ""
    values: Values = field(default_factory=dict)


class Lines(ABC):
    """Answers the lines of one job.

    Args:
        recommender: A fitted one.
        n_results: Most items or users of an answer.
        eligibility: The job's filter, for the recommender's items or users.
        deleted: Users whom a data deletion job deleted: the recommender shall not know them.
        exploration: How new items are explored.
        tilt: What is preferred besides the scores.
    """

    members: tuple[str, ...]
    example: str
    """A line, as a fault shows it."""

    def __init__(
        self,
        recommender: Recommender,
        n_results: int,
        eligibility: Eligibility | UserEligibility | None = None,
        *,
        deleted: Collection[str] = (),
        exploration: Exploration | None = None,
        tilt: NDArray[np.float32] | None = None,
    ) -> None:
        self._recommender = recommender
        self._n = n_results
        self._eligibility = eligibility
        self._deleted = frozenset(deleted)
        self._exploration = exploration
        self._tilt = tilt

    def answers(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """One line of output for each line of input that is not blank, in the same order."""
        parsed = [self._parsed(line) for line in lines if line.strip()]
        found = self._found([line for line in parsed if not line.fault])
        for line in parsed:
            output = None if line.fault else next(found)
            answer = self._answer(line, output)
            yield orjson.dumps(
                answer, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
            )

    @abstractmethod
    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        """The output of each line, none of which has a fault."""

    def _fault(self, given: Mapping[str, Any]) -> str:
        """What is wrong with a line that has the right members, each a string or a list."""
        return ""

    def _answer(self, line: Line, output: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"input": line.given, "output": output, "error": line.fault or None}

    def _known(self, users: Sequence[str]) -> list[str]:
        """The users as the recommender shall see them: those deleted are strangers."""
        return ["" if user in self._deleted else user for user in users]

    def _eligible(
        self, lines: Sequence[Line], users: Sequence[str], items: Sequence[str] = ()
    ) -> Eligible | None:
        """Tells what the lines may get; `users` are those of the lines, and `items` if they have.

        Segments of users have neither.
        """
        chosen = self._eligibility
        if chosen is None:
            return None
        values = [line.values for line in lines]
        return lambda start, stop: chosen.masks(
            users[start:stop], values[start:stop], items[start:stop]
        )

    def _parsed(self, line: bytes) -> Line:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return Line(line.decode("utf-8", "replace").strip(), f"not JSON: {error}")
        if not isinstance(value, dict) or not all(map(value.get, self.members)):
            return Line(value, f"must be of the form {self.example}, the id a string")
        for name in self.members:
            if name.endswith("Id") and not isinstance(value[name], str):
                return Line(value, f"must be of the form {self.example}, the id a string")
            if name.endswith("Id") and len(value[name]) > _LONGEST_ID:
                return Line(value, f"{name} must have 1 to {_LONGEST_ID} characters")
        if further := sorted(set(value) - {*self.members, "filterValues"}):
            return Line(value, f"{', '.join(further)}: not supported by the local Personalize")
        if fault := self._fault(value):
            return Line(value, fault)
        return self._bound(value)

    def _bound(self, value: Any) -> Line:
        wanted: Filter | None = self._eligibility.filter if self._eligibility else None
        if wanted is None:
            fault = "filterValues: the job has no filter" if "filterValues" in value else ""
            return Line(value, fault)
        try:
            return Line(value, values=wanted.bind(value.get("filterValues", {})))
        except ValueError as error:
            return Line(value, str(error))


class UserLines(Lines):
    """Users in, items out."""

    members = ("userId",)
    example = '{"userId": "42"}'

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        users = [line.given["userId"] for line in lines]
        eligible = self._eligible(lines, users)
        blocks = self._recommender.recommend(
            self._known(users),
            self._n,
            eligible=eligible,
            exploration=self._exploration,
            boosts=self._tilt,
            workers=0,
        )
        for block in blocks if users else ():
            for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
                yield {"recommendedItems": items[:count].tolist(), "scores": scores[:count]}


class RankingLines(Lines):
    """A user and a list of items in, the list in the user's order out."""

    members = ("userId", "itemList")
    example = '{"userId": "42", "itemList": ["a", "b"]}'

    def _fault(self, given: Mapping[str, Any]) -> str:
        items = given["itemList"]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            return "itemList must be a list of item ids, each a string"
        if len(items) > _MOST_RANKED:
            return f"itemList: {len(items)} items; at most {_MOST_RANKED} can be ranked"
        return ""

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        users = [line.given["userId"] for line in lines]
        lists = [line.given["itemList"] for line in lines]
        allowed = self._eligible(lines, users)
        ranked = self._recommender.rank(self._known(users), lists, boosts=self._tilt)
        for place, ranking in enumerate(ranked):
            kept = list(range(len(ranking.items)))
            if allowed:
                found = self._recommender.positions(ranking.items)
                (mask,) = allowed(place, place + 1)
                kept = np.flatnonzero((found >= 0) & mask[found]).tolist()
            yield {
                "recommendedItems": [ranking.items[n] for n in kept],
                "scores": [ranking.scores[n] for n in kept],
            }


class RelatedLines(Lines):
    """Items in, related items out."""

    members = ("itemId",)
    example = '{"itemId": "42"}'

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        items = [line.given["itemId"] for line in lines]
        eligible = self._eligible(lines, [""] * len(lines), items)
        for block in self._recommender.similar(items, self._n, eligible=eligible) if items else ():
            for found, count in zip(block.items, block.counts, strict=True):
                yield {"recommendedItems": found[:count].tolist()}


class ThemedLines(RelatedLines):
    """Items in, related items and what they have in common out.

    Args:
        recommender: As in `Lines`.
        n_results: As in `Lines`.
        eligibility: As in `Lines`.
        themes: Finds themes.
    """

    def __init__(
        self,
        recommender: Recommender,
        n_results: int,
        eligibility: Eligibility | None,
        themes: Themes,
    ) -> None:
        super().__init__(recommender, n_results, eligibility)
        self._themes = themes

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        for found in super()._found(lines):
            theme, items, relevance = self._themes.of(found["recommendedItems"])
            yield {
                "recommendedItems": items,
                "theme": theme,
                "itemsThemeRelevanceScores": relevance,
            }


class _SegmentLines(Lines):
    """Segments of users out; their lines have no ``error`` unless they failed."""

    def _answer(self, line: Line, output: Mapping[str, Any] | None) -> dict[str, Any]:
        answer = {**self._asked(line), "output": output}
        return {**answer, "error": line.fault} if line.fault else answer

    def _asked(self, line: Line) -> dict[str, Any]:
        return {"input": line.given}

    def _may(self, lines: Sequence[Line]) -> Eligible | None:
        """Tells which users the segments may hold: those of the filter, none that was deleted."""
        chosen = self._eligible(lines, [""] * len(lines))
        if not self._deleted:
            return chosen
        left = ~np.isin(self._recommender.user_ids, sorted(self._deleted))

        def may(start: int, stop: int) -> NDArray[np.bool_]:
            everybody = np.tile(left, (stop - start, 1))
            return everybody & chosen(start, stop) if chosen else everybody

        return may


class ItemSegmentLines(_SegmentLines):
    """Items in, the users who are likely to meet them out."""

    members = ("itemId",)
    example = '{"itemId": "105"}'

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        items = [line.given["itemId"] for line in lines]
        eligible = self._may(lines)
        for block in self._recommender.users_of(items, self._n, eligible=eligible) if items else ():
            for users, count in zip(block.users, block.counts, strict=True):
                yield {"recommendedUsers": users[:count].tolist()}


Query = Callable[[str], NDArray[np.bool_]]
"""A query for attributes of Items → which items it is true for; raises ValueError if it is none."""


class AttributeSegmentLines(_SegmentLines):
    """Attributes of items in, the users who are likely to meet such items out.

    Args:
        recommender: As in `Lines`.
        n_results: As in `Lines`.
        eligibility: As in `Lines`.
        query: Reads a query.
        deleted: As in `Lines`.
    """

    members = ("itemAttributes",)
    example = '{"itemAttributes": "ITEMS.genres = \\"Comedy\\""}'

    def __init__(
        self,
        recommender: Recommender,
        n_results: int,
        eligibility: UserEligibility | None,
        query: Query,
        *,
        deleted: Collection[str] = (),
    ) -> None:
        super().__init__(recommender, n_results, eligibility, deleted=deleted)
        self._query = query

    def _fault(self, given: Mapping[str, Any]) -> str:
        if not isinstance(given["itemAttributes"], str):
            return f"must be of the form {self.example}"
        try:
            self._query(given["itemAttributes"])
        except ValueError as fault:
            return str(fault)
        return ""

    def _found(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        masks = [self._query(line.given["itemAttributes"]) for line in lines]
        eligible = self._may(lines)
        blocks = self._recommender.users_of_attributes(masks, self._n, eligible=eligible)
        for block in blocks if masks else ():
            for users, count in zip(block.users, block.counts, strict=True):
                yield {"recommendedUsers": users[:count].tolist()}

    def _asked(self, line: Line) -> dict[str, Any]:
        if isinstance(line.given, dict) and "itemAttributes" in line.given:
            return {"itemAttributes": line.given["itemAttributes"]}
        return {"input": line.given}
