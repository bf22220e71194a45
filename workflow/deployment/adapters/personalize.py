"""Personalize's dataset group, schemas, datasets, filter: made asynchronously, hardly changed."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    found,
    lowered,
    picked,
    raised,
    touched,
    without,
)
from workflow.deployment.differences import Difference, differences, tags_of
from workflow.errors import DeployError

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

POLL_SECONDS = 2.0
_LONGEST_SECONDS = 900
_ABSENT = "ResourceNotFoundException"
_ANEW = (
    "To start over with other columns, give [aws] dataset_group another name: data are imported"
    " and models trained there, while the old group still serves"
)


class _PersonalizeAdapter(Adapter):
    """What Personalize's resources have in common: an ARN as name, tags, a status."""

    service = "personalize"
    kind: ClassVar[str]
    """As members of requests and answers are named, for example `datasetGroup`."""
    taggable: ClassVar[bool] = True
    """Whether Personalize takes tags for it; those of CloudFormation's model are passed over."""

    @abstractmethod
    def call(self, verb: str) -> Callable[..., Any]:
        """Return the client's method, for example that of `create`."""

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        there = self._described(resource)
        if there is None:
            return None
        if str(there.get("status", "")).endswith("FAILED"):
            raise DeployError(
                f"{resource.name} is {there['status']}: {there.get('failureReason')}. Mend what it"
                " says, delete it in the console, and run the same command again"
            )
        was = picked(raised(there), self.properties)
        if self.taggable:
            tags = self.client.list_tags_for_resource(resourceArn=resource.name)["tags"]
            was["Tags"] = [{"Key": tag["tagKey"], "Value": tag["tagValue"]} for tag in tags]
        return was

    def create(self, resource: Resource) -> None:
        """Make it, and wait until it is ACTIVE."""
        request = lowered(without(resource.properties, "Tags"))
        tags = {"tags": self._tags(resource)} if self.taggable else {}
        self.call("create")(**request, **tags)
        self._wait(resource, "ACTIVE")

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Add the tags; nothing else of it can be changed."""
        if "Tags" in touched(changes):
            self.client.tag_resource(resourceArn=resource.name, tags=self._tags(resource))

    def delete(self, resource: Resource) -> None:
        """Delete it, and wait until it is gone."""
        self.call("delete")(**{f"{self.kind}Arn": resource.name})
        self._wait(resource, None)

    def _described(self, resource: Resource) -> Any:
        answer = found(self.call("describe"), _ABSENT, **{f"{self.kind}Arn": resource.name})
        return answer[self.kind] if answer else None

    def _wait(self, resource: Resource, status: str | None) -> None:
        """Wait until it has this status, or is gone where there is none to wait for."""
        waited = 0.0
        while waited < _LONGEST_SECONDS:
            there = self._described(resource)
            is_status = there.get("status", "ACTIVE") if there else None
            if is_status == status:
                return
            if is_status and is_status.endswith("FAILED"):
                raise DeployError(f"{resource.name} is {is_status}: {there.get('failureReason')}")
            self.site.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        raise DeployError(
            f"{resource.name} has been {is_status} for {_LONGEST_SECONDS} seconds: look at it in"
            " the console, and run the same command again"
        )

    @staticmethod
    def _tags(resource: Resource) -> list[dict[str, str]]:
        tags = tags_of(resource.properties)
        return [{"tagKey": key, "tagValue": value} for key, value in sorted(tags.items())]


class DatasetGroup(_PersonalizeAdapter):
    """AWS::Personalize::DatasetGroup."""

    kind = "datasetGroup"
    properties = frozenset({"Domain", "KmsKeyArn", "Name", "RoleArn", "Tags"})
    replaced_by = frozenset({"Domain", "KmsKeyArn", "Name", "RoleArn"})
    irreplaceable = (
        "Personalize cannot change a dataset group, and a new one means to import and train anew."
        " Give [aws] dataset_group another name, or take the change back"
    )
    loses = "what was trained"

    def call(self, verb: str) -> Callable[..., Any]:
        """Return the client's method."""
        method: Callable[..., Any] = getattr(self.client, f"{verb}_dataset_group")
        return method

    def remark(self, resource: Resource) -> str:
        """Tell of the solutions that go with it."""
        names = [solution["name"] for solution in self._solutions(resource)]
        return f"with every version of solution {', '.join(names)}" if names else ""

    def delete(self, resource: Resource) -> None:
        """Delete the solutions that the runs made, and the group."""
        for solution in self._solutions(resource):
            self.client.delete_solution(solutionArn=solution["solutionArn"])
        while self._solutions(resource):
            self.site.sleep(POLL_SECONDS)
        super().delete(resource)

    def _solutions(self, resource: Resource) -> list[Any]:
        pages = self.client.get_paginator("list_solutions").paginate(datasetGroupArn=resource.name)
        return [solution for page in pages for solution in page["solutions"]]


