"""SageMaker's models that runs have left: each makes one, and a run that fails does not delete it.

Only reads: ListModels. Whether a model is the deployment's own, its tag says, which is read before
anything is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from workflow.config import Config
from workflow.definition.own_models.jobs import name_prefix
from workflow.deployment.account import Clients, explain_error
from workflow.deployment.resources import Resource
from workflow.errors import DeployError


def models_of_runs(config: Config, clients: Clients) -> Iterator[Resource]:
    """Yield the models that have the names of those of runs.

    Raises:
        DeployError: If the models cannot be listed.
    """
    prefixes = tuple(name_prefix(config, model) for model in config.sagemaker_models)
    if not prefixes:
        return
    try:
        paginator = clients("sagemaker").get_paginator("list_models")
        pages = list(paginator.paginate(NameContains=f"{config.name}-", SortBy="Name"))
    except (ClientError, BotoCoreError) as error:
        raise DeployError(explain_error(error, "sagemaker", "*")) from error
    listed = [model["ModelName"] for page in pages for model in page["Models"]]
    names = [name for name in listed if name.startswith(prefixes)]
    for number, name in enumerate(names, start=1):
        yield Resource(f"ModelOfRun{number}", "AWS::SageMaker::Model", name, {"ModelName": name})
