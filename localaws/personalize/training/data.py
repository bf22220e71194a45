"""The data of a training: the events that count, and the metadata of items, users and actions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import JobFailedError
from localaws.personalize.training.recipe import Recipe
from recommenders import ActionCatalogue, ActionHistory, Interactions, Metadata

LEAST_EVENTS = 1_000
LEAST_USERS = 25


def selected_columns(
    config: Mapping[str, Any],
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Return the columns that `trainingDataConfig` excludes, and includes, by dataset type."""
    excluded, included = (
        {type_.upper(): columns for type_, columns in config.get(name, {}).items()}
        for name in ("excludedDatasetColumns", "includedDatasetColumns")
    )
    return excluded, included


@dataclass(frozen=True)
class TrainingData:
    """The rows of a dataset group as they are at one moment.

    Attributes:
        tables: Rows by dataset type; a dataset without rows is left out.
        schemas: The schema of each table.
        config: `trainingDataConfig`, which columns are trained on.
    """

    tables: Mapping[str, Table]
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def events(self) -> Table:
        """The interactions; no row for a dataset group that has none."""
        columns = ("USER_ID", "ITEM_ID", "TIMESTAMP")
        empty = Table({name: np.empty(0, object) for name in columns})
        return self.tables.get("INTERACTIONS", empty)

    def interactions(
        self, events: Table, weights: NDArray[np.float64] | None, *, least_users: int = LEAST_USERS
    ) -> Interactions:
        """Return events with the metadata of items, users and actions.

        Raises:
            JobFailedError: If fewer users have two events, or no event has a weight.
        """
        if weights is not None and not weights.any():
            raise JobFailedError("No interaction has an event type whose weight is above 0.")
        items = self.tables.get("ITEMS")
        interactions = Interactions.from_events(
            events.columns["USER_ID"].tolist(),
            events.columns["ITEM_ID"].tolist(),
            events.columns["TIMESTAMP"],
            catalogue=items.columns["ITEM_ID"].tolist() if items else [],
            item_metadata=self._metadata("ITEMS"),
            user_metadata=self._metadata("USERS"),
            actions=self._actions(),
            weights=weights,
        )
        if active_users(interactions) < least_users:
            raise JobFailedError(
                f"Create failed. Dataset has fewer than {least_users} users with at least 2 "
                "interactions each."
            )
        return interactions

    def _metadata(self, type_: str) -> Metadata | None:
        """Return the columns of a dataset that are trained on; None if it is empty.

        A string that is neither categorical nor textual is not trained on:
        https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
        """
        table, schema = self.tables.get(type_), self.schemas.get(type_)
        if table is None or schema is None or not table.n_rows:
            return None
        excluded, included = (selection.get(type_) for selection in selected_columns(self.config))
        names = set(schema.by_name if included is None else included) - set(excluded or ())
        key = str(schema.dataset.key)
        columns: dict[str, dict[str, Any]] = {"categories": {}, "numbers": {}, "texts": {}}
        for schema_field in schema.fields:
            if schema_field.name in {key, "CREATION_TIMESTAMP"} or schema_field.name not in names:
                continue
            values = table.column(schema_field.name)
            if schema_field.textual or schema_field.item_name:
                columns["texts"][schema_field.name] = values
            elif schema_field.categorical:
                columns["categories"][schema_field.name] = values
            elif schema_field.type not in {"string", "boolean"}:
                # Booleans are no training data; the guide wants strings or numbers for them.
                columns["numbers"][schema_field.name] = values
        times = "CREATION_TIMESTAMP"
        created = table.column(times).tolist() if times in names else None
        return Metadata.of(table.column(key).tolist(), **columns, created=created)

    def _actions(self) -> ActionHistory | None:
        """Return the actions and the events of users with them; None without an actions dataset.

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

    def fingerprint(self) -> str:
        """Return a text that changes if any row of any dataset does."""
        digest = hashlib.sha256()
        for type_ in sorted(self.tables):
            for name, values in sorted(self.tables[type_].columns.items()):
                digest.update(f"\x1d{type_}\x1e{name}\x1e".encode())
                digest.update(orjson.dumps(values.tolist()))
        return digest.hexdigest()


def active_users(interactions: Interactions) -> int:
    """Return how many users have at least two events."""
    return int(np.count_nonzero(np.bincount(interactions.users) >= 2))


class EventSelection:
    """The events that a solution is trained on, and how much each counts.

    Args:
        solution: Its members; with `performAutoML`, `eventsConfig` does not count.
        recipe: Its recipe.
    """

    def __init__(self, solution: Mapping[str, Any], recipe: Recipe) -> None:
        config = solution.get("solutionConfig", {})
        is_automl = solution.get("performAutoML", False)
        self._parameters: Sequence[Mapping[str, Any]] = (
            () if is_automl else config.get("eventsConfig", {}).get("eventParametersList", ())
        )
        self._event_type: str | None = solution.get("eventType")
        self._least_value: str | None = config.get("eventValueThreshold")
        self._recipe_types = recipe.event_types

    def types(self, events: Table) -> frozenset[str] | None:
        """Return the types of the events that count, as the data spell them; None if all do."""
        if self._parameters:
            return frozenset(entry["eventType"] for entry in self._parameters)
        if self._event_type is not None:
            return frozenset({self._event_type})
        if not self._recipe_types:
            return None
        known = {type_.casefold() for type_ in self._recipe_types}
        types = set(events.column("EVENT_TYPE").tolist()) - {None}
        return frozenset(type_ for type_ in types if type_.casefold() in known)

    def select(self, events: Table) -> Table:
        """Return the events that count.

        Raises:
            JobFailedError: If they are too few.
        """
        types = self.types(events)
        if types is not None:
            events = events.take(_among(events.column("EVENT_TYPE"), types))
        if self._least_value is not None:
            values = events.columns["EVENT_VALUE"].astype(np.float64)
            events = events.take(values >= float(self._least_value))
        for entry in self._parameters:
            if "eventValueThreshold" in entry:
                values = events.columns["EVENT_VALUE"].astype(np.float64)
                is_other = events.columns["EVENT_TYPE"] != entry["eventType"]
                events = events.take(is_other | (values >= entry["eventValueThreshold"]))
        required = self._event_type or next(iter(self._recipe_types), None)
        count = events.n_rows
        if required and self._event_type is None:
            same = [type_ for type_ in types or () if type_.casefold() == required.casefold()]
            count = int(_among(events.column("EVENT_TYPE"), same).sum())
        if count < LEAST_EVENTS:
            filtered = f" after filtering by event type: {required}" if required else ""
            raise JobFailedError(f"Dataset has fewer than {LEAST_EVENTS} interactions{filtered}")
        return events

    def weights(self, events: Table) -> NDArray[np.float64] | None:
        """Return the weight of each event; None if all weigh the same."""
        if not self._parameters:
            return None
        weights = np.ones(events.n_rows)
        for entry in self._parameters:
            weights[events.columns["EVENT_TYPE"] == entry["eventType"]] = entry.get("weight", 1.0)
        return weights


def learned_events(
    interactions: Interactions, recipe: Recipe, features: Mapping[str, str]
) -> NDArray[np.bool_] | None:
    """Return the events within the recipe's percentiles of history lengths and item counts.

    None if the recipe has no such percentiles, or nothing would be left.
    """
    kept = np.ones(interactions.n_events, dtype=np.bool_)
    for name, counts, of_event in (
        ("user_history_length", interactions.histories.lengths, interactions.users),
        ("item_interaction_count", interactions.popularity(), interactions.items),
    ):
        low = recipe.feature(f"min_{name}_percentile", features)
        high = recipe.feature(f"max_{name}_percentile", features)
        if low is None or high is None:
            continue
        least, most = np.quantile(counts[counts > 0], [low, max(low, high)])
        kept &= ((counts >= least) & (counts <= most))[of_event]
    return kept if kept.any() and not kept.all() else None


def _among(values: NDArray[Any], texts: Iterable[str]) -> NDArray[np.bool_]:
    among = np.zeros(len(values), dtype=np.bool_)
    for text in texts:
        among |= values == text
    return among
