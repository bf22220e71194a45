"""IAM roles with their trust, their inline policies and their boundary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    found,
    picked,
    tag_list,
    touched,
)
from workflow.deployment.differences import Difference

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource


class Role(Adapter):
    """AWS::IAM::Role."""

    service = "iam"
    properties = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )
    replaced_by = frozenset({"Path"})
    defaults: ClassVar[Mapping[str, Any]] = {"Path": "/", "MaxSessionDuration": 3_600}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        name, client = resource.name, self.client
        answer = found(client.get_role, "NoSuchEntity", RoleName=name)
        if answer is None:
            return None
        role = answer["Role"]
        was = picked(role, self.properties - {"PermissionsBoundary"})
        boundary = role.get("PermissionsBoundary")
        if boundary:
            was["PermissionsBoundary"] = boundary["PermissionsBoundaryArn"]
        policies = client.list_role_policies(RoleName=name)["PolicyNames"]
        was["Policies"] = [
            picked(
                client.get_role_policy(RoleName=name, PolicyName=policy),
                frozenset({"PolicyName", "PolicyDocument"}),
            )
            for policy in policies
        ]
        attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        was["ManagedPolicyArns"] = [policy["PolicyArn"] for policy in attached]
        return was

    def create(self, resource: Resource) -> None:
        """Make the role and its policies."""
        wanted = resource.properties
        request: Properties = picked(
            wanted, frozenset({"Path", "Description", "MaxSessionDuration", "PermissionsBoundary"})
        )
        self.client.create_role(
            RoleName=resource.name,
            AssumeRolePolicyDocument=json.dumps(wanted["AssumeRolePolicyDocument"]),
            Tags=tag_list(wanted),
            **request,
        )
        self._put_policies(resource)
        self._attach(resource)

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change what differs, property by property."""
        role, wanted, client = {"RoleName": resource.name}, resource.properties, self.client
        changed = touched(changes)
        if "AssumeRolePolicyDocument" in changed:
            client.update_assume_role_policy(
                **role, PolicyDocument=json.dumps(wanted["AssumeRolePolicyDocument"])
            )
        if changed & {"Description", "MaxSessionDuration"}:
            client.update_role(
                **role,
                Description=wanted.get("Description", ""),
                MaxSessionDuration=wanted.get("MaxSessionDuration", 3_600),
            )
        if "PermissionsBoundary" in changed:
            if boundary := wanted.get("PermissionsBoundary"):
                client.put_role_permissions_boundary(**role, PermissionsBoundary=boundary)
            else:
                client.delete_role_permissions_boundary(**role)
        if "Policies" in changed:
            self._put_policies(resource)
        if "ManagedPolicyArns" in changed:
            self._attach(resource)
        if "Tags" in changed:
            client.tag_role(**role, Tags=tag_list(wanted))

    def delete(self, resource: Resource) -> None:
        """Delete the role and its policies."""
        role, client = {"RoleName": resource.name}, self.client
        for policy in client.list_role_policies(**role)["PolicyNames"]:
            client.delete_role_policy(**role, PolicyName=policy)
        for policy in client.list_attached_role_policies(**role)["AttachedPolicies"]:
            client.detach_role_policy(**role, PolicyArn=policy["PolicyArn"])
        client.delete_role(**role)

    def _put_policies(self, resource: Resource) -> None:
        """Write every inline policy, and delete those that the model does not have."""
        role, client = {"RoleName": resource.name}, self.client
        wanted = {
            policy["PolicyName"]: policy["PolicyDocument"]
            for policy in resource.properties.get("Policies", ())
        }
        for name, document in wanted.items():
            client.put_role_policy(**role, PolicyName=name, PolicyDocument=json.dumps(document))
        for name in client.list_role_policies(**role)["PolicyNames"]:
            if name not in wanted:
                client.delete_role_policy(**role, PolicyName=name)

    def _attach(self, resource: Resource) -> None:
        """Attach the managed policies, and detach those that the model does not have."""
        role, client = {"RoleName": resource.name}, self.client
        attached = client.list_attached_role_policies(**role)["AttachedPolicies"]
        there = {policy["PolicyArn"] for policy in attached}
        wanted = set(resource.properties.get("ManagedPolicyArns", ()))
        for arn in sorted(wanted - there):
            client.attach_role_policy(**role, PolicyArn=arn)
        for arn in sorted(there - wanted):
            client.detach_role_policy(**role, PolicyArn=arn)
