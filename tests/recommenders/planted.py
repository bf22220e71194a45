"""Sample data that the tests share: four groups of users, each with items of its own."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recommenders import (
    Affinity,
    Cosine,
    Hybrid,
    Interactions,
    Metadata,
    Popularity,
    Recommender,
    Trending,
)

MODELS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "trending": lambda: Trending(interval=1_000_000),
    "cosine": lambda: Cosine(neighbours=20),
    "hybrid": lambda: Hybrid(factors=8, iterations=5, seed=3),
    "affinity": lambda: Affinity(factors=8, iterations=5, seed=3),
}


def planted(*, users: int = 240, items: int = 60, repeats: float = 0.0) -> Interactions:
    """Return events of four groups; in a group, users mostly take items in their order."""
    random = np.random.default_rng(7)
    size = items // 4
    events: list[tuple[str, str, int]] = []
    for user in range(users):
        at, past = int(random.integers(size)), list[int]()
        for step in range(int(random.integers(3, 12))):
            at = (at + 1) % size
            item = at + size * (user % 4) if random.random() < 0.8 else int(random.integers(items))
            if past and random.random() < repeats:
                item = past[-1]
            elif item in past:
                continue
            past.append(item)
            events.append((f"u{user:03}", f"p{item:02}", 1_700_000_000 + 60 * step))
    return Interactions.from_events(*zip(*events, strict=True), catalogue=["cold-1", "cold-2"])


def recommendations(
    model: Recommender, users: list[str], n: int, block_size: int = 256, workers: int = 1
) -> tuple[list[str], list[list[str]], NDArray[np.float32]]:
    """Return users, items and scores of all blocks."""
    blocks = list(model.recommend(users, n, block_size=block_size, workers=workers))
    return (
        [user for block in blocks for user in block.users],
        [row for block in blocks for row in block.items.tolist()],
        np.concatenate([block.scores for block in blocks]),
    )


def with_metadata(data: Interactions) -> Interactions:
    """Return the events with the groups as metadata of items and of half of the users."""
    items = data.item_ids.tolist()
    groups = [f"g{int(item[1:]) // 15}" if item[0] == "p" else f"g{item[-1]}" for item in items]
    users = [*data.user_ids[::2].tolist(), "newcomer"]
    tastes = [f"t{int(user[1:]) % 4}" for user in users[:-1]]
    return Interactions.from_events(
        data.user_ids[data.users].tolist(),
        data.item_ids[data.items].tolist(),
        data.timestamps,
        item_metadata=Metadata.of(
            items,
            categories={"GROUP": groups},
            created=[1_700_000_000 if i.startswith("p") else 1_700_009_000 for i in items],
        ),
        user_metadata=Metadata.of(users, categories={"TASTE": [*tastes, "t2"]}),
    )
