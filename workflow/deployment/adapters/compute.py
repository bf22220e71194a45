"""Lambda functions and the Glue job."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    found,
    picked,
    touched,
    without,
)
from workflow.deployment.differences import Difference, tags_of

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

_CONTENT_IN_KEY = re.compile(r"(?<=-)[0-9a-f]{12}(?=\.zip$)")
_NO_VPC: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}


class Function(Adapter):
    """AWS::Lambda::Function."""

    service = "lambda"
    properties = frozenset(
        {
            "Architectures",
            "Code",
            "Description",
            "Environment",
            "EphemeralStorage",
            "FunctionName",
            "Handler",
            "KmsKeyArn",
            "LoggingConfig",
            "MemorySize",
            "ReservedConcurrentExecutions",
            "Role",
            "Runtime",
            "Tags",
            "Timeout",
            "TracingConfig",
            "VpcConfig",
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {"LogFormat": "Text"},
        "MemorySize": 128,
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
    }
    # What UpdateFunctionConfiguration takes for "none of it any more".
    _without: ClassVar[Mapping[str, Any]] = {
        "Description": "",
        "Environment": {"Variables": {}},
        "EphemeralStorage": {"Size": 512},
        "KMSKeyArn": "",
        "MemorySize": 128,
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "VpcConfig": _NO_VPC,
    }
    _elsewhere = frozenset({"Architectures", "Code", "ReservedConcurrentExecutions", "Tags"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        answer = found(
            self.client.get_function, "ResourceNotFoundException", FunctionName=resource.name
        )
        if answer is None:
            return None
        there = answer["Configuration"]
        was = picked(there, self.properties - {"Code", "VpcConfig", "Environment"})
        was["Tags"] = answer.get("Tags", {})
        was["Code"] = self._code(resource, there["CodeSha256"])
        if there.get("KMSKeyArn"):
            was["KmsKeyArn"] = there["KMSKeyArn"]
        vpc = picked(there.get("VpcConfig", {}), frozenset(_NO_VPC))
        if any(vpc.values()):
            was["VpcConfig"] = vpc
        if variables := there.get("Environment", {}).get("Variables"):
            was["Environment"] = {"Variables": variables}
        group = was.get("LoggingConfig", {}).get("LogGroup")
        if group == f"/aws/lambda/{resource.name}" and "LogGroup" not in resource.properties.get(
            "LoggingConfig", {}
        ):
            was["LoggingConfig"] = without(was["LoggingConfig"], "LogGroup")
        if concurrency := answer.get("Concurrency"):
            was["ReservedConcurrentExecutions"] = concurrency["ReservedConcurrentExecutions"]
        return was

    @staticmethod
    def _code(resource: Resource, code_sha256: str) -> Properties:
        """Where the deployed code would lie: a key names its content's digest, and Lambda tells it.

        Lambda keeps a copy of the code and forgets where it came from.
        """
        wanted = resource.properties["Code"]
        digest = base64.b64decode(code_sha256).hex()[:12]
        return {**wanted, "S3Key": _CONTENT_IN_KEY.sub(digest, wanted["S3Key"])}

    def create(self, resource: Resource) -> None:
        """Make the function and wait until it can be called."""
        wanted = resource.properties
        request = without(
            wanted, "FunctionName", "KmsKeyArn", "Tags", "ReservedConcurrentExecutions"
        )
        if wanted.get("KmsKeyArn"):
            request["KMSKeyArn"] = wanted["KmsKeyArn"]
        self.client.create_function(
            FunctionName=resource.name, Tags=tags_of(wanted), Publish=False, **request
        )
        self._wait("function_active_v2", resource)
        if limit := wanted.get("ReservedConcurrentExecutions"):
            self.client.put_function_concurrency(
                FunctionName=resource.name, ReservedConcurrentExecutions=limit
            )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change code, configuration, tags and concurrency, as far as they differ."""
        wanted, client, changed = resource.properties, self.client, touched(changes)
        function = {"FunctionName": resource.name}
        if changed & {"Code", "Architectures"}:
            client.update_function_code(
                **function,
                **wanted["Code"],
                Architectures=wanted.get("Architectures", ["x86_64"]),
            )
            self._wait("function_updated_v2", resource)
        if changed - self._elsewhere:
            request = without(wanted, "FunctionName", "KmsKeyArn", *self._elsewhere)
            if wanted.get("KmsKeyArn"):
                request["KMSKeyArn"] = wanted["KmsKeyArn"]
            client.update_function_configuration(**function, **{**self._without, **request})
            self._wait("function_updated_v2", resource)
        if "Tags" in changed:
            client.tag_resource(
                Resource=self.site.config.arn("lambda", f"function:{resource.name}"),
                Tags=tags_of(wanted),
            )
        if "ReservedConcurrentExecutions" in changed:
            if limit := wanted.get("ReservedConcurrentExecutions"):
                client.put_function_concurrency(**function, ReservedConcurrentExecutions=limit)
            else:
                client.delete_function_concurrency(**function)

    def delete(self, resource: Resource) -> None:
        """Delete the function."""
        self.client.delete_function(FunctionName=resource.name)

    def _wait(self, waiter: str, resource: Resource) -> None:
        self.client.get_waiter(waiter).wait(FunctionName=resource.name, WaiterConfig={"Delay": 1})


class GlueJob(Adapter):
    """AWS::Glue::Job."""

    service = "glue"
    properties = frozenset(
        {
            "Command",
            "Connections",
            "DefaultArguments",
            "Description",
            "ExecutionClass",
            "ExecutionProperty",
            "GlueVersion",
            "JobMode",
            "JobRunQueuingEnabled",
            "MaintenanceWindow",
            "MaxRetries",
            "Name",
            "NonOverridableArguments",
            "NotificationProperty",
            "NumberOfWorkers",
            "Role",
            "SecurityConfiguration",
            "Tags",
            "Timeout",
            "WorkerType",
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {
        "Command": {"PythonVersion": "3"},
        "ExecutionClass": "STANDARD",
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "JobMode": "SCRIPT",
        "Timeout": 480,
    }

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        answer = found(self.client.get_job, "EntityNotFoundException", JobName=resource.name)
        if answer is None:
            return None
        was = picked(answer["Job"], self.properties)
        was["Command"] = picked(
            answer["Job"]["Command"], frozenset({"Name", "ScriptLocation", "PythonVersion"})
        )
        was["Tags"] = self.client.get_tags(ResourceArn=self._arn(resource))["Tags"]
        return was

    def create(self, resource: Resource) -> None:
        """Make the job."""
        wanted = without(resource.properties, "Name", "Tags")
        tags = tags_of(resource.properties)
        self.client.create_job(Name=resource.name, Tags=tags, **wanted)

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Put the whole definition in place of the other, and the tags."""
        changed = touched(changes)
        if changed - {"Tags"}:
            wanted = without(resource.properties, "Name", "Tags")
            self.client.update_job(JobName=resource.name, JobUpdate=wanted)
        if "Tags" in changed:
            self.client.tag_resource(
                ResourceArn=self._arn(resource), TagsToAdd=tags_of(resource.properties)
            )

    def delete(self, resource: Resource) -> None:
        """Delete the job."""
        self.client.delete_job(JobName=resource.name)

    def _arn(self, resource: Resource) -> str:
        return self.site.config.arn("glue", f"job/{resource.name}")
