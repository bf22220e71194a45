"""The lines of batch jobs: the input and output of each type of recipe.

Formats: https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html and
https://docs.aws.amazon.com/personalize/latest/dg/prepare-input-data-user-segment.html
A line that cannot be answered has `"output": null` and an `error`, at its position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.personalize.batch.themes import Themes
from localaws.personalize.filters import Eligibility, Values
from recommenders import Eligible, Exploration, Recommender

_LONGEST_ID = 256
_MOST_RANKED = 500


@dataclass(frozen=True)
class Line:
    """One line of input.

    Attributes:
        value: Its JSON value, or its text.
        fault: What is wrong with it; empty if it can be answered.
        filter_values: The values of the filter's placeholders.
    """

    value: Any
    fault: str = ""
    filter_values: Values = field(default_factory=dict)


@dataclass(kw_only=True)
class Lines(ABC):
    """The lines of one job.

    Attributes:
        recommender: A fitted one.
        n_results: Most items or users of a result.
        eligibility: The job's filter, for the recommender's items or users.
        deleted: Users whom a data deletion job deleted, and who are unknown therefore.
        exploration: How new items are explored.
        boosts: How much each item is preferred besides its score.
    """

    members: ClassVar[tuple[str, ...]]
    takes_context: ClassVar[bool] = False
    """Whether lines may have the user's `context`; it is accepted and not used."""
    example: ClassVar[str]
    """A line, as the message of a fault shows it."""

    recommender: Recommender
    n_results: int
    eligibility: Eligibility | None = None
    deleted: Collection[str] = ()
    exploration: Exploration | None = None
    boosts: NDArray[np.float32] | None = None

    def output(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """Yield one line of output for each line of input that is not blank, in the same order."""
        parsed = [self._parse(line) for line in lines if line.strip()]
        results = self._results([line for line in parsed if not line.fault])
        for line in parsed:
            output = self._output(line, None if line.fault else next(results))
            yield orjson.dumps(
                output, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
            )

    @abstractmethod
    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        """Yield the result of each line, none of which has a fault."""

    def _fault(self, value: Mapping[str, Any]) -> str:
        """Return the error of a line that has all members, or an empty text."""
        return ""

    def _output(self, line: Line, result: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"input": line.value, "output": result, "error": line.fault or None}

    def _known_users(self, users: Sequence[str]) -> list[str]:
        """Return the users, with unknown ones in place of those deleted."""
        return ["" if user in self.deleted else user for user in users]

    def _eligible(
        self, lines: Sequence[Line], users: Sequence[str], items: Sequence[str] = ()
    ) -> Eligible | None:
        """Return the items that the lines' `users` may get, of `items` if the lines name items."""
        eligibility = self.eligibility
        if eligibility is None:
            return None
        values = [line.filter_values for line in lines]
        return lambda start, stop: eligibility.masks(
            users[start:stop], values[start:stop], items[start:stop]
        )

    def _parse(self, line: bytes) -> Line:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return Line(line.decode("utf-8", "replace").strip(), f"not JSON: {error}")
        if fault := self._member_fault(value) or self._fault(value):
            return Line(value, fault)
        if self.eligibility is None:
            has_values = "filterValues" in value
            return Line(value, "filterValues: the job has no filter" if has_values else "")
        try:
            values = self.eligibility.filter.bind(value.get("filterValues", {}))
        except ValueError as error:
            return Line(value, str(error))
        return Line(value, filter_values=values)

    def _member_fault(self, value: Any) -> str:
        """Return the error of the members of a line, or an empty text."""
        is_whole = isinstance(value, dict) and all(map(value.get, self.members))
        ids = [name for name in self.members if name.endswith("Id")]
        if not is_whole or not all(isinstance(value[name], str) for name in ids):
            return f"must be of the form {self.example}, the id a string"
        for name in ids:
            if len(value[name]) > _LONGEST_ID:
                return f"{name} must have 1 to {_LONGEST_ID} characters"
        known = {*self.members, "filterValues"}
        if self.takes_context:
            known.add("context")
            if fault := _context_fault(value.get("context", {})):
                return fault
        further = sorted(set(value) - known)
        return f"{', '.join(further)}: not supported by the local Personalize" if further else ""


def _context_fault(context: Any) -> str:
    """Return what is wrong with a line's context, or nothing.

    https://docs.aws.amazon.com/personalize/latest/dg/contextual-metadata.html
    """
    if isinstance(context, dict) and all(isinstance(value, str) for value in context.values()):
        return ""
    return 'context must be of the form {"DEVICE": "phone"}, each value a string'


class UserLines(Lines):
    """Users in, recommended items out."""

    members = ("userId",)
    takes_context = True
    example = '{"userId": "42"}'

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        users = [line.value["userId"] for line in lines]
        blocks = self.recommender.recommend(
            self._known_users(users),
            self.n_results,
            eligible=self._eligible(lines, users),
            exploration=self.exploration,
            boosts=self.boosts,
            workers=0,
        )
        for block in blocks if users else ():
            for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
                yield {"recommendedItems": items[:count].tolist(), "scores": scores[:count]}


class RankingLines(Lines):
    """A user and a list of items in, the list in the user's order out."""

    members = ("userId", "itemList")
    takes_context = True
    example = '{"userId": "42", "itemList": ["a", "b"]}'

    def _fault(self, value: Mapping[str, Any]) -> str:
        items = value["itemList"]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            return "itemList must be a list of item ids, each a string"
        if len(items) > _MOST_RANKED:
            return f"itemList: {len(items)} items; at most {_MOST_RANKED} can be ranked"
        return ""

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        users = [line.value["userId"] for line in lines]
        lists = [line.value["itemList"] for line in lines]
        eligible = self._eligible(lines, users)
        rankings = self.recommender.rank(self._known_users(users), lists, boosts=self.boosts)
        for number, ranking in enumerate(rankings):
            kept = list(range(len(ranking.items)))
            if eligible:
                positions = self.recommender.positions(ranking.items)
                (mask,) = eligible(number, number + 1)
                kept = np.flatnonzero((positions >= 0) & mask[positions]).tolist()
            yield {
                "recommendedItems": [ranking.items[n] for n in kept],
                "scores": [ranking.scores[n] for n in kept],
            }


class RelatedLines(Lines):
    """Items in, related items out."""

    members = ("itemId",)
    example = '{"itemId": "42"}'

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        items = [line.value["itemId"] for line in lines]
        eligible = self._eligible(lines, [""] * len(lines), items)
        blocks = self.recommender.similar(
            items, self.n_results, eligible=eligible, boosts=self.boosts
        )
        for block in blocks if items else ():
            for related, count in zip(block.items, block.counts, strict=True):
                yield {"recommendedItems": related[:count].tolist()}


@dataclass(kw_only=True)
class ThemedLines(RelatedLines):
    """Items in, related items and their common theme out.

    Attributes:
        themes: Finds themes.
    """

    themes: Themes

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        for result in super()._results(lines):
            theme, items, relevance = self.themes.of(result["recommendedItems"])
            yield {
                "recommendedItems": items,
                "theme": theme,
                "itemsThemeRelevanceScores": relevance,
            }


class _SegmentLines(Lines):
    """Segments of users out; their lines have no `error` unless they failed."""

    def _output(self, line: Line, result: Mapping[str, Any] | None) -> dict[str, Any]:
        output = {**self._input(line), "output": result}
        return {**output, "error": line.fault} if line.fault else output

    def _input(self, line: Line) -> dict[str, Any]:
        return {"input": line.value}

    def _members_of_segments(self, lines: Sequence[Line]) -> Eligible | None:
        """Return which users the segments may hold: those of the filter, none that was deleted."""
        eligible = self._eligible(lines, [""] * len(lines))
        if not self.deleted:
            return eligible
        remaining = ~np.isin(self.recommender.user_ids, sorted(self.deleted))

        def masks(start: int, stop: int) -> NDArray[np.bool_]:
            users = np.tile(remaining, (stop - start, 1))
            return users & eligible(start, stop) if eligible else users

        return masks


class ItemSegmentLines(_SegmentLines):
    """Items in, the users who are likely to interact with them out."""

    members = ("itemId",)
    example = '{"itemId": "105"}'

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        items = [line.value["itemId"] for line in lines]
        eligible = self._members_of_segments(lines)
        blocks = self.recommender.users_of(items, self.n_results, eligible=eligible)
        for block in blocks if items else ():
            for users, count in zip(block.users, block.counts, strict=True):
                yield {"recommendedUsers": users[:count].tolist()}


@dataclass(kw_only=True)
class AttributeSegmentLines(_SegmentLines):
    """Attributes of items in, the users who are likely to interact with such items out.

    Attributes:
        query: Returns for which items a query for attributes of Items holds; raises ValueError if
            it is none.
    """

    members = ("itemAttributes",)
    example = '{"itemAttributes": "ITEMS.genres = \\"Comedy\\""}'

    query: Callable[[str], NDArray[np.bool_]]

    def _fault(self, value: Mapping[str, Any]) -> str:
        if not isinstance(value["itemAttributes"], str):
            return f"must be of the form {self.example}"
        try:
            self.query(value["itemAttributes"])
        except ValueError as error:
            return str(error)
        return ""

    def _results(self, lines: Sequence[Line]) -> Iterator[Mapping[str, Any]]:
        masks = [self.query(line.value["itemAttributes"]) for line in lines]
        eligible = self._members_of_segments(lines)
        blocks = self.recommender.users_of_attributes(masks, self.n_results, eligible=eligible)
        for block in blocks if masks else ():
            for users, count in zip(block.users, block.counts, strict=True):
                yield {"recommendedUsers": users[:count].tolist()}

    def _input(self, line: Line) -> dict[str, Any]:
        if isinstance(line.value, dict) and "itemAttributes" in line.value:
            return {"itemAttributes": line.value["itemAttributes"]}
        return {"input": line.value}
