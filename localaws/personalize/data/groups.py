"""The schemas and the rows of dataset groups."""

from __future__ import annotations

from collections.abc import Collection

from localaws.personalize.data.schemas import Schema, parse_schema
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.registry import Registry
from localaws.personalize.resources.types import DATASET, SCHEMA


class DatasetGroups:
    """The schemas and the rows of dataset groups, as they are now.

    Args:
        registry: Holds the datasets and schemas.
        store: Holds the rows.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store

    def schema(self, arn: str) -> Schema:
        """Return the schema of this ARN."""
        details = self._registry.get(arn, SCHEMA).details
        return parse_schema(details["schema"], details.get("domain"))

    def schemas(self, group_arn: str) -> dict[str, Schema]:
        """Return the schemas of a group by dataset type."""
        return {
            str(dataset.details["datasetType"]): self.schema(dataset.details["schemaArn"])
            for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn)
        }

    def tables(self, group_arn: str, types: Collection[str] | None = None) -> dict[str, Table]:
        """Return the rows of a group by dataset type, of all types unless some are named."""
        return {
            str(dataset.details["datasetType"]): table
            for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn)
            if types is None or dataset.details["datasetType"] in types
            if (table := self._store.get(dataset.arn)) is not None
        }
