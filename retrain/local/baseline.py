"""The popularity baseline: the same for everybody, to stand beside the metrics of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrain.local.stack import Stack


def train_baseline(stack: Stack) -> str:
    """Train it in the deployed dataset group and return its solution version's ARN.

    Raises:
        StackError: the solution or its version is CREATE FAILED.
    """
    config, personalize = stack.config, stack.client("personalize")
    solution = personalize.create_solution(
        name=f"{config.solution_name[:52]}-popularity",
        datasetGroupArn=config.dataset_group_arn,
        recipeArn=f"arn:{config.partition}:personalize:::recipe/aws-popularity-count",
        performAutoTraining=False,
    )["solutionArn"]
    stack.wait_until_active(lambda: personalize.describe_solution(solutionArn=solution), "solution")
    version: str = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    stack.wait_until_active(
        lambda: personalize.describe_solution_version(solutionVersionArn=version), "solutionVersion"
    )
    return version
