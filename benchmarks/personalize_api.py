"""The local Personalize through boto3: each figure beside its limit or a peer in the same run.

    python benchmarks/personalize_api.py [--rows 1000000] [--items 50000] [--users 100000]

Import of many interactions against pandas reading the same file; training and batch inference
against bare implicit on the same matrix; control-plane calls and get_recommendations over HTTP
against their limits.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from implicit.cpu.als import AlternatingLeastSquares
from recommenders_speed import bare_model, resident
from threadpoolctl import threadpool_limits

from localaws.http.endpoint import Endpoint
from localaws.personalize import Personalize
from recommenders import Interactions
from recommenders.models.transitions import transitions

ACCOUNT, REGION = "123456789012", "ap-northeast-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/personalize"
RECIPE = "arn:aws:personalize:::recipe/aws-user-personalization-v2"
COLUMNS = (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))


def events(rows: int, users: int, items: int) -> bytes:
    """Return interactions as CSV: skewed popularity, tastes by blocks of users and items."""
    random = np.random.default_rng(0)
    user = random.integers(0, users, rows)
    taste = (random.zipf(1.3, rows) - 1) % (items // 10)
    item = (user % 10) * (items // 10) + taste
    stamps = np.sort(random.integers(1_700_000_000, 1_716_000_000, rows))
    frame = pd.DataFrame({"USER_ID": user, "ITEM_ID": item, "TIMESTAMP": stamps})
    return frame.to_csv(index=False).encode()


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def median_ms(call: Callable[[], Any], times: int = 200) -> float:
    """Return the median of many calls, in milliseconds."""
    return statistics.median(seconds(call) for _ in range(times)) * 1_000


def until_active(describe: Callable[..., dict[str, Any]], member: str, arn: str) -> float:
    """Wait until a resource is ACTIVE; return how long that took, to about a hundredth.

    Raises:
        RuntimeError: it failed.
    """
    begun = time.perf_counter()
    while True:
        found = describe(**{f"{member}Arn": arn})[member]
        if found["status"] == "ACTIVE":
            return time.perf_counter() - begun
        if found["status"].endswith("FAILED"):
            raise RuntimeError(found["failureReason"])
        time.sleep(max(0.01, (time.perf_counter() - begun) / 100))


def report(what: str, value: float, unit: str, beside: float, peer: str) -> None:
    """Print a figure, what it is measured against, and the ratio."""
    print(
        f"| {what} | {value:,.2f} {unit} | {beside:,.2f} {unit} ({peer}) | {value / beside:.2f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    asked = parser.parse_args()
    text = events(asked.rows, asked.users, asked.items)
    print(f"{asked.rows:,} interactions, {asked.users:,} users, {asked.items:,} items")
    print("| what | measured | against | ratio |\n|---|---|---|---|")
    with personalize_served() as endpoint:
        measure(endpoint, text, asked)


@contextmanager
def personalize_served(**more: Any) -> Iterator[Endpoint]:
    """Serve S3 and a local Personalize, which keeps nothing.

    Args:
        more: what `Personalize` takes besides.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        Endpoint(account=ACCOUNT, region=REGION) as endpoint,
    ):
        service = Personalize(
            account=ACCOUNT,
            region=REGION,
            s3=lambda role: endpoint.client("s3"),
            directory=Path(directory),
            **more,
        )
        endpoint.mount("personalize", service)
        try:
            yield endpoint
        finally:
            service.close()


