"""The data of a training: which events count, what is known of items and users, what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError
from localaws.personalize.training.recipe import Recipe
from recommenders import ActionCatalogue, ActionHistory, Interactions, Metadata

LEAST_EVENTS = 1_000
LEAST_USERS = 25


@dataclass(frozen=True)
class TrainingData:
    """The data sets of a dataset group as they are at one moment.

    Args:
        tables: Rows by type of data set, e.g. ``ITEMS``; what has none is left out.
        schemas: The schema of each table.
        excluded: Columns that are not trained on, by type of data set.
        included: If a type of data set is named here, its only columns that are trained on.
    """

    tables: Mapping[str, Table]
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    excluded: Mapping[str, Collection[str]] = field(default_factory=dict)
    included: Mapping[str, Collection[str]] = field(default_factory=dict)

    def metadata(self, kind: str) -> Metadata | None:
        """What the data set of this type says, as far as it is trained on; None if it is empty.

        A string that is neither categorical nor textual is not trained on:
        https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
        """
        table, schema = self.tables.get(kind), self.schemas.get(kind)
        if table is None or schema is None or not table.n_rows:
            return None
        key = str(schema.dataset.key)
        columns: dict[str, dict[str, Any]] = {"categories": {}, "numbers": {}, "texts": {}}
        for one in schema.fields:
            if one.name in {key, "CREATION_TIMESTAMP"} or not self._trained_on(kind, one.name):
                continue
            values = table.column(one.name)
            if one.textual:
                columns["texts"][one.name] = values
            elif one.categorical or one.type == "boolean":
                columns["categories"][one.name] = [
                    None if value is None else str(value) for value in values
                ]
            elif one.type != "string":
                columns["numbers"][one.name] = values
        times = None
        if self._trained_on(kind, "CREATION_TIMESTAMP"):
            times = table.column("CREATION_TIMESTAMP").tolist()
        return Metadata.of(table.column(key).tolist(), **columns, created=times)

    def actions(self) -> ActionHistory | None:
        """What users can do and did; None if there is no data set of actions.

        https://docs.aws.amazon.com/personalize/latest/dg/actions-datasets.html
        """
        table = self.tables.get("ACTIONS")
        if table is None:
            return None
        expiry = "EXPIRATION_TIMESTAMP"
        if expiry not in table.columns:  # the developer guide has both names
            expiry = "ACTION_EXPIRATION_TIMESTAMP"
        catalogue = ActionCatalogue.of(
            table.column("ACTION_ID").tolist(),
            value=table.column("VALUE").tolist(),
            expires=table.column(expiry).tolist(),
            repeat_after=table.column("REPEAT_FREQUENCY").tolist(),
            created=table.column("CREATION_TIMESTAMP").tolist(),
        )
        events = self.tables.get("ACTION_INTERACTIONS")
        if events is None:
            return ActionHistory.of(catalogue)
        names = ("USER_ID", "ACTION_ID", "TIMESTAMP", "EVENT_TYPE")
        return ActionHistory.of(catalogue, *(events.column(name).tolist() for name in names))

    def _trained_on(self, kind: str, column: str) -> bool:
        included = self.included.get(kind)
        return column not in self.excluded.get(kind, ()) and (
            included is None or column in included
        )

    def fingerprint(self) -> str:
        """A text that changes if any row of any data set does."""
        digest = hashlib.sha256()
        for kind in sorted(self.tables):
            for name, values in sorted(self.tables[kind].columns.items()):
                digest.update(f"\x1d{kind}\x1e{name}\x1e".encode())
                digest.update(orjson.dumps(values.tolist()))
        return digest.hexdigest()


@dataclass(frozen=True)
class EventParameter:
    """How events of one type are trained on.

    Args:
        type: Their EVENT_TYPE.
        threshold: Least EVENT_VALUE of those that count, if there is one.
        weight: How much one of them counts, beside those of other types.
    """

    type: str
    threshold: float | None
    weight: float

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> EventParameter:
        """Read a checked entry of ``eventParametersList``."""
        return cls(given["eventType"], given.get("eventValueThreshold"), given.get("weight", 1.0))


@dataclass(frozen=True)
class EventChoice:
    """Which events are trained on, and how much each counts.

    Args:
        event_type: Those of this type only.
        event_value: Those of at least this value only.
        parameters: Those of these types only, if any are named.
    """

    event_type: str | None = None
    event_value: float | None = None
    parameters: tuple[EventParameter, ...] = ()

    def types(self, events: Table, recipe: Recipe) -> frozenset[str] | None:
        """The types of the events that count, as the data spell them; None if all do."""
        if self.parameters:
            return frozenset(one.type for one in self.parameters)
        if self.event_type is not None:
            return frozenset({self.event_type})
        if not recipe.event_types:
            return None
        wanted = {one.casefold() for one in recipe.event_types}
        there = set(events.columns["EVENT_TYPE"].tolist()) if _has_types(events) else set()
        return frozenset(one for one in there if one is not None and one.casefold() in wanted)

    def events(self, events: Table, recipe: Recipe) -> Table:
        """The events that count, if they are enough.

        Raises:
            JobFailedError: If they are not.
        """
        types = self.types(events, recipe)
        if types is not None:
            kinds = events.columns["EVENT_TYPE"] if _has_types(events) else np.empty(0, object)
            events = events.take(_among(kinds, types) if len(kinds) else np.empty(0, np.int64))
        if self.event_value is not None:
            values = events.columns["EVENT_VALUE"].astype(np.float64)
            events = events.take(values >= self.event_value)
        for one in self.parameters:
            if one.threshold is not None:
                is_enough = events.columns["EVENT_VALUE"].astype(np.float64) >= one.threshold
                events = events.take((events.columns["EVENT_TYPE"] != one.type) | is_enough)
        required = self.event_type or next(iter(recipe.event_types), None)
        counted = events.n_rows
        if required and self.event_type is None and counted:
            same = [one for one in types or () if one.casefold() == required.casefold()]
            counted = int(_among(events.columns["EVENT_TYPE"], same).sum())
        if counted < LEAST_EVENTS:
            chosen = f" after filtering by event type: {required}" if required else ""
            raise JobFailedError(f"Dataset has fewer than {LEAST_EVENTS} interactions{chosen}")
        return events

    def weights(self, events: Table) -> NDArray[np.float64] | None:
        """How much each event counts; None if all count the same."""
        if not self.parameters:
            return None
        weights = np.ones(events.n_rows)
        for one in self.parameters:
            weights[events.columns["EVENT_TYPE"] == one.type] = one.weight
        return weights


def interactions_of(
    events: Table,
    catalogue: list[str],
    data: TrainingData | None,
    weights: NDArray[np.float64] | None = None,
) -> Interactions:
    """The events and what is known of items and users, if enough users have two events.

    Raises:
        JobFailedError: If they have not, or no event has a weight.
    """
    if weights is not None and not weights.any():
        raise JobFailedError("No interaction has an event type whose weight is above 0.")
    interactions = Interactions.from_events(
        events.columns["USER_ID"].tolist(),
        events.columns["ITEM_ID"].tolist(),
        events.columns["TIMESTAMP"],
        catalogue=catalogue,
        item_metadata=data.metadata("ITEMS") if data else None,
        user_metadata=data.metadata("USERS") if data else None,
        actions=data.actions() if data else None,
        weights=weights,
    )
    if np.count_nonzero(np.bincount(interactions.users) >= 2) < LEAST_USERS:
        raise JobFailedError(
            f"Create failed. Dataset has fewer than {LEAST_USERS} users with at least 2 "
            "interactions each."
        )
    return interactions


def learned_events(
    interactions: Interactions, recipe: Recipe, given: Mapping[str, str]
) -> NDArray[np.bool_] | None:
    """The events within the recipe's percentiles of history lengths and item counts.

    None if the recipe has no such percentiles, or nothing would be left.
    """
    kept = np.ones(interactions.n_events, dtype=np.bool_)
    for what, counts, of_event in (
        ("user_history_length", interactions.histories.lengths, interactions.users),
        ("item_interaction_count", interactions.popularity(), interactions.items),
    ):
        low = recipe.feature(f"min_{what}_percentile", given)
        high = recipe.feature(f"max_{what}_percentile", given)
        if low is None or high is None:
            continue
        least, most = np.quantile(counts[counts > 0], [low, max(low, high)])
        kept &= ((counts >= least) & (counts <= most))[of_event]
    return kept if kept.any() and not kept.all() else None


def _has_types(events: Table) -> bool:
    return "EVENT_TYPE" in events.columns


def _among(values: NDArray[Any], wanted: Iterable[str]) -> NDArray[np.bool_]:
    among = np.zeros(len(values), dtype=np.bool_)
    for one in wanted:
        among |= values == one
    return among
