"""Filters as resources: checked when they are created, put on the data when a job uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.filters.eligibility import Eligibility
from localaws.personalize.filters.expressions import Filter
from localaws.personalize.filters.rules import MOST_FIELDS_OF_GROUP, parse_filter
from localaws.personalize.filters.syntax import FilterError
from localaws.personalize.imports import Store
from localaws.personalize.registry import DATASET, DATASET_GROUP, FILTER, Registry, Resource
from localaws.personalize.schemas import parse_schema
from localaws.protocol import ServiceError


class Filters:
    """The filters of all dataset groups.

    Args:
        registry: Where the filters, data sets and schemas are.
        store: The imported data.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store

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
            together = fields.union(*(other.details["fields"] for other in others))
            if len(together) > MOST_FIELDS_OF_GROUP:
                raise ServiceError(
                    "LimitExceededException",
                    f"The filters of {group.arn} would compare {len(together)} fields; the quota "
                    f"is {MOST_FIELDS_OF_GROUP}. Delete a filter first.",
                )
            return self._registry.create(FILTER, request["name"], request, fields=fields)

    def for_items(self, arn: str, group_arn: str) -> Callable[[NDArray[np.str_]], Eligibility]:
        """What puts a filter on the data as they are now, given the items of a model.

        Args:
            arn: The filter.
            group_arn: The dataset group of the model.

        Raises:
            ServiceError: If the filter is missing, not ACTIVE, of another group, for users, or no
                longer fits the group's schemas.
        """
        chosen = self._registry.active(arn, FILTER)
        if chosen.details["datasetGroupArn"] != group_arn:
            raise _invalid(
                f"{arn} is a filter of {chosen.details['datasetGroupArn']} and the solution "
                f"version of {group_arn}; name a filter of the same group."
            )
        parsed = self._parsed(group_arn, chosen.details["filterExpression"])
        if parsed.target != "ItemID":
            raise _invalid(f"{arn} filters users; batch inference needs a filter of ItemID.")
        tables = {
            dataset.details["datasetType"]: table
            for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn)
            if (table := self._store.get(dataset.arn)) is not None
        }
        return partial(Eligibility, parsed, tables)

    def _parsed(self, group_arn: str, expression: str) -> Filter:
        """An expression, checked against the schemas that a group has now."""
        schemas = {}
        for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn):
            schema = self._registry.get(dataset.details["schemaArn"])
            schemas[dataset.details["datasetType"]] = parse_schema(schema.details["schema"])
        try:
            return parse_filter(expression, schemas)
        except FilterError as error:
            raise _invalid(str(error)) from error


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidInputException", message)
