"""Personalize's dataset group, schemas, datasets and filter, each with an asynchronous status."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from botocore import xform_name

from workflow.deployment.adapters.adapter import (
    Adapter,
    pick,
    tag_list,
    to_camel_case,
    to_pascal_case,
    unless_absent,
    without,
)
from workflow.deployment.differences import Difference, changed_properties, differences
from workflow.deployment.resources import Resource
from workflow.errors import DeployError
from workflow.names import OWNER_TAG

POLL_SECONDS = 2.0
_LONGEST_SECONDS = 900
_IN_CREATION = frozenset({"CREATE PENDING", "CREATE IN_PROGRESS", "CREATE STOPPING"})
_ANEW = (
    "To start over with other columns, give [aws] dataset_group another name: data are imported"
    " and models trained there, while the old group still serves"
)


class _PersonalizeAdapter(Adapter):
    """A resource of Personalize: an ARN as name, tags, a status."""

    service = "personalize"
    member: ClassVar[str]
    """As members of requests and responses are named, for example `datasetGroup`."""
    is_taggable: ClassVar[bool] = True
    """Whether Personalize takes tags for it; those of CloudFormation's model are passed over."""

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        description = self._describe(resource)
        if description is None:
            return None
        if str(description.get("status", "")).endswith("FAILED"):
            raise DeployError(
                f"{resource.name} is {description['status']}: {description.get('failureReason')}."
                " Mend what it says, delete it in the console, and run the same command again"
            )
        current = pick(to_pascal_case(description), self.properties)
        if self.is_taggable:
            tags = self.client.list_tags_for_resource(resourceArn=resource.name)["tags"]
            current["Tags"] = {tag["tagKey"]: tag["tagValue"] for tag in tags}
        return current

    def create(self, resource: Resource) -> None:
        """Create it, and wait until it is ACTIVE."""
        request = to_camel_case(without(resource.properties, "Tags"))
        if self.is_taggable:
            request["tags"] = tag_list(resource, "tagKey", "tagValue")
        self._call("create", **request)
        self._wait(resource, "ACTIVE")

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Do nothing: what Personalize cannot change is replaced, or refused by the plan."""

    def tag(self, resource: Resource) -> None:
        tags = tag_list(resource, "tagKey", "tagValue")
        self.client.tag_resource(resourceArn=resource.name, tags=tags)

    def delete(self, resource: Resource) -> None:
        """Delete it, and wait until it is gone."""
        self._call("delete", **{f"{self.member}Arn": resource.name})
        self._wait(resource, None)

    def _call(self, verb: str, **request: Any) -> Any:
        return getattr(self.client, f"{verb}_{xform_name(self.member)}")(**request)

    def _describe(self, resource: Resource) -> Any:
        request = {"verb": "describe", f"{self.member}Arn": resource.name}
        response = unless_absent(self._call, "ResourceNotFoundException", **request)
        return response[self.member] if response else None

    def _wait_until_gone(self, arn: str, remaining: Callable[[], Sequence[Any]]) -> None:
        """Wait until none of the summaries that remain has this ARN."""
        waited = 0.0
        while any(arn in summary.values() for summary in remaining()):
            if waited >= _LONGEST_SECONDS:
                raise DeployError(f"{arn} is still there: look at it in the console")
            self.deployment.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def _wait(self, resource: Resource, expected: str | None) -> None:
        """Wait until it has this status, or is gone where there is none to wait for."""
        waited = 0.0
        while waited < _LONGEST_SECONDS:
            description = self._describe(resource)
            status = description.get("status", "ACTIVE") if description else None
            if status == expected:
                return
            if status and status.endswith("FAILED"):
                reason = description.get("failureReason")
                raise DeployError(f"{resource.name} is {status}: {reason}")
            self.deployment.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        raise DeployError(
            f"{resource.name} has been {status} for {_LONGEST_SECONDS} seconds: check it in"
            " the console, and run the same command again"
        )

    def _own_solutions(self) -> list[Any]:
        """Return the group's solutions that runs of this configuration have created."""
        solutions = self._list("solutions", datasetGroupArn=self.config.dataset_group_arn)
        return [solution for solution in solutions if self._is_own(solution)]

    def _own_campaigns(self) -> list[Any]:
        """Return the campaigns of these solutions that the configuration names."""
        if not self.config.campaigns:
            return []
        arns = [solution["solutionArn"] for solution in self._own_solutions()]
        campaigns = [each for arn in arns for each in self._list("campaigns", solutionArn=arn)]
        return [each for each in campaigns if each["name"] in self.config.campaigns]

    def _delete_campaigns(self) -> None:
        for campaign in self._own_campaigns():
            arn = campaign["campaignArn"]
            self.client.delete_campaign(campaignArn=arn)
            self._wait_until_gone(arn, self._own_campaigns)

    def _is_own(self, solution: Mapping[str, Any]) -> bool:
        if solution["name"] in {each.solution_name for each in self.config.each_recommender}:
            return True
        # Under an earlier [solution] name, or gone since it was listed.
        response = unless_absent(
            self.client.list_tags_for_resource,
            "ResourceNotFoundException",
            resourceArn=solution["solutionArn"],
        )
        owned = {"tagKey": OWNER_TAG, "tagValue": self.config.name}
        return bool(response) and owned in response["tags"]

    def _list(self, what: str, passed_over: Container[str] = (), **request: Any) -> list[Any]:
        """Return what a List operation lists, without some by their ARNs."""
        pages = self.client.get_paginator(f"list_{what}").paginate(**request)
        member = "".join(part.title() for part in what.split("_"))
        member = member[0].lower() + member[1:]
        listed = [each for page in pages for each in page[member]]
        return [each for each in listed if _arn(each) not in passed_over]


