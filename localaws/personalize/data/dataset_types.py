"""What Personalize demands of each type of dataset, in custom and in domain dataset groups.

https://docs.aws.amazon.com/personalize/latest/dg/custom-datasets-and-schemas.html
https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-datasets-and-schemas.html
https://docs.aws.amazon.com/personalize/latest/dg/VIDEO-ON-DEMAND-datasets-and-schemas.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Legal = frozenset[tuple[str, bool]]
"""Types that a field may have, each with whether it may be null."""


@dataclass(frozen=True)
class DatasetType:
    """What Personalize demands of one type of dataset.

    Args:
        name: The schema's record name, e.g. ``Interactions``.
        type: What CreateDataset calls it, e.g. ``INTERACTIONS``.
        required: Type by name of the fields that must be there and never null.
        reserved: Legal types by name of the fields with a fixed meaning.
        most_metadata: How many further fields there may be.
        needs_metadata: Whether one further field is demanded.
        textual: Whether one field of free text is allowed.
        demanded: Reserved fields that must be there, in a domain.
        categorical: Reserved fields that must be categorical, in a domain.
        free_text: Reserved fields that must be textual, in a domain.
    """

    name: str
    type: str
    required: Mapping[str, str]
    reserved: Mapping[str, Legal]
    most_metadata: int
    needs_metadata: bool = True
    textual: bool = False
    demanded: tuple[str, ...] = ()
    categorical: frozenset[str] = field(default=frozenset())
    free_text: frozenset[str] = field(default=frozenset())

    @property
    def key(self) -> str | None:
        """The column that identifies a row; None where rows are events."""
        return None if "TIMESTAMP" in self.required else next(iter(self.required))

    @property
    def ids(self) -> frozenset[str]:
        """The fields that hold ids."""
        return frozenset(name for name in self.required if name.endswith("_ID"))


def _maybe_null(*types: str) -> Legal:
    return frozenset((one, null) for one in types for null in (False, True))


_STRING, _LONG, _FLOAT = _maybe_null("string"), _maybe_null("long"), _maybe_null("float")

DATASET_TYPES: Mapping[str, DatasetType] = {
    kind.type: kind
    for kind in (
        DatasetType(
            "Interactions",
            "INTERACTIONS",
            {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
            {
                "EVENT_TYPE": _STRING,
                "EVENT_VALUE": _FLOAT,
                "IMPRESSION": _STRING,
                "RECOMMENDATION_ID": _STRING,
                "EVENT_ATTRIBUTION_SOURCE": _STRING,
            },
            most_metadata=5,
            needs_metadata=False,
        ),
        DatasetType("Users", "USERS", {"USER_ID": "string"}, {}, most_metadata=25),
        DatasetType(
            "Items",
            "ITEMS",
            {"ITEM_ID": "string"},
            {"CREATION_TIMESTAMP": _LONG},
            most_metadata=100,
            textual=True,
        ),
        DatasetType(
            "Actions",
            "ACTIONS",
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
        ),
        DatasetType(
            "ActionInteractions",
            "ACTION_INTERACTIONS",
            {
                "USER_ID": "string",
                "ACTION_ID": "string",
                "EVENT_TYPE": "string",
                "TIMESTAMP": "long",
            },
            {"IMPRESSION": _STRING, "RECOMMENDATION_ID": _STRING},
            most_metadata=5,
            needs_metadata=False,
        ),
    )
}

_EVENTS = DATASET_TYPES["INTERACTIONS"]
_DOMAIN_EVENTS = replace(_EVENTS, required={**_EVENTS.required, "EVENT_TYPE": "string"})
_ITEMS = DATASET_TYPES["ITEMS"]


def _domain_users(status: str) -> DatasetType:
    return replace(
        DATASET_TYPES["USERS"], reserved={status: _STRING}, categorical=frozenset({status})
    )


def _domain_items(
    demanded: Mapping[str, Legal], others: Mapping[str, Legal], categorical: set[str]
) -> DatasetType:
    texts = dict.fromkeys((*categorical, "PRODUCT_DESCRIPTION"), _STRING)
    return replace(
        _ITEMS,
        reserved={**texts, **others, **demanded},
        needs_metadata=False,
        demanded=tuple(demanded),
        categorical=frozenset(categorical),
        free_text=frozenset({"PRODUCT_DESCRIPTION"}),
    )


DOMAIN_TYPES: Mapping[str, Mapping[str, DatasetType]] = {
    "ECOMMERCE": {
        "INTERACTIONS": _DOMAIN_EVENTS,
        "USERS": _domain_users("MEMBERSHIP_STATUS"),
        "ITEMS": _domain_items(
            {"PRICE": _FLOAT, "CATEGORY_L1": _STRING},
            # The page says float, its example schema long.
            {"CREATION_TIMESTAMP": _maybe_null("long", "float")},
            {"CATEGORY_L1", "CATEGORY_L2", "CATEGORY_L3", "AGE_GROUP", "ADULT", "GENDER"},
        ),
    },
    "VIDEO_ON_DEMAND": {
        "INTERACTIONS": _DOMAIN_EVENTS,
        "USERS": _domain_users("SUBSCRIPTION_MODEL"),
        "ITEMS": _domain_items(
            {"GENRES": _STRING, "CREATION_TIMESTAMP": _LONG},
            {"PRICE": _FLOAT, "DURATION": _FLOAT, "AVERAGE_RATING": _FLOAT},
            {"GENRES", "GENRE_L2", "GENRE_L3", "CONTENT_OWNER", "CONTENT_CLASSIFICATION"},
        ),
    },
}
"""The types of domain dataset groups; those have neither actions nor action interactions."""


def dataset_types(domain: str | None) -> Mapping[str, DatasetType]:
    """The dataset types of a domain, or of custom dataset groups."""
    return DOMAIN_TYPES[domain] if domain else DATASET_TYPES
