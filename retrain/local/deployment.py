"""Deployment to the local AWS: the same plan and steps as on AWS, without the waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.deliver_recommendations import EXPIRES, SORT_KEY
from localaws.errors import LocalAwsError
from workflow.config import Config
from workflow.deployment.account import Clients
from workflow.deployment.deploy import apply, plan
from workflow.errors import DeployError
from workflow.personalize import FAILED_STATUSES
from workflow.state_machine import RetrainingWorkflow, build_workflow


class LocalDeploymentError(LocalAwsError):
    """A resource of the workflow, or the popularity baseline, cannot be created."""


def deploy(config: Config, clients: Clients) -> RetrainingWorkflow:
    """Deploy a configuration, and return its workflow, ready to be executed.

    Raises:
        LocalDeploymentError: If the local AWS refuses a resource.
    """
    try:
        apply(
            plan(config, clients),
            clients,
            now=datetime.now(UTC),
            # What takes minutes on AWS takes milliseconds here.
            sleep=lambda seconds: time.sleep(seconds / 100),
        )
    except (BotoCoreError, ClientError, DeployError) as error:
        raise LocalDeploymentError(
            f"the workflow cannot be deployed: {error}; correct that name or setting in the"
            " configuration"
        ) from error
    workflow = build_workflow(config, client=clients("stepfunctions"))
    workflow.state_machine_arn = config.state_machine_arn
    return workflow


def create_table(config: Config, clients: Clients) -> None:
    """Create the table of DynamoDB that the list goes into, which on AWS is there already."""
    delivery = config.delivery
    if delivery is None or delivery.to != "dynamodb":
        return
    keys = {"ITEM_ID" if config.are_related else "USER_ID": "HASH", SORT_KEY: "RANGE"}
    dynamodb = clients("dynamodb")
    dynamodb.create_table(
        TableName=delivery.table,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_time_to_live(
        TableName=delivery.table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES},
    )


def train_baseline(config: Config, clients: Clients) -> str:
    """Train the popularity baseline in the deployed dataset group.

    It recommends the same items to everybody; a run's metrics are compared with its metrics.

    Returns:
        The ARN of its solution version.

    Raises:
        LocalDeploymentError: If the solution or its version fails, or is stopped.
    """
    personalize = clients("personalize")
    solution: str = personalize.create_solution(
        name=f"{config.solution_name[:52]}-popularity",
        datasetGroupArn=config.dataset_group_arn,
        recipeArn=f"arn:{config.partition}:personalize:::recipe/aws-popularity-count",
        performAutoTraining=False,
        tags=config.personalize_tags,
    )["solutionArn"]
    _wait_until_active(
        solution, lambda: personalize.describe_solution(solutionArn=solution)["solution"]
    )
    version: str = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    _wait_until_active(
        version,
        lambda: personalize.describe_solution_version(solutionVersionArn=version)[
            "solutionVersion"
        ],
    )
    return version


def _wait_until_active(arn: str, describe: Callable[[], Any]) -> None:
    while (resource := describe())["status"] != "ACTIVE":
        if resource["status"] in FAILED_STATUSES:
            reason = resource.get("failureReason", "no reason is given")
            raise LocalDeploymentError(f"{arn} is {resource['status']}: {reason}")
        time.sleep(0.02)
