"""The local Personalize through boto3: each figure beside its limit or a peer in the same run.

    python benchmarks/personalize_api.py [--rows 1000000] [--items 50000] [--users 100000]

Import of many interactions against pandas reading the same file; training and batch inference,
also of many items with a filter, against bare implicit on the same matrix; control-plane calls and
get_recommendations over HTTP against their limits.
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
COLUMNS = {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long", "EVENT_TYPE": "string"}
FILTER = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")'
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [{"name": name, "type": avro_type} for name, avro_type in COLUMNS.items()],
    "version": "1.0",
}


def events(rows: int, users: int, items: int) -> bytes:
    """Return interactions as CSV: skewed popularity, ten groups of users with their own items."""
    random = np.random.default_rng(0)
    user = random.integers(0, users, rows)
    rank = (random.zipf(1.3, rows) - 1) % (items // 10)
    item = (user % 10) * (items // 10) + rank
    stamps = np.sort(random.integers(1_700_000_000, 1_716_000_000, rows))
    kind = np.where(random.random(rows) < 0.1, "apply", "view")
    frame = pd.DataFrame(
        {"USER_ID": user, "ITEM_ID": item, "TIMESTAMP": stamps, "EVENT_TYPE": kind}
    )
    return frame.to_csv(index=False).encode()


def seconds(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def median_ms(call: Callable[[], Any], times: int = 200) -> float:
    """Return the median of many calls, in milliseconds."""
    return statistics.median(seconds(call) for _ in range(times)) * 1_000


def until_active(describe: Callable[..., dict[str, Any]], member: str, arn: str) -> float:
    """Poll until a resource is ACTIVE; return the seconds that it took, to about a hundredth.

    Raises:
        RuntimeError: If it failed.
    """
    begun = time.perf_counter()
    while True:
        resource = describe(**{f"{member}Arn": arn})[member]
        if resource["status"] == "ACTIVE":
            return time.perf_counter() - begun
        if resource["status"].endswith("FAILED"):
            raise RuntimeError(resource["failureReason"])
        time.sleep(max(0.01, (time.perf_counter() - begun) / 100))


def create_dataset(personalize: Any, name: str, schema: str) -> tuple[str, str]:
    """Create a dataset group with a dataset of interactions; return the ARNs of both."""
    group = personalize.create_dataset_group(name=name)["datasetGroupArn"]
    until_active(personalize.describe_dataset_group, "datasetGroup", group)
    dataset = personalize.create_dataset(
        name=name, schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    until_active(personalize.describe_dataset, "dataset", dataset)
    return group, dataset


def import_file(personalize: Any, name: str, dataset: str, uri: str) -> float:
    """Import a CSV file; return the seconds that it took."""
    job = personalize.create_dataset_import_job(
        jobName=name, datasetArn=dataset, dataSource={"dataLocation": uri}, roleArn=ROLE
    )["datasetImportJobArn"]
    return until_active(personalize.describe_dataset_import_job, "datasetImportJob", job)


def create_solution(
    personalize: Any, name: str, group: str, recipe: str, parameters: dict[str, str]
) -> str:
    """Create a solution; return its ARN."""
    solution: str = personalize.create_solution(
        name=name, datasetGroupArn=group, performAutoTraining=False,
        recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
        solutionConfig={"algorithmHyperParameters": parameters},
    )["solutionArn"]  # fmt: skip
    until_active(personalize.describe_solution, "solution", solution)
    return solution


def train_version(personalize: Any, solution: str) -> tuple[str, float]:
    """Train a version of a solution; return its ARN and the seconds that it took."""
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    describe = personalize.describe_solution_version
    return version, until_active(describe, "solutionVersion", version)


def create_campaign(personalize: Any, name: str, version: str) -> str:
    """Create a campaign of a solution version; return its ARN."""
    response = personalize.create_campaign(name=name, solutionVersionArn=version)
    campaign: str = response["campaignArn"]
    until_active(personalize.describe_campaign, "campaign", campaign)
    return campaign


def run_batch_inference(
    personalize: Any, name: str, version: str, uri: str, n: int, **options: str
) -> float:
    """Run batch inference on `uri/in`, with the output beside it; return the seconds."""
    job = personalize.create_batch_inference_job(
        **options, jobName=name, solutionVersionArn=version, roleArn=ROLE, numResults=n,
        jobInput={"s3DataSource": {"path": f"{uri}/in"}},
        jobOutput={"s3DataDestination": {"path": f"{uri}/"}},
    )["batchInferenceJobArn"]  # fmt: skip
    return until_active(personalize.describe_batch_inference_job, "batchInferenceJob", job)


def report(label: str, value: float, unit: str, reference: float, peer: str) -> None:
    """Print a figure, the limit or the peer's figure, and their ratio."""
    ratio = value / reference
    print(f"| {label} | {value:,.2f} {unit} | {reference:,.2f} {unit} ({peer}) | {ratio:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    arguments = parser.parse_args()
    text = events(arguments.rows, arguments.users, arguments.items)
    print(
        f"{arguments.rows:,} interactions, {arguments.users:,} users, {arguments.items:,} items\n"
        "| what | measured | against | ratio |\n|---|---|---|---|"
    )
    with serve_personalize() as endpoint:
        measure(endpoint, text, arguments.users)


@contextmanager
def serve_personalize(**options: Any) -> Iterator[Endpoint]:
    """Serve S3 and a local Personalize for the length of a block.

    Args:
        options: Further arguments of `Personalize`.
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
            **options,
        )
        endpoint.mount("personalize", service)
        try:
            yield endpoint
        finally:
            service.close()


def measure(endpoint: Endpoint, text: bytes, n_users: int) -> None:
    """Import, train, recommend and run batch inference; print each figure."""
    personalize, s3 = endpoint.client("personalize"), endpoint.client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="data", Key="events.csv", Body=text)
    schema = personalize.create_schema(name="s", schema=json.dumps(SCHEMA))["schemaArn"]
    group, dataset = create_dataset(personalize, "d", schema)
    types = {"USER_ID": "str", "ITEM_ID": "str", "TIMESTAMP": "int64", "EVENT_TYPE": "str"}
    peer = seconds(lambda: pd.read_csv(io.BytesIO(text), dtype=types))
    took = import_file(personalize, "j", dataset, "s3://data/events.csv")
    report("import", took, "s", peer, "pandas.read_csv; limit 3")

    describe = median_ms(lambda: personalize.describe_dataset(datasetArn=dataset))
    report("describe_dataset, median", describe, "ms", 5.0, "limit")
    listing = median_ms(lambda: personalize.list_datasets(datasetGroupArn=group))
    report("list_datasets, median", listing, "ms", 5.0, "limit")

    solution = create_solution(personalize, "s", group, "aws-user-personalization-v2", {})
    data, bare, fit = train_peer(text)
    version, took = train_version(personalize, solution)
    report("training with its metrics", took, "s", 2 * fit, "two bare fits with transitions")

    campaign = create_campaign(personalize, "c", version)
    runtime, users = endpoint.client("personalize-runtime"), iter(range(10_000))
    recommend = median_ms(
        lambda: runtime.get_recommendations(
            campaignArn=campaign, userId=str(next(users)), numResults=25
        )
    )
    report("get_recommendations, median", recommend, "ms", 10.0, "limit")

    lines = "".join(f'{{"userId": "{user}"}}\n' for user in range(n_users))
    s3.put_object(Bucket="data", Key="batch/in", Body=lines.encode())
    with Memory() as memory:
        took = run_batch_inference(personalize, "b", version, "s3://data/batch", 25)
    rate = n_users / took
    report("batch inference, N=25", rate, "users/s", 4_000.0, "least")
    some = np.arange(min(20_000, data.n_users))
    matrix = data.matrix()[some]
    alone = seconds(lambda: bare.recommend(some, matrix, N=25, filter_already_liked_items=False))
    report("batch inference, N=25", rate, "users/s", len(some) / alone, "bare implicit; least 0.5")

    created = personalize.create_filter(name="f", datasetGroupArn=group, filterExpression=FILTER)
    left_out = created["filterArn"]
    until_active(personalize.describe_filter, "filter", left_out)
    uri = "s3://data/batch"
    took = run_batch_inference(personalize, "f", version, uri, 100, filterArn=left_out)
    rate = n_users / took
    report("batch inference, N=100 and a filter", rate, "users/s", 4_000.0, "least")
    alone = seconds(lambda: bare.recommend(some, matrix, N=100, filter_already_liked_items=True))
    peer = "bare implicit with its own filter; least 0.5"
    report("batch inference, N=100 and a filter", rate, "users/s", len(some) / alone, peer)
    report("its memory, first tenth", memory.most(0.1), "GB", 1.0, "limit")
    report("its memory, nine tenths", memory.most(0.9), "GB", 1.0, "limit")
    report("with S3's copy of the output", memory.most(1.0), "GB", 1.0, "limit")


def train_peer(text: bytes) -> tuple[Interactions, AlternatingLeastSquares, float]:
    """Return the events, implicit's own model of them, and the seconds of its fit.

    The seconds include the counting of transitions, which implicit does not have.
    """
    frame = pd.read_csv(io.BytesIO(text), dtype={"USER_ID": "str", "ITEM_ID": "str"})
    data = Interactions.from_events(*(frame[name].tolist() for name in list(COLUMNS)[:3]))
    bare, matrix = bare_model(), data.matrix()
    with threadpool_limits(1, "blas"):
        took = seconds(lambda: bare.fit(matrix, show_progress=False))
    return data, bare, took + seconds(lambda: transitions(data))


class Memory:
    """A context manager that samples the growth of this process's memory."""

    def __enter__(self) -> Self:
        self._before, self._samples, self._done = resident(), [0], threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def most(self, share: float) -> float:
        """Return the largest growth in the first share of the time, in GB."""
        return max(self._samples[: round(len(self._samples) * share) + 1]) / 2**30

    def _sample(self) -> None:
        while not self._done.wait(0.05):
            self._samples.append(resident() - self._before)


if __name__ == "__main__":
    main()
