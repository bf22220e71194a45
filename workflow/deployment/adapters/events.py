"""EventBridge: the rule on ends of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import Adapter, pick, tag_list, unless_absent
from workflow.deployment.resources import Resource


class Rule(Adapter):
    """AWS::Events::Rule, of the default bus, with its targets."""

    service = "events"
    properties = frozenset({"Description", "EventPattern", "Name", "State", "Tags", "Targets"})
    defaults: ClassVar[Mapping[str, Any]] = {"State": "ENABLED"}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        absent, name = "ResourceNotFoundException", resource.name
        rule = unless_absent(self.client.describe_rule, absent, Name=name)
        if rule is None:
            return None
        targets = self.client.list_targets_by_rule(Rule=name)["Targets"]
        return {
            **pick(rule, {"Description", "Name", "State"}),
            "EventPattern": json.loads(rule.get("EventPattern") or "{}"),
            "Targets": targets,
            "Tags": self.client.list_tags_for_resource(ResourceARN=self._arn(resource))["Tags"],
        }

    def create(self, resource: Resource) -> None:
        self._put_rule(resource, Tags=tag_list(resource))
        self._put_targets(resource)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        if changed - {"Targets"}:
            self._put_rule(resource)
        if "Targets" in changed:
            self._remove_targets(resource, kept={each["Id"] for each in _targets(resource)})
            self._put_targets(resource)

    def tag(self, resource: Resource) -> None:
        """Add the tags by a call of their own: PutRule leaves those of a rule alone."""
        self.client.tag_resource(ResourceARN=self._arn(resource), Tags=tag_list(resource))

    def delete(self, resource: Resource) -> None:
        """Delete the rule with its targets, without which it cannot be deleted."""
        self._remove_targets(resource)
        self.client.delete_rule(Name=resource.name)

    def _put_rule(self, resource: Resource, **tags: Any) -> None:
        request = pick(resource.properties, {"Description", "Name", "State"})
        pattern = json.dumps(resource.properties["EventPattern"])
        self.client.put_rule(**request, EventPattern=pattern, **tags)

    def _put_targets(self, resource: Resource) -> None:
        self.client.put_targets(Rule=resource.name, Targets=_targets(resource))

    def _remove_targets(self, resource: Resource, kept: AbstractSet[str] = frozenset()) -> None:
        targets = self.client.list_targets_by_rule(Rule=resource.name)["Targets"]
        if ids := [target["Id"] for target in targets if target["Id"] not in kept]:
            self.client.remove_targets(Rule=resource.name, Ids=ids)

    def _arn(self, resource: Resource) -> str:
        return self.config.arn("events", f"rule/{resource.name}")


def _targets(resource: Resource) -> list[Any]:
    targets: list[Any] = resource.properties["Targets"]
    return targets