def measure(endpoint: Endpoint, text: bytes, asked: argparse.Namespace) -> None:
    """Import, train, serve and infer; print each figure."""
    personalize, s3 = endpoint.client("personalize"), endpoint.client("s3")
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket="data", CreateBucketConfiguration=where)
    s3.put_object(Bucket="data", Key="events.csv", Body=text)
    group = personalize.create_dataset_group(name="g")["datasetGroupArn"]
    until_active(personalize.describe_dataset_group, "datasetGroup", group)
    fields = [{"name": name, "type": kind} for name, kind in COLUMNS]
    avro = {
        "type": "record",
        "name": "Interactions",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": fields,
        "version": "1.0",
    }
    schema = personalize.create_schema(name="s", schema=json.dumps(avro))["schemaArn"]
    dataset = personalize.create_dataset(
        name="d", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    until_active(personalize.describe_dataset, "dataset", dataset)

    types = {"USER_ID": "str", "ITEM_ID": "str", "TIMESTAMP": "int64"}
    peer = seconds(lambda: pd.read_csv(io.BytesIO(text), dtype=types))
    job = personalize.create_dataset_import_job(
        jobName="j", datasetArn=dataset, dataSource={"dataLocation": "s3://data/events.csv"},
        roleArn=ROLE,
    )["datasetImportJobArn"]  # fmt: skip
    took = until_active(personalize.describe_dataset_import_job, "datasetImportJob", job)
    report("import", took, "s", peer, "pandas.read_csv; limit 3")

    describe = median_ms(lambda: personalize.describe_dataset(datasetArn=dataset))
    report("describe_dataset, median", describe, "ms", 5.0, "limit")
    listing = median_ms(lambda: personalize.list_datasets(datasetGroupArn=group))
    report("list_datasets, median", listing, "ms", 5.0, "limit")

    solution = personalize.create_solution(
        name="s", datasetGroupArn=group, recipeArn=RECIPE, performAutoTraining=False
    )["solutionArn"]
    until_active(personalize.describe_solution, "solution", solution)
    data, bare, fit = peer_trained(text)
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    took = until_active(personalize.describe_solution_version, "solutionVersion", version)
    report("training with its metrics", took, "s", 2 * fit, "two bare fits with transitions")

    campaign = personalize.create_campaign(
        name="c", solutionVersionArn=version, minProvisionedTPS=1
    )
    until_active(personalize.describe_campaign, "campaign", campaign["campaignArn"])
    runtime, users = endpoint.client("personalize-runtime"), iter(range(10_000))
    recommend = median_ms(
        lambda: runtime.get_recommendations(
            campaignArn=campaign["campaignArn"], userId=str(next(users)), numResults=25
        )
    )
    report("get_recommendations, median", recommend, "ms", 10.0, "limit")

    lines = "".join(f'{{"userId": "{user}"}}\n' for user in range(asked.users))
    s3.put_object(Bucket="data", Key="in.json", Body=lines.encode())
    batch = personalize.create_batch_inference_job(
        jobName="b",
        solutionVersionArn=version,
        roleArn=ROLE,
        jobInput={"s3DataSource": {"path": "s3://data/in.json"}},
        jobOutput={"s3DataDestination": {"path": "s3://data/out/"}},
    )["batchInferenceJobArn"]
    with Memory() as memory:
        took = until_active(personalize.describe_batch_inference_job, "batchInferenceJob", batch)
    rate = asked.users / took
    report("batch inference, N=25", rate, "users/s", 4_000.0, "least")
    some = np.arange(min(20_000, data.n_users))
    matrix = data.matrix()[some]
    alone = seconds(lambda: bare.recommend(some, matrix, N=25, filter_already_liked_items=False))
    report("batch inference, N=25", rate, "users/s", len(some) / alone, "bare implicit; least 0.5")
    report("its memory, first tenth", memory.most(0.1), "GB", 1.0, "limit")
    report("its memory, nine tenths", memory.most(0.9), "GB", 1.0, "limit")
    report("with S3's copy of the output", memory.most(1.0), "GB", 1.0, "limit")


def peer_trained(text: bytes) -> tuple[Interactions, AlternatingLeastSquares, float]:
    """Return the events, implicit's own model of them, and the seconds of its fit.

    What the transitions take, which implicit does not have, is in the seconds.
    """
    frame = pd.read_csv(io.BytesIO(text), dtype={"USER_ID": "str", "ITEM_ID": "str"})
    data = Interactions.from_events(*(frame[name].tolist() for name, _ in COLUMNS))
    bare, matrix = bare_model(), data.matrix()
    with threadpool_limits(1, "blas"):
        took = seconds(lambda: bare.fit(matrix, show_progress=False))
    return data, bare, took + seconds(lambda: transitions(data))


class Memory:
    """Watches by how much the process grows while something is done."""

    def __enter__(self) -> Self:
        self._before, self._held, self._done = resident(), [0], threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    def most(self, part: float) -> float:
        """Return the most so far when this part of the time was over, in GB."""
        return max(self._held[: round(len(self._held) * part) + 1]) / 2**30

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self._held.append(resident() - self._before)


if __name__ == "__main__":
    main()
