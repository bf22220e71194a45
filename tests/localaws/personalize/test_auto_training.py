"""Automatic training: reported as on AWS, and done only if that is configured; quotas, updates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localaws.personalize import Personalize, Quotas

from .account import ACCOUNT, INTERACTIONS, REGION, avro, events
from .world import RECIPE, Bucket, World


class Dated(World):
    """A world whose clock is set by hand, and with small quotas."""

    def __init__(self, directory: Path) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.bucket = Bucket()
        self.arns = {}
        self.service = Personalize(
            account=ACCOUNT,
            region=REGION,
            s3=lambda role: self.bucket,
            directory=directory,
            clock=lambda: self.now,
            quotas=Quotas(solutions=2, import_interactions=100),
        )


def test_a_schedule_is_reported_and_followed_only_if_configured(tmp_path: Path) -> None:
    world = Dated(tmp_path)
    try:
        group = world.make("DatasetGroup", name="g")
        text = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        schema = world.make("Schema", name="s", schema=text)
        dataset = world.make(
            "Dataset", name="d", datasetType="Interactions", schemaArn=schema, datasetGroupArn=group
        )
        solution = world.make(
            "Solution", name="a", datasetGroupArn=group, recipeArn=f"{RECIPE}aws-popularity-count"
        )
        manual = world.make(
            "Solution",
            name="b",
            datasetGroupArn=group,
            recipeArn=f"{RECIPE}aws-popularity-count",
            performAutoTraining=False,
        )
        shown = world("DescribeSolution", solutionArn=solution)["solution"]
        assert shown["performAutoTraining"] is True
        assert world.service.train_due() == []  # there are no data yet

        world.bucket.objects["events.csv"] = events(1000).encode()
        world.make(
            "DatasetImportJob",
            jobName="j",
            datasetArn=dataset,
            dataSource={"dataLocation": "s3://data/events.csv"},
        )
        (first,) = world.service.train_due()
        world.settled("SolutionVersion", first)
        version = world("DescribeSolutionVersion", solutionVersionArn=first)["solutionVersion"]
        assert version["trainingType"] == "AUTOMATIC"
        assert version["solutionArn"] == solution
        world.now += timedelta(days=6)
        assert world.service.train_due() == []
        world.now += timedelta(days=1)
        assert len(world.service.train_due()) == 1

        world(
            "UpdateSolution",
            solutionArn=manual,
            performAutoTraining=True,
            solutionUpdateConfig={"autoTrainingConfig": {"schedulingExpression": "rate(2 days)"}},
        )
        while True:
            updated = world("DescribeSolution", solutionArn=manual)["solution"]
            if updated["latestSolutionUpdate"]["status"] == "ACTIVE":
                break
        assert updated["performAutoTraining"] is True
        assert updated["solutionConfig"] == {
            "autoTrainingConfig": {"schedulingExpression": "rate(2 days)"}
        }
        assert len(world.service.train_due()) == 1
        world.now += timedelta(days=2)
        assert len(world.service.train_due()) == 1

        status, answer = world.send(
            "CreateSolution",
            f'{{"name": "c", "datasetGroupArn": "{group}",'
            f' "recipeArn": "{RECIPE}aws-sims"}}'.encode(),
        )
        assert (status, answer["message"]) == (
            400,
            "The quota of 2 solutions is reached; delete one first.",
        )
        status, answer = world.send(
            "UpdateSolution",
            f'{{"solutionArn": "{manual}", "solutionUpdateConfig": {{"autoTrainingConfig":'
            ' {"schedulingExpression": "rate(31 days)"}}}'.encode(),
        )
        assert answer["message"] == (
            "autoTrainingConfig.schedulingExpression: 'rate(31 days)'; write rate(N days), N from"
            " 1 to 30"
        )
    finally:
        world.service.close()


def test_a_quota_that_aws_does_not_have_is_no_argument() -> None:
    with pytest.raises(TypeError):
        Quotas(trackers=2)  # type: ignore[call-arg]
