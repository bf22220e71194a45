"""Functions of a deployment that its configuration does not have any more.

Only reads: ListFunctions. Whether a function is the deployment's own, its tag says, which is read
before anything is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from workflow.config import Config
from workflow.deployment.account import Clients, explain_error
from workflow.deployment.resources import Resource
from workflow.errors import DeployError
from workflow.extensions import function_id


def former_functions(config: Config, clients: Clients) -> Iterator[Resource]:
    """Yield functions that have the name and description of a deployed one, and are none now.

    Raises:
        DeployError: If the functions cannot be listed.
    """
    now = {config.function(name) for name in config.function_names}
    prefix, described = f"{config.name}-", f"{config.state_machine}: "
    try:
        pages = list(clients("lambda").get_paginator("list_functions").paginate())
    except (ClientError, BotoCoreError) as error:
        raise DeployError(explain_error(error, "lambda", "*")) from error
    for function in (function for page in pages for function in page["Functions"]):
        name = function["FunctionName"]
        of_deployment = function.get("Description", "").startswith(described)
        if name not in now and name.startswith(prefix) and of_deployment:
            yield Resource(
                f"{function_id(name.removeprefix(prefix))}Function",
                "AWS::Lambda::Function",
                name,
                {"FunctionName": name, "Code": {"S3Bucket": config.bucket, "S3Key": ""}},
            )
