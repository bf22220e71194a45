"""Events of users since the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Event(NamedTuple):
    """One event since the training.

    Attributes:
        item_id: the item met; one that the model does not know is left out.
        event_type: for example `"click"`, or None; one that the model was not trained on is left
            out.
        timestamp: UTC epoch seconds.
    """

    item_id: str
    event_type: str | None
    timestamp: int


Live: TypeAlias = Mapping[str, Sequence[Event | tuple[str, str | None, int]]]
"""Events since the training by user id, in any order; they count as newer than those trained on."""
