"""The fields that Personalize requires of each dataset type, in custom and domain dataset groups.

https://docs.aws.amazon.com/personalize/latest/dg/custom-datasets-and-schemas.html
https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-datasets-and-schemas.html
https://docs.aws.amazon.com/personalize/latest/dg/VIDEO-ON-DEMAND-datasets-and-schemas.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_STRING, _LONG, _FLOAT = ("string",), ("long",), ("float",)


@dataclass(frozen=True)
class DatasetType:
    """Personalize's rules for a dataset type.

    Attributes:
        name: The schema's record name, e.g. `ActionInteractions`.
        required: Type by name of the fields that must be there and never null.
        reserved: Legal types by name of further fields with a fixed meaning; they may be null.
        most_metadata: How many fields without a fixed meaning there may be.
        demanded: Reserved fields that must be there, in a domain.
        categorical: Reserved fields that must be categorical, in a domain.
        textual: Reserved fields that must be textual, in a domain.
    """

    name: str
    required: Mapping[str, str]
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most_metadata: int = 5
    demanded: tuple[str, ...] = ()
    categorical: frozenset[str] = frozenset()
    textual: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        """CreateDataset's name, e.g. `ACTION_INTERACTIONS`."""
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", self.name).upper()

    @property
    def key(self) -> str | None:
        """The column that identifies a row; None where rows are events."""
        return None if "TIMESTAMP" in self.required else next(iter(self.required))

    @property
    def ids(self) -> frozenset[str]:
        """The fields that hold ids."""
        return frozenset(name for name in self.required if name.endswith("_ID"))


_USERS = DatasetType("Users", {"USER_ID": "string"}, most_metadata=25)
_ITEMS = DatasetType(
    "Items", {"ITEM_ID": "string"}, {"CREATION_TIMESTAMP": _LONG}, most_metadata=100
)
_INTERACTIONS = DatasetType(
    "Interactions",
    {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
    {
        "EVENT_TYPE": _STRING,
        "EVENT_VALUE": _FLOAT,
        "IMPRESSION": _STRING,
        "RECOMMENDATION_ID": _STRING,
        "EVENT_ATTRIBUTION_SOURCE": _STRING,
    },
)
_ACTIONS = DatasetType(
    "Actions",
    {"ACTION_ID": "string"},
    {
        "CREATION_TIMESTAMP": _LONG,
        "VALUE": _LONG,
        "TYPE": _STRING,
        "ACTION_EXPIRATION_TIMESTAMP": _LONG,
        "EXPIRATION_TIMESTAMP": _LONG,
        "REPEAT_FREQUENCY": _LONG,
    },
    most_metadata=10,
)
_ACTION_INTERACTIONS = DatasetType(
    "ActionInteractions",
    {"USER_ID": "string", "ACTION_ID": "string", "EVENT_TYPE": "string", "TIMESTAMP": "long"},
    {"IMPRESSION": _STRING, "RECOMMENDATION_ID": _STRING},
)
DATASET_TYPES: Mapping[str, DatasetType] = {
    dataset_type.type: dataset_type
    for dataset_type in (_INTERACTIONS, _USERS, _ITEMS, _ACTIONS, _ACTION_INTERACTIONS)
}


def _domain(
    membership: str,
    demanded: Mapping[str, tuple[str, ...]],
    reserved: Mapping[str, tuple[str, ...]],
    categorical: frozenset[str],
) -> Mapping[str, DatasetType]:
    """Return a domain's dataset types, which differ from the custom ones in their items above all.

    `membership` is the reserved field of its users. Its items must have the `demanded` fields.
    """
    textual = frozenset({"PRODUCT_DESCRIPTION"})
    strings = dict.fromkeys((*categorical, *textual), _STRING)
    return {
        "INTERACTIONS": replace(
            _INTERACTIONS, required={**_INTERACTIONS.required, "EVENT_TYPE": "string"}
        ),
        "USERS": replace(
            _USERS, reserved={membership: _STRING}, categorical=frozenset({membership})
        ),
        "ITEMS": replace(
            _ITEMS,
            reserved={**strings, **reserved, **demanded},
            demanded=tuple(demanded),
            categorical=categorical,
            textual=textual,
        ),
    }


DOMAINS: Mapping[str | None, Mapping[str, DatasetType]] = {
    None: DATASET_TYPES,
    "ECOMMERCE": _domain(
        "MEMBERSHIP_STATUS",
        {"PRICE": _FLOAT, "CATEGORY_L1": _STRING},
        # The page says float, its example schema long.
        {"CREATION_TIMESTAMP": ("float", "long")},
        frozenset({"CATEGORY_L1", "CATEGORY_L2", "CATEGORY_L3", "AGE_GROUP", "ADULT", "GENDER"}),
    ),
    "VIDEO_ON_DEMAND": _domain(
        "SUBSCRIPTION_MODEL",
        {"GENRES": _STRING, "CREATION_TIMESTAMP": _LONG},
        {"PRICE": _FLOAT, "DURATION": _FLOAT, "AVERAGE_RATING": _FLOAT},
        frozenset({"GENRES", "GENRE_L2", "GENRE_L3", "CONTENT_OWNER", "CONTENT_CLASSIFICATION"}),
    ),
}
"""The dataset types by domain; None is custom dataset groups.

Domain dataset groups have neither actions nor action interactions.
"""