class Schema(_PersonalizeAdapter):
    """AWS::Personalize::Schema; its name tells its content, so another content is another one."""

    kind = "schema"
    properties = frozenset({"Domain", "Name", "Schema", "Tags"})
    replaced_by = frozenset({"Domain", "Name", "Schema"})
    taggable = False
    irreplaceable = "Personalize never changes a schema; give the new one another name"

    def owner(self, resource: Resource, was: Mapping[str, Any]) -> str | None:
        """Return our name: a schema has no tags, and its content is compared."""
        return self.site.config.name

    def compare(self, resource: Resource, was: Mapping[str, Any]) -> tuple[Difference, ...]:
        """Return what has to change."""
        return differences(was, without(resource.properties, "Tags"))

    def call(self, verb: str) -> Callable[..., Any]:
        """Return the client's method."""
        method: Callable[..., Any] = getattr(self.client, f"{verb}_schema")
        return method


class Dataset(_PersonalizeAdapter):
    """AWS::Personalize::Dataset; its schema may gain columns, and nothing else."""

    kind = "dataset"
    properties = frozenset({"DatasetGroupArn", "DatasetType", "Name", "SchemaArn", "Tags"})
    replaced_by = frozenset({"DatasetGroupArn", "DatasetType", "Name"})
    irreplaceable = f"a dataset is deleted with its data. {_ANEW}"
    loses = "its data"

    def call(self, verb: str) -> Callable[..., Any]:
        """Return the client's method."""
        method: Callable[..., Any] = getattr(self.client, f"{verb}_dataset")
        return method

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS; Personalize answers the type in capitals."""
        was = super().read(resource)
        return was and {**was, "DatasetType": was["DatasetType"].capitalize()}

    def objection(
        self, resource: Resource, was: Mapping[str, Any], changes: Sequence[Difference]
    ) -> str:
        """Return why the data set cannot take the new schema."""
        if "SchemaArn" not in touched(changes):
            return ""
        before = self.client.describe_schema(schemaArn=was["SchemaArn"])["schema"]["schema"]
        after = self.site.model[resource.properties["SchemaArn"]].properties["Schema"]
        broken = list(_broken_promises(json.loads(before), json.loads(after)))
        return (
            f"Personalize lets a dataset's schema only gain columns that may be null, but"
            f" {'; '.join(broken)}. {_ANEW}"
            if broken
            else ""
        )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Give the dataset its new schema, and the tags."""
        super().update(resource, changes)
        if "SchemaArn" in touched(changes):
            schema = resource.properties["SchemaArn"]
            self.client.update_dataset(datasetArn=resource.name, schemaArn=schema)
            self._wait(resource, "ACTIVE")


class Filter(_PersonalizeAdapter):
    """Custom::PersonalizeFilter; Personalize cannot change one, so another takes its place."""

    kind = "filter"
    properties = frozenset({"DatasetGroupArn", "FilterExpression", "Name", "Tags"})
    replaced_by = frozenset({"DatasetGroupArn", "FilterExpression", "Name"})

    def call(self, verb: str) -> Callable[..., Any]:
        """Return the client's method."""
        method: Callable[..., Any] = getattr(self.client, f"{verb}_filter")
        return method


def _broken_promises(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a new Avro schema changes that a dataset with data cannot follow.

    https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
    """
    old = {field["name"]: field for field in before["fields"]}
    new = {field["name"]: field for field in after["fields"]}
    for name, field in old.items():
        if name not in new:
            yield f"{name} is gone"
        elif new[name] != field:
            yield f"{name} was {_described(field)} and is now {_described(new[name])}"
    for name in new.keys() - old.keys():
        if "null" not in new[name]["type"]:
            yield f"{name} is new and may not be null (leave 'required' out)"


def _described(field: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in field.items() if name != "name"})
