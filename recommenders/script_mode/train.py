"""Train the hybrid on the channels of a SageMaker training job.

    python train.py --factors 64 --seed 0

Reads the CSV files of Amazon Personalize's data sets in `SM_CHANNEL_INTERACTIONS`, and in
`SM_CHANNEL_USERS` and `SM_CHANNEL_ITEMS` if they are there, and writes the model to
`SM_MODEL_DIR/hybrid`. `columns.json` beside this file says which columns are trained on. The
metrics of a hold-out, by Personalize's names, go to the log.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recommenders import Hybrid, Interactions, Metadata, evaluate

COLUMNS = Path(__file__).with_name("columns.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and save the model."""
    parameters = vars(_parser().parse_args(arguments))
    interactions = read_interactions(json.loads(COLUMNS.read_text("utf-8")))
    # More factors than items or users carry nothing.
    most = max(1, min(interactions.n_items, interactions.n_users))
    parameters["factors"] = min(parameters["factors"], most)
    print(  # noqa: T201
        f"{interactions.n_events} events of {interactions.n_users} users,"
        f" {interactions.n_items} items"
    )
    try:
        metrics = evaluate(lambda: Hybrid(**parameters), interactions, seed=parameters["seed"])
    except ValueError as error:
        metrics = {}
        print(f"not measured: {error}")  # noqa: T201
    for name, value in metrics.items():
        print(f"{name}={value:.6f}")  # noqa: T201
    Hybrid(**parameters).fit(interactions).save(Path(os.environ["SM_MODEL_DIR"], "hybrid"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--regularization", type=float, default=10.0)
    parser.add_argument("--alpha", type=float, default=5.0)
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--history_length", type=int, default=500)
    parser.add_argument("--sequence_length", type=int, default=32)
    parser.add_argument("--recency", type=lambda text: text.lower() == "true", default=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def read_interactions(columns: Mapping[str, Mapping[str, Sequence[str]]]) -> Interactions:
    """Return the data sets of the channels.

    Args:
        columns: Dataset type → `categories`, `numbers` and `texts` → names of columns.
    """
    events = _table("INTERACTIONS")
    items = _table("ITEMS")
    return Interactions.from_events(
        events["USER_ID"],
        events["ITEM_ID"],
        [int(time) for time in events["TIMESTAMP"]],
        catalogue=items.get("ITEM_ID", ()),
        item_metadata=_metadata(items, "ITEM_ID", columns.get("ITEMS", {})),
        user_metadata=_metadata(_table("USERS"), "USER_ID", columns.get("USERS", {})),
    )


def _metadata(
    table: Mapping[str, Sequence[str]], key: str, columns: Mapping[str, Sequence[str]]
) -> Metadata | None:
    if not table.get(key):
        return None

    def texts(kind: str) -> dict[str, list[str | None]]:
        return {name: [text or None for text in table[name]] for name in columns.get(kind, ())}

    created = table.get("CREATION_TIMESTAMP")
    return Metadata.of(
        table[key],
        categories=texts("categories"),
        numbers={
            name: [float(text) if text else None for text in table[name]]
            for name in columns.get("numbers", ())
        },
        texts=texts("texts"),
        created=[int(text) if text else None for text in created] if created else None,
    )


def _table(data_set: str) -> dict[str, list[str]]:
    """Return the columns of a channel's files; none if there is no such channel."""
    directory = os.environ.get(f"SM_CHANNEL_{data_set}")
    columns: dict[str, list[str]] = {}
    for path in sorted(Path(directory).rglob("*.csv")) if directory else ():
        for row in _rows(path):
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
    return columns


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:  # as Spark writes it
        yield from csv.DictReader(file, strict=True, doublequote=False, escapechar="\\")


if __name__ == "__main__":
    main()
