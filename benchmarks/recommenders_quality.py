"""Quality of the recommenders on MovieLens-100k, beside the figures by which they were chosen.

    python benchmarks/recommenders_quality.py [--wheel recbole-1.2.1-py3-none-any.whl]

The data come from the wheel of `recbole`, which is downloaded unless `--wheel` names it; their
licence forbids passing them on. The whole catalogue is ranked, without the items of the user's
history. Three protocols: the newest 10 % of each user's events are the target; a tenth of the users
is held out, as in Amazon Personalize; the last event of each user is the target.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommenders import Cosine, Histories, Hybrid, Interactions, Popularity, Recommender
from recommenders.evaluation.items import hold_out, ranking_metrics
from recommenders.evaluation.names import DEPTH
from recommenders.top_k import best_eligible

MODELS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "item cosine K=50": lambda: Cosine(neighbours=50),
    "hybrid": Hybrid,
}
EXPECTED = {
    "popularity": (0.071, 0.150, 0.057, 0.09, 0.063, 0.025, 0.050),
    "item cosine K=50": (0.106, 0.209, 0.076, 0.23, 0.115, 0.030, 0.064),
    "hybrid": (0.180, 0.321, 0.124, 0.64, 0.190, 0.097, 0.174),
}
FIGURES = ("NDCG@10", "MRR@25", "P@10", "coverage", "held out: NDCG@10", "one: NDCG@10", "HR@10")
EVENTS = "recbole/dataset_example/ml-100k/ml-100k.inter"


def movielens(wheel: Path | None) -> Interactions:
    """Return the events of the wheel; download it if it is None."""
    with tempfile.TemporaryDirectory() as directory:
        if wheel is None:
            command = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", directory)
            subprocess.run([*command, "recbole==1.2.1"], check=True)
            (wheel,) = Path(directory).glob("*.whl")
        text = zipfile.ZipFile(wheel).read(EVENTS).decode()
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    # Many events of a user have the same second. The expected figures were measured with these in
    # the order of the items' numbers; in the order of the file all models score higher.
    rows.sort(key=lambda row: int(row[1]))
    users, items, _ratings, times = zip(*rows, strict=True)
    return Interactions.from_events(users, items, [int(float(time)) for time in times])


def measure(
    model: Recommender, inputs: Histories, targets: Histories
) -> tuple[dict[str, float], float, float]:
    """Return the metrics of lists without known items, their coverage, and the hit rate at 10."""
    hits = np.zeros((len(inputs), DEPTH), dtype=bool)
    covered = np.zeros(len(model.item_ids), dtype=bool)
    for start in range(0, len(inputs), 256):
        block = inputs.block(start, min(start + 256, len(inputs)))
        is_new = np.ones((len(block), len(model.item_ids)), dtype=bool)
        is_new[block.rows, block.items] = False
        lists, _scores, counts = best_eligible(model.scores(block).copy(), is_new, DEPTH)
        for row, (items, count) in enumerate(zip(lists, counts, strict=True)):
            hits[start + row, :count] = np.isin(items[:count], targets[start + row])
            covered[items[:count]] = True
    relevant = np.array([len(np.unique(targets[row])) for row in range(len(targets))])
    hit_rate = float(hits[:, :10].any(axis=1).mean())
    return ranking_metrics(hits, relevant), float(covered.mean()), hit_rate


def split(
    data: Interactions, newest: Callable[[NDArray[np.int64]], NDArray[np.int64]]
) -> tuple[Interactions, Histories, Histories]:
    """Return the training data, and each user's input and target, the `newest` so many events."""
    histories = data.histories
    target = histories.ages < newest(histories.lengths)[histories.rows]
    train = data.of_events(~target)
    return train, train.histories, data.of_events(target).histories


def figures_of(make: Callable[[], Recommender], data: Interactions) -> tuple[list[float], float]:
    """Return the seven figures of a model, and the seconds of its fit on nine tenths."""
    train, inputs, targets = split(data, lambda lengths: np.maximum(1, lengths // 10))
    begun = time.perf_counter()
    model = make().fit(train)
    seconds = time.perf_counter() - begun
    metrics, coverage, _ = measure(model, inputs, targets)
    ndcg = "normalized_discounted_cumulative_gain_at_10"
    figures = [metrics[ndcg], metrics["mean_reciprocal_rank_at_25"]]
    figures += [metrics["precision_at_10"], coverage]
    held_out = []
    for seed in range(5):
        holdout = hold_out(data, seed=seed)
        model = make().fit(holdout.train)
        held_out.append(measure(model, holdout.inputs, holdout.targets)[0][ndcg])
    train, inputs, targets = split(data, np.ones_like)
    metrics, _, hit_rate = measure(make().fit(train), inputs, targets)
    return [*figures, float(np.mean(held_out)), metrics[ndcg], hit_rate], seconds


def main() -> None:
    """Print each model's figures, measured and expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path)
    data = movielens(parser.parse_args().wheel)
    print(f"{data.n_users} users, {data.n_items} items, {data.n_events} events")
    print(f"| model | {' | '.join(FIGURES)} | fit s |")
    print("|---|" + "---|" * (len(FIGURES) + 1))
    for name, make in MODELS.items():
        figures, seconds = figures_of(make, data)
        pairs = (
            f"{figure:.3f} ({expected:.3f})"
            for figure, expected in zip(figures, EXPECTED[name], strict=True)
        )
        print(f"| {name} | {' | '.join(pairs)} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
