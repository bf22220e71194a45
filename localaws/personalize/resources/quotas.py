"""Amazon Personalize's quotas, as documented on 2025-11-01.

https://docs.aws.amazon.com/personalize/latest/dg/limits.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from localaws.errors import suggestion


@dataclass(frozen=True)
class Quotas:
    """The quotas of an account, AWS's own unless they were raised: `Quotas(campaigns=20)`.

    Jobs in progress count as pending.
    """

    # in a region
    schemas: int = 500
    dataset_groups: int = 5
    pending_imports: int = 5
    pending_exports: int = 5
    pending_batch_inferences: int = 5
    pending_batch_segments: int = 5
    pending_trainings: int = 20
    # in a dataset group
    solutions: int = 10
    campaigns: int = 5
    recommenders: int = 5
    filters: int = 30
    filter_fields: int = 20  # distinct dataset fields of all its filters
    event_trackers: int = 1
    metric_attributions: int = 1
    pending_deletions: int = 5
    # of one resource, request or file
    metrics: int = 10  # of a metric attribution
    tags: int = 50
    import_interactions: int = 1_000  # fewest rows of a FULL import of interactions
    incremental_interactions: int = 1_000  # fewest rows of an INCREMENTAL one
    results: int = 500
    results_with_metadata: int = 50  # results if the response has columns of Items
    metadata_columns: int = 10
    ranked: int = 500  # items of GetPersonalizedRanking
    actions: int = 100
    segment_users: int = 5_000_000
    item_queries: int = 500  # lines of an input file of the item-affinity recipe
    attribute_queries: int = 10  # lines of an input file of the item-attribute-affinity recipe
    event_bytes: int = 10_240  # of an event of PutEvents

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Self:
        """Read quotas that differ from the documented ones, e.g. `campaigns=20`.

        Raises:
            ValueError: If one is no quota, or no whole number.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, int] = {}
        for text in texts:
            name, _, number = text.partition("=")
            if name not in names:
                hint = suggestion(name, names, f"they are {', '.join(names)}")
                raise ValueError(f"{text!r}: there is no quota {name}; {hint}")
            if not (number.isascii() and number.isdigit()):
                raise ValueError(f"{text!r}: write {name}=NUMBER, e.g. {name}=20")
            values[name] = int(number)
        return cls(**values)
