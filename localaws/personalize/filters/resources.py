"""Filters as resources: checked when they are created, evaluated when a job uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.http.errors import ServiceError
from localaws.personalize.data.groups import DatasetGroups
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import invalid
from localaws.personalize.filters.eligibility import Eligibility, Mask
from localaws.personalize.filters.expressions import Filter
from localaws.personalize.filters.rules import parse_filter
from localaws.personalize.filters.syntax import FilterError
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.types import DATASET_GROUP, FILTER

Ids = NDArray[np.str_]

_CACHE_SIZE = 16
_TARGETS = {"USER_SEGMENTATION": "UserID", "PERSONALIZED_ACTIONS": "ActionID"}
"""The target of filters by type of recipe, where it is not ItemID."""


class Filters:
    """The filters of all dataset groups.

    Args:
        registry: Holds the filters.
        groups: The schemas and rows of dataset groups.
    """

    def __init__(self, registry: Registry, groups: DatasetGroups) -> None:
        self._registry = registry
        self._groups = groups
        self._lock = threading.Lock()
        self._cache: dict[tuple[Filter, int], tuple[list[Any], Eligibility]] = {}

    def create(self, request: Mapping[str, Any]) -> Resource:
        """Add a new filter, CREATE PENDING.

        Raises:
            ServiceError: If the group is missing or not ACTIVE, the expression breaks a rule, or
                a quota is reached.
        """
        with self._registry.lock:
            group = self._registry.active(request["datasetGroupArn"], DATASET_GROUP)
            fields = self._parse(group.arn, request["filterExpression"]).fields
            others = self._registry.find(FILTER, datasetGroupArn=group.arn)
            all_fields = fields.union(*(map(tuple, other.details["fields"]) for other in others))
            most = self._registry.quotas.filter_fields
            if len(all_fields) > most:
                raise ServiceError(
                    "LimitExceededException",
                    f"The filters of {group.arn} would compare {len(all_fields)} fields; the quota "
                    f"is {most}. Delete a filter first.",
                )
            listed = [list(field) for field in sorted(fields)]
            return self._registry.create(FILTER, request["name"], request, fields=listed)

    def snapshot(self, arn: str, group_arn: str, recipe_type: str) -> Callable[[Ids], Eligibility]:
        """Return a filter on the rows as they are now, for the items or users of a model.

        Args:
            arn: The filter.
            group_arn: The dataset group of the model.
            recipe_type: The type of the model's recipe, e.g. `RELATED_ITEMS`.

        Raises:
            ServiceError: If the filter is missing, not ACTIVE, of another group, of another
                target, or no longer fits the group's schemas.
        """
        return partial(Eligibility, *self._with_tables(arn, group_arn, recipe_type))

    def eligibility(self, arn: str, group_arn: str, recipe_type: str, ids: Ids) -> Eligibility:
        """Return the `snapshot` for these ids, from a cache until the rows change.

        Raises:
            ServiceError: As `snapshot`.
        """
        parsed, tables = self._with_tables(arn, group_arn, recipe_type)
        # The objects themselves: a table is never changed, only replaced.
        inputs = [ids, *(tables[name] for name in sorted(tables))]
        with self._lock:
            cached = self._cache.get((parsed, id(ids)))
            if cached and list(map(id, cached[0])) == list(map(id, inputs)):
                return cached[1]
        eligibility = Eligibility(parsed, tables, ids)
        with self._lock:
            self._cache[parsed, id(ids)] = (inputs, eligibility)
            while len(self._cache) > _CACHE_SIZE:
                del self._cache[next(iter(self._cache))]
        return eligibility

    def matching_items(self, query: str, group_arn: str, item_ids: Ids) -> Mask:
        """Return for which items a query for attributes holds, e.g. `ITEMS.genres = "Comedy"`.

        Raises:
            ValueError: If it is none.
        """
        text = f"INCLUDE ItemID WHERE {query}"
        try:
            parsed = parse_filter(text, self._groups.schemas(group_arn))
        except FilterError as error:
            raise ValueError(f"itemAttributes: {error}") from None
        (expression, *others) = parsed.expressions
        datasets = {condition.dataset for condition in parsed.conditions}
        if others or expression.placeholders or datasets != {"ITEMS"}:
            raise ValueError(
                'itemAttributes: compare fields of ITEMS alone, e.g. ITEMS.genres = "Comedy" AND'
                " ITEMS.year > 2000"
            )
        return Eligibility(parsed, self._groups.tables(group_arn, {"ITEMS"}), item_ids).mask("", {})

    def _with_tables(
        self, arn: str, group_arn: str, recipe_type: str
    ) -> tuple[Filter, dict[str, Table]]:
        """Return a filter, and the rows that it is about."""
        resource = self._registry.active(arn, FILTER)
        if resource.details["datasetGroupArn"] != group_arn:
            raise invalid(
                f"{arn} is a filter of {resource.details['datasetGroupArn']} and the solution "
                f"version of {group_arn}; name a filter of the same group."
            )
        parsed = self._parse(group_arn, resource.details["filterExpression"])
        target = _TARGETS.get(recipe_type, "ItemID")
        if parsed.target != target:
            raise invalid(
                f"{arn} is a filter of {parsed.target}; a recipe of type {recipe_type} needs one"
                f" of {target}."
            )
        if parsed.item_fields and recipe_type != "RELATED_ITEMS":
            raise invalid(
                f"{arn} compares with CurrentItem; only recipes of type RELATED_ITEMS have one,"
                f" this one is of type {recipe_type}."
            )
        datasets = {condition.dataset for condition in parsed.conditions}
        return parsed, self._groups.tables(group_arn, datasets)

    def _parse(self, group_arn: str, expression: str) -> Filter:
        """Return an expression, checked against the schemas that a group has now."""
        try:
            return parse_filter(expression, self._groups.schemas(group_arn))
        except FilterError as error:
            raise invalid(str(error)) from error