class DatasetGroup(_PersonalizeAdapter):
    """AWS::Personalize::DatasetGroup."""

    member = "datasetGroup"
    properties = frozenset({"Domain", "KmsKeyArn", "Name", "RoleArn", "Tags"})
    replaced_by = frozenset({"Domain", "KmsKeyArn", "Name", "RoleArn"})
    irreplaceable = (
        "Personalize cannot change a dataset group, and a new one means to import and train anew."
        " Give [aws] dataset_group another name, or take the change back"
    )
    loses = "what was trained"

    def obstacle(self, resource: Resource) -> str:
        """Return what the group holds of others, and what of ours is in use.

        https://docs.aws.amazon.com/personalize/latest/dg/API_DeleteDatasetGroup.html
        """
        found = [text for text in self._obstacles(resource) if text]
        if not found:
            return ""
        return (
            f"{'; '.join(found)}: Personalize deletes no dataset group that holds them. Delete them"
            " first if nobody needs them; until then nothing here is deleted"
        )

    def remark(self, resource: Resource) -> str:
        """Return the names of the solutions and campaigns that are deleted with it."""
        solutions = self._own_solutions()
        deleted = (
            _named("every version of solution", solutions),
            _named("campaign", self._own_campaigns()),
        )
        return f"with {' and '.join(filter(None, deleted))}" if solutions else ""

    def delete(self, resource: Resource) -> None:
        """Delete the campaigns and solutions that the runs created, and the group."""
        self._delete_campaigns()
        for solution in self._own_solutions():
            arn = solution["solutionArn"]
            self.client.delete_solution(solutionArn=arn)
            self._wait_until_gone(
                arn, lambda: self._list("solutions", datasetGroupArn=resource.name)
            )
        super().delete(resource)

    def _obstacles(self, resource: Resource) -> Iterator[str]:
        group = {"datasetGroupArn": resource.name}
        own = [solution["solutionArn"] for solution in self._own_solutions()]
        followers = [self.config.campaign_arn(name) for name in self.config.campaigns]
        yield _named("solution", self._list("solutions", own, **group), "of others")
        yield _named("dataset", self._list("datasets", self.deployment.model, **group), "of others")
        yield _named("event tracker", self._list("event_trackers", **group))
        yield _named("recommender", self._list("recommenders", **group))
        for arn in own:
            yield _named("campaign", self._list("campaigns", followers, solutionArn=arn))
            versions = self._list("solution_versions", solutionArn=arn)
            unfinished = [version for version in versions if version["status"] in _IN_CREATION]
            yield _named("solution version", unfinished, "in creation")


