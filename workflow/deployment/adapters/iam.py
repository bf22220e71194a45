"""IAM roles with their trust, their inline policies and their boundary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import Adapter, pick, tag_list, unless_absent
from workflow.deployment.resources import Resource


class Role(Adapter):
    """AWS::IAM::Role."""

    service = "iam"
    properties = frozenset(
        {"AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration",
         "PermissionsBoundary", "Policies", "RoleName", "Tags"}
    )  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {"MaxSessionDuration": 3_600}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        name, client = {"RoleName": resource.name}, self.client
        response = unless_absent(client.get_role, "NoSuchEntity", **name)
        if response is None:
            return None
        role = response["Role"]
        policies = (
            client.get_role_policy(**name, PolicyName=policy)
            for policy in client.list_role_policies(**name)["PolicyNames"]
        )
        return {
            **pick(role, self.properties),
            "PermissionsBoundary": role.get("PermissionsBoundary", {}).get(
                "PermissionsBoundaryArn"
            ),
            "Policies": [pick(policy, {"PolicyName", "PolicyDocument"}) for policy in policies],
            "ManagedPolicyArns": self._managed_policies(resource),
        }

    def create(self, resource: Resource) -> None:
        properties = resource.properties
        self.client.create_role(
            RoleName=resource.name,
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Tags=tag_list(resource),
            **pick(properties, {"Description", "PermissionsBoundary"}),
        )
        self._put_policies(resource)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        role, properties, client = {"RoleName": resource.name}, resource.properties, self.client
        if "AssumeRolePolicyDocument" in changed:
            trust = json.dumps(properties["AssumeRolePolicyDocument"])
            client.update_assume_role_policy(**role, PolicyDocument=trust)
        if changed & {"Description", "MaxSessionDuration"}:
            client.update_role(
                **role, Description=properties["Description"], MaxSessionDuration=3_600
            )
        if "PermissionsBoundary" in changed:
            if boundary := properties.get("PermissionsBoundary"):
                client.put_role_permissions_boundary(**role, PermissionsBoundary=boundary)
            else:
                client.delete_role_permissions_boundary(**role)
        if "Policies" in changed:
            self._put_policies(resource)
        if "ManagedPolicyArns" in changed:
            self._detach_managed_policies(resource)

    def tag(self, resource: Resource) -> None:
        self.client.tag_role(RoleName=resource.name, Tags=tag_list(resource))

    def delete(self, resource: Resource) -> None:
        self._delete_policies(resource, kept=())
        self._detach_managed_policies(resource)
        self.client.delete_role(RoleName=resource.name)

    def _put_policies(self, resource: Resource) -> None:
        """Write every inline policy, and delete those that the model does not have."""
        policies = resource.properties["Policies"]
        for policy in policies:
            self.client.put_role_policy(
                RoleName=resource.name,
                PolicyName=policy["PolicyName"],
                PolicyDocument=json.dumps(policy["PolicyDocument"]),
            )
        self._delete_policies(resource, kept=[policy["PolicyName"] for policy in policies])

    def _delete_policies(self, resource: Resource, *, kept: Sequence[str]) -> None:
        role = {"RoleName": resource.name}
        for name in self.client.list_role_policies(**role)["PolicyNames"]:
            if name not in kept:
                self.client.delete_role_policy(**role, PolicyName=name)

    def _detach_managed_policies(self, resource: Resource) -> None:
        """Detach every managed policy: the model has none."""
        for arn in self._managed_policies(resource):
            self.client.detach_role_policy(RoleName=resource.name, PolicyArn=arn)

    def _managed_policies(self, resource: Resource) -> list[str]:
        attached = self.client.list_attached_role_policies(RoleName=resource.name)
        return [policy["PolicyArn"] for policy in attached["AttachedPolicies"]]
