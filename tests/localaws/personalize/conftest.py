"""The endpoint with a local Personalize that its tests share, and a trained version."""

from collections.abc import Iterator

import pytest

from localaws.http.endpoint import Endpoint
from localaws.personalize import Personalize, Quotas

from .account import ACCOUNT, INTERACTIONS, REGION, Account, avro, events


@pytest.fixture(scope="package")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    endpoint = Endpoint(account=ACCOUNT, region=REGION)
    service = Personalize(
        account=ACCOUNT,
        region=REGION,
        s3=lambda role: endpoint.client("s3"),
        cloudwatch=lambda role: endpoint.client("cloudwatch"),
        directory=tmp_path_factory.mktemp("personalize"),
        # One account for all tests of the package, which import little.
        quotas=Quotas(dataset_groups=100, solutions=40, incremental_interactions=1),
    )
    endpoint.mount("personalize", service)
    with endpoint:
        account = Account(endpoint)
        account.s3.create_bucket(
            Bucket="data", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield account
        service.close()


@pytest.fixture(scope="package")
def trained(account: Account) -> dict[str, str]:
    """Return a data set group with data, a solution and an ACTIVE version."""
    schema = account.schema("events", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    group = account.group("labbase")
    dataset = account.dataset("labbase", "Interactions", schema)
    job = account.load("first", dataset, account.put("events/1.csv", events()))
    assert job["status"] == "ACTIVE"
    solution = account.solution("labbase", group, "aws-user-personalization")
    version = account.train(solution, name="first")
    assert version["status"] == "ACTIVE"
    return {
        "schema": schema,
        "group": group,
        "dataset": dataset,
        "solution": solution,
        "version": version["solutionVersionArn"],
    }