class Schema(_PersonalizeAdapter):
    """AWS::Personalize::Schema; its name tells its content, so another content is another one."""

    member = "schema"
    properties = frozenset({"Domain", "Name", "Schema", "Tags"})
    replaced_by = frozenset({"Domain", "Name", "Schema"})
    is_taggable = False
    irreplaceable = "Personalize never changes a schema; give the new one another name"

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        """Return our name: a schema has no tags, and its content is compared."""
        return self.config.name

    def compare(self, resource: Resource, current: Mapping[str, Any]) -> tuple[Difference, ...]:
        return differences(current, without(resource.properties, "Tags"))


class Dataset(_PersonalizeAdapter):
    """AWS::Personalize::Dataset; its schema may gain columns, and nothing else."""

    member = "dataset"
    properties = frozenset({"DatasetGroupArn", "DatasetType", "Name", "SchemaArn", "Tags"})
    replaced_by = frozenset({"DatasetGroupArn", "DatasetType", "Name"})
    irreplaceable = f"a dataset is deleted with its data. {_ANEW}"
    loses = "its data"

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return the dataset on AWS; Personalize returns its type in capitals."""
        current = super().read(resource)
        return current and {**current, "DatasetType": current["DatasetType"].capitalize()}

    def objection(
        self, resource: Resource, current: Mapping[str, Any], changes: Sequence[Difference]
    ) -> str:
        """Return why the dataset cannot take the new schema."""
        if "SchemaArn" not in changed_properties(changes):
            return ""
        before = self.client.describe_schema(schemaArn=current["SchemaArn"])["schema"]["schema"]
        after = self.deployment.model[resource.properties["SchemaArn"]].properties["Schema"]
        broken = "; ".join(_incompatibilities(json.loads(before), json.loads(after)))
        if not broken:
            return ""
        return (
            "Personalize lets a dataset's schema only gain columns that may be null, but"
            f" {broken}. {_ANEW}"
        )

    def delete(self, resource: Resource) -> None:
        """Delete the dataset, and first the campaigns that serve what was trained on it."""
        self._delete_campaigns()
        super().delete(resource)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Give the dataset its new schema."""
        schema = resource.properties["SchemaArn"]
        self.client.update_dataset(datasetArn=resource.name, schemaArn=schema)
        self._wait(resource, "ACTIVE")


class Filter(_PersonalizeAdapter):
    """AWS::Personalize::Filter; Personalize cannot change one, so it is replaced."""

    member = "filter"
    properties = frozenset({"DatasetGroupArn", "FilterExpression", "Name", "Tags"})
    replaced_by = frozenset({"DatasetGroupArn", "FilterExpression", "Name"})


def _arn(summary: Mapping[str, Any]) -> str:
    return str(next(value for name, value in summary.items() if name.endswith("Arn")))


def _named(what: str, summaries: Sequence[Mapping[str, Any]], whose: str = "") -> str:
    """Return resources in words, for example `solution a, b of others`; empty if there are none."""
    names = [summary.get("name") or _arn(summary).partition("/")[2] for summary in summaries]
    return f"{what} {', '.join(names)} {whose}".rstrip() if names else ""


def _incompatibilities(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the changes of a new Avro schema that a dataset with data does not allow.

    https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
    """
    old = {field["name"]: without(field, "name") for field in before["fields"]}
    new = {field["name"]: without(field, "name") for field in after["fields"]}
    for name, field in old.items():
        if name not in new:
            yield f"{name} is gone"
        elif new[name] != field:
            yield f"{name} was {json.dumps(field)} and is now {json.dumps(new[name])}"
    for name in new.keys() - old.keys():
        if "null" not in new[name]["type"]:
            yield f"{name} is new and may not be null (leave 'required' out)"
