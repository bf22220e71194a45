"""Amazon Personalize's quotas, as documented on 2025-11-01; the only place where they stand.

https://docs.aws.amazon.com/personalize/latest/dg/limits.html
An account whose quotas were raised is told so: ``Personalize(..., quotas=Quotas(campaigns=20))``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from localaws.errors import suggestion


@dataclass(frozen=True)
class Quotas:
    """How much an account may have.

    Args:
        schemas: In a region.
        dataset_groups: In a region.
        solutions: In a dataset group.
        campaigns: In a dataset group.
        recommenders: In a dataset group.
        filters: In a dataset group.
        filter_fields: Distinct dataset fields of all filters of a dataset group.
        event_trackers: In a dataset group.
        metric_attributions: In a dataset group.
        metrics: Of a metric attribution.
        pending_imports: Dataset import jobs that are pending or in progress in a region.
        pending_exports: Dataset export jobs, the same.
        pending_batch_inferences: Batch inference jobs, the same.
        pending_batch_segments: Batch segment jobs, the same.
        pending_trainings: Solution versions, the same.
        pending_deletions: Data deletion jobs of a dataset group, the same.
        tags: Of a resource.
        import_interactions: Fewest rows of a FULL import of interactions.
        incremental_interactions: Fewest rows of an INCREMENTAL one.
        results: Most recommendations in one answer.
        results_with_metadata: The same, if the answer tells of columns of Items.
        ranked: Most items to rank in one request.
        actions: Most actions in one answer.
        metadata_columns: Most columns of Items in one answer.
        segment_users: Most users of a segment.
        item_queries: Most lines of an input file of the item-affinity recipe.
        attribute_queries: Most lines of an input file of the item-attribute-affinity recipe.
        event_bytes: Largest event of PutEvents.
    """

    schemas: int = 500
    dataset_groups: int = 5
    solutions: int = 10
    campaigns: int = 5
    recommenders: int = 5
    filters: int = 30
    filter_fields: int = 20
    event_trackers: int = 1
    metric_attributions: int = 1
    metrics: int = 10
    pending_imports: int = 5
    pending_exports: int = 5
    pending_batch_inferences: int = 5
    pending_batch_segments: int = 5
    pending_trainings: int = 20
    pending_deletions: int = 5
    tags: int = 50
    import_interactions: int = 1_000
    incremental_interactions: int = 1_000
    results: int = 500
    results_with_metadata: int = 50
    ranked: int = 500
    actions: int = 100
    metadata_columns: int = 10
    segment_users: int = 5_000_000
    item_queries: int = 500
    attribute_queries: int = 10
    event_bytes: int = 10_240

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Self:
        """Read quotas that differ from the documented ones, e.g. ``campaigns=20``.

        Raises:
            ValueError: If one is no quota, or no whole number.
        """
        names = [field.name for field in fields(cls)]
        given: dict[str, int] = {}
        for text in texts:
            name, _, number = text.partition("=")
            if name not in names:
                hint = suggestion(name, names, f"they are {', '.join(names)}")
                raise ValueError(f"{text!r}: there is no quota {name}; {hint}")
            if not (number.isascii() and number.isdigit()):
                raise ValueError(f"{text!r}: write {name}=NUMBER, e.g. {name}=20")
            given[name] = int(number)
        return cls(**given)

    def of(self, name: str) -> int:
        """The quota of a name in the table of kinds, e.g. ``campaigns``."""
        return int(getattr(self, name))
