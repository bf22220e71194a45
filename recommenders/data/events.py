"""Events of users since the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Event(NamedTuple):
    """An event since the training.

    Attributes:
        item_id: The item; one that the model does not know is left out.
        event_type: For example `"click"`, or None; a type that the model was not trained on is
            left out.
        timestamp: UTC epoch seconds.
    """

    item_id: str
    event_type: str | None
    timestamp: int


LiveEvents: TypeAlias = Mapping[str, Sequence[Event | tuple[str, str | None, int]]]
"""Events since the training by user id, in any order; they count as newer than those trained on."""
