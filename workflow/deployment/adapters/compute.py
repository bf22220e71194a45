"""Lambda functions and the Glue job."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    pick,
    unless_absent,
    without,
)
from workflow.deployment.differences import tags_of
from workflow.deployment.resources import Resource
from workflow.names import OWNER_TAG

_CONTENT_IN_KEY = re.compile(r"(?<=-)[0-9a-f]{12}(?=\.zip$)")
_CODE = frozenset({"Architectures", "Code"})


class Function(Adapter):
    """AWS::Lambda::Function."""

    service = "lambda"
    properties = frozenset(
        {"Architectures", "Code", "Description", "Environment", "EphemeralStorage", "FunctionName",
         "Handler", "KmsKeyArn", "LoggingConfig", "MemorySize", "Role", "Runtime", "Tags",
         "Timeout", "TracingConfig", "VpcConfig"}
    )  # fmt: skip
    # What UpdateFunctionConfiguration takes for "none of it any more".
    _none: ClassVar[Mapping[str, Any]] = {
        "Environment": {"Variables": {}},
        "KMSKeyArn": "",
        "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
    }

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        absent = "ResourceNotFoundException"
        response = unless_absent(self.client.get_function, absent, FunctionName=resource.name)
        if response is None:
            return None
        configuration = response["Configuration"]
        vpc = configuration.get("VpcConfig", {})
        return {
            **pick(configuration, self.properties),
            "Code": self._code(resource, configuration["CodeSha256"]),
            "Environment": pick(configuration.get("Environment", {}), {"Variables"}),
            "KmsKeyArn": configuration.get("KMSKeyArn"),
            "Tags": response.get("Tags", {}),
            "VpcConfig": pick(vpc, {"SubnetIds", "SecurityGroupIds"}),
        }

    @staticmethod
    def _code(resource: Resource, code_sha256: str) -> Properties:
        """Return the S3 path of the deployed code, which ends with a digest of the content.

        Lambda keeps a copy of the code with its digest, and forgets where it came from.
        """
        code = resource.properties["Code"]
        digest = base64.b64decode(code_sha256).hex()[:12]
        return {**code, "S3Key": _CONTENT_IN_KEY.sub(digest, code["S3Key"])}

    def create(self, resource: Resource) -> None:
        """Create the function, and wait until it can be called."""
        properties = resource.properties
        self.client.create_function(
            **_with_kms_key(without(properties, "Tags")), Tags=tags_of(properties), Publish=False
        )
        self._wait("function_active_v2", resource)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        properties, name = resource.properties, resource.name
        if changed & _CODE:
            architectures = properties["Architectures"]
            self.client.update_function_code(
                FunctionName=name, **properties["Code"], Architectures=architectures
            )
            self._wait("function_updated_v2", resource)
        if changed - _CODE:
            request = _with_kms_key(without(properties, "Tags", *_CODE))
            self.client.update_function_configuration(**{**self._none, **request})
            self._wait("function_updated_v2", resource)

    def tag(self, resource: Resource) -> None:
        arn = self.config.arn("lambda", f"function:{resource.name}")
        self.client.tag_resource(Resource=arn, Tags=tags_of(resource.properties))

    def delete(self, resource: Resource) -> None:
        self.client.delete_function(FunctionName=resource.name)

    def _wait(self, waiter: str, resource: Resource) -> None:
        self.client.get_waiter(waiter).wait(FunctionName=resource.name, WaiterConfig={"Delay": 1})


class Permission(Adapter):
    """AWS::Lambda::Permission: the statement of a function's policy that has the resource's id."""

    service = "lambda"
    properties = frozenset({"Action", "FunctionName", "Principal", "SourceArn"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        name = resource.properties["FunctionName"]
        response = unless_absent(
            self.client.get_policy, "ResourceNotFoundException", FunctionName=name
        )
        statements = json.loads(response["Policy"])["Statement"] if response else []
        statement = next((each for each in statements if each["Sid"] == resource.id), None)
        if statement is None:
            return None
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        return {
            "FunctionName": name,
            "Action": statement["Action"],
            "Principal": statement["Principal"].get("Service"),
            "SourceArn": source,
        }

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        """Return the owner of the function."""
        function = self.client.get_function(FunctionName=resource.properties["FunctionName"])
        return tags_of(function).get(OWNER_TAG)

    def create(self, resource: Resource) -> None:
        self.client.add_permission(**resource.properties, StatementId=resource.id)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Replace the statement: Lambda changes none."""
        self.delete(resource)
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        name = resource.properties["FunctionName"]
        self.client.remove_permission(FunctionName=name, StatementId=resource.id)


class GlueJob(Adapter):
    """AWS::Glue::Job."""

    service = "glue"
    properties = frozenset(
        {"Command", "Connections", "DefaultArguments", "Description", "ExecutionClass",
         "ExecutionProperty", "GlueVersion", "JobMode", "JobRunQueuingEnabled",
         "MaintenanceWindow", "MaxRetries", "Name", "NonOverridableArguments",
         "NotificationProperty", "NumberOfWorkers", "Role", "SecurityConfiguration", "Tags",
         "Timeout", "WorkerType"}
    )  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {
        "Command": {"PythonVersion": "3"},
        "ExecutionClass": "STANDARD",
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "JobMode": "SCRIPT",
        "Timeout": 480,
    }

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        absent = "EntityNotFoundException"
        response = unless_absent(self.client.get_job, absent, JobName=resource.name)
        if response is None:
            return None
        job = response["Job"]
        return {
            **pick(job, self.properties),
            "Command": pick(job["Command"], {"Name", "ScriptLocation", "PythonVersion"}),
            "Tags": self.client.get_tags(ResourceArn=self.config.glue_job_arn)["Tags"],
        }

    def create(self, resource: Resource) -> None:
        self.client.create_job(**resource.properties)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        definition = without(resource.properties, "Name", "Tags")
        self.client.update_job(JobName=resource.name, JobUpdate=definition)

    def tag(self, resource: Resource) -> None:
        tags = tags_of(resource.properties)
        self.client.tag_resource(ResourceArn=self.config.glue_job_arn, TagsToAdd=tags)

    def delete(self, resource: Resource) -> None:
        self.client.delete_job(JobName=resource.name)


def _with_kms_key(properties: Properties) -> Properties:
    """Return properties of a function with the key as Lambda spells it."""
    key = properties.pop("KmsKeyArn", None)
    return {**properties, "KMSKeyArn": key} if key else properties
