"""Whose definition it is: the configuration's name, and the account and region of its ARNs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.names import OWNER_TAG

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:(?P<region>[a-z0-9-]*):(?P<account>\d{12}):")
_TAG_MEMBERS = (("tagKey", "tagValue"), ("Key", "Value"), ("key", "value"))


@dataclass(frozen=True)
class Identity:
    """Whose definition it is; what a definition does not tell is empty.

    Attributes:
        names: Of the configuration.
        accounts: Of AWS.
        regions: Of AWS.
    """

    names: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, definition: Definition) -> Identity:
        """Return whose definition it is, by the tags of what it creates and by its ARNs."""
        arns = list(_ARN.finditer(json.dumps(definition)))
        return cls(
            frozenset(_owners(definition)),
            frozenset(arn["account"] for arn in arns),
            frozenset(arn["region"] for arn in arns if arn["region"]),
        )

    @classmethod
    def of_config(cls, config: Config) -> Identity:
        """Return that of what a configuration renders."""
        return cls(
            frozenset({config.name}),
            frozenset({config.aws.account}),
            frozenset({config.aws.region}),
        )

    def differences(self, other: Identity) -> list[str]:
        """Return what both tell, and tell otherwise: `name shop, not labbase`."""
        pairs = (
            ("name", self.names, other.names),
            ("account", self.accounts, other.accounts),
            ("region", self.regions, other.regions),
        )
        return [
            f"{word} {' and '.join(sorted(own))}, not {' and '.join(sorted(others))}"
            for word, own, others in pairs
            if own and others and not own & others
        ]


def _owners(value: Any) -> Iterator[str]:
    """Yield the owner that tags inside a value name."""
    if isinstance(value, list):
        for element in value:
            yield from _owners(element)
    if isinstance(value, Mapping):
        for key, owner in _TAG_MEMBERS:
            if value.get(key) == OWNER_TAG and isinstance(value.get(owner), str):
                yield value[owner]
        for element in value.values():
            yield from _owners(element)
