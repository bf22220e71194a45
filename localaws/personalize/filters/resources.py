"""Filters as resources: checked when they are created, put on the data when a job uses them."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.http.errors import ServiceError
from localaws.personalize.data.schemas import Schema, parse_schema
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table
from localaws.personalize.filters.eligibility import Eligibility, Mask
from localaws.personalize.filters.expressions import Filter
from localaws.personalize.filters.rules import parse_filter
from localaws.personalize.filters.syntax import FilterError
from localaws.personalize.filters.user_eligibility import UserEligibility
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.resource_types import DATASET, DATASET_GROUP, FILTER

Ids = NDArray[np.str_]

_KEPT = 16
_TARGETS = {"USER_SEGMENTATION": "UserID", "PERSONALIZED_ACTIONS": "ActionID"}
"""What filters choose from by type of recipe, where that is not items."""


class Filters:
    """The filters of all dataset groups.

    Args:
        registry: Where the filters, data sets and schemas are.
        store: The imported data.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[tuple[Filter, int], tuple[list[Any], Eligibility]] = {}

    def create(self, request: Mapping[str, Any]) -> Resource:
        """Enter a new filter, CREATE PENDING.

        Args:
            request: CreateFilter's.

        Raises:
            ServiceError: If the group is missing or not ACTIVE, the expression breaks a rule, or
                a quota is reached.
        """
        with self._registry.lock:
            group = self._registry.get(request["datasetGroupArn"], DATASET_GROUP)
            if group.status != "ACTIVE":
                raise _invalid(f"{group.arn} is {group.status}; a filter needs an ACTIVE group.")
            fields = self._parsed(group.arn, request["filterExpression"]).fields
            others = self._registry.find(FILTER, datasetGroupArn=group.arn)
            known = (map(tuple, other.details["fields"]) for other in others)
            together = fields.union(*known)
            most = self._registry.quotas.filter_fields
            if len(together) > most:
                raise ServiceError(
                    "LimitExceededException",
                    f"The filters of {group.arn} would compare {len(together)} fields; the quota "
                    f"is {most}. Delete a filter first.",
                )
            listed = [list(field) for field in sorted(fields)]
            return self._registry.create(FILTER, request["name"], request, fields=listed)

    def for_items(self, arn: str, group_arn: str, recipe_type: str) -> Callable[[Ids], Eligibility]:
        """What puts a filter on the data as they are now, given the items of a model.

        Args:
            arn: The filter.
            group_arn: The dataset group of the model.
            recipe_type: What the model was trained by, e.g. ``RELATED_ITEMS``.

        Raises:
            ServiceError: If the filter is missing, not ACTIVE, of another group, for something
                else, or no longer fits the group's schemas.
        """
        return partial(Eligibility, *self._on_data(arn, group_arn, recipe_type))

    def for_users(
        self, arn: str, group_arn: str, recipe_type: str
    ) -> Callable[[Ids], UserEligibility]:
        """The same as `for_items` for the users of a model, and a filter for users."""
        return partial(UserEligibility, *self._on_data(arn, group_arn, recipe_type))

    def of_items(self, arn: str, group_arn: str, recipe_type: str, item_ids: Ids) -> Eligibility:
        """What `for_items` gives; kept until the data that it looks at change.

        Raises:
            ServiceError: As `for_items`.
        """
        parsed, tables = self._on_data(arn, group_arn, recipe_type)
        seen = [item_ids, *(tables[kind] for kind in sorted(tables))]
        with self._lock:
            kept = self._kept.get((parsed, id(item_ids)))
            if kept and len(kept[0]) == len(seen) and all(map(operator.is_, kept[0], seen)):
                return kept[1]
        eligibility = Eligibility(parsed, tables, item_ids)
        with self._lock:
            self._kept[parsed, id(item_ids)] = (seen, eligibility)
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return eligibility

    def matching(self, query: str, group_arn: str, item_ids: Ids) -> Mask:
        """Which items a query for attributes is true for, e.g. ``ITEMS.genres = "Comedy"``.

        Raises:
            ValueError: If it is none.
        """
        text = f"INCLUDE ItemID WHERE {query}"
        try:
            parsed = parse_filter(text, self.schemas(group_arn))
        except FilterError as error:
            raise ValueError(f"itemAttributes: {error}") from None
        plain = len(parsed.expressions) == 1 and not parsed.placeholders
        if not plain or {condition.dataset for condition in parsed.conditions} != {"ITEMS"}:
            raise ValueError(
                'itemAttributes: compare fields of ITEMS alone, e.g. ITEMS.genres = "Comedy" AND'
                " ITEMS.year > 2000"
            )
        return Eligibility(parsed, self.tables(group_arn, {"ITEMS"}), item_ids).mask("", {})

    def tables(self, group_arn: str, kinds: Collection[str] | None = None) -> dict[str, Table]:
        """The data of a group by dataset type, of all types if none are named."""
        return {
            str(dataset.details["datasetType"]): table
            for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn)
            if kinds is None or dataset.details["datasetType"] in kinds
            if (table := self._store.get(dataset.arn)) is not None
        }

    def schemas(self, group_arn: str) -> dict[str, Schema]:
        """The schemas of a group by dataset type."""
        found = {}
        for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn):
            details = self._registry.get(dataset.details["schemaArn"]).details
            schema = parse_schema(details["schema"], details.get("domain"))
            found[str(dataset.details["datasetType"])] = schema
        return found

    def _on_data(
        self, arn: str, group_arn: str, recipe_type: str
    ) -> tuple[Filter, dict[str, Table]]:
        """A filter and the data to put it on."""
        chosen = self._registry.active(arn, FILTER)
        if chosen.details["datasetGroupArn"] != group_arn:
            raise _invalid(
                f"{arn} is a filter of {chosen.details['datasetGroupArn']} and the solution "
                f"version of {group_arn}; name a filter of the same group."
            )
        parsed = self._parsed(group_arn, chosen.details["filterExpression"])
        target = _TARGETS.get(recipe_type, "ItemID")
        if parsed.target != target:
            raise _invalid(
                f"{arn} is a filter of {parsed.target}; a recipe of type {recipe_type} needs one"
                f" of {target}."
            )
        if parsed.of_item and recipe_type != "RELATED_ITEMS":
            raise _invalid(
                f"{arn} compares with CurrentItem; only recipes of type RELATED_ITEMS have one,"
                f" this one is of type {recipe_type}."
            )
        return parsed, self.tables(
            group_arn, {condition.dataset for condition in parsed.conditions}
        )

    def _parsed(self, group_arn: str, expression: str) -> Filter:
        """An expression, checked against the schemas that a group has now."""
        try:
            return parse_filter(expression, self.schemas(group_arn))
        except FilterError as error:
            raise _invalid(str(error)) from error


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidInputException", message)
