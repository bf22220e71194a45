"""The tables of retraining.toml for what a team adds: its workflow, its functions, permissions.

As those of `workflow.settings` they validate a user's file. What stands in the files that they name
is checked where it is packaged, in `workflow.deployment.function_sources`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BeforeValidator, Field

from workflow.names import function_problem
from workflow.settings import FUNCTIONS, BrokenRulesError, Rule, Settings

Action = Annotated[str, Field(pattern=r"^[a-z0-9-]+:[A-Za-z0-9*?]+$")]
ResourceArn = Annotated[str, Field(pattern=r"^(\*|arn:[a-z-]+:.+)$")]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
_ENVIRONMENT_BYTES = 4_096
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_RESERVED = frozenset(
    {"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION",
     "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
     "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
     "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY",
     "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT"}
)  # fmt: skip


class PermissionSettings(Settings):
    """What is allowed: actions of IAM, on which resources."""

    actions: list[Action] = Field(
        min_length=1, examples=[["s3:GetObject"]], description="of IAM; * stands for any letters"
    )
    resources: list[ResourceArn] = Field(
        min_length=1,
        examples=[["arn:aws:s3:::our-lists/*"]],
        description="ARNs, or * for actions that know no resources",
    )
    condition: dict[str, dict[str, str | list[str]]] = Field(
        {},
        examples=[{"StringEquals": {"aws:ResourceTag/team": "search"}}],
        description="under which it is allowed, as IAM writes it",
    )


def action_or_statement(value: Any) -> Any:
    """Return a statement's table; a bare action is short for one on all resources."""
    return {"actions": [value], "resources": ["*"]} if isinstance(value, str) else value


IntegrationName = Literal["lambda", "sdk"]
Permissions = list[Annotated[PermissionSettings, BeforeValidator(action_or_statement)]]


def own_file(value: str) -> str:
    """Return the path of a file of the project, as it is; nothing outside is packaged with it."""
    if value.startswith(("/", "~")):
        rule = "it is an absolute path, which another machine does not have"
        fix = "write it relative to the directory of the configuration"
        raise BrokenRulesError([((), rule, fix)])
    if ".." in PurePosixPath(value).parts:
        rule = "it is outside the project, which another machine does not have"
        raise BrokenRulesError([((), rule, "put the file beside or below the configuration")])
    return value


OwnFile = Annotated[str, AfterValidator(own_file)]


class WorkflowSettings(Settings):
    """The Python file that composes the workflow, and what its steps may call besides."""

    definition: OwnFile = Field(
        "",
        examples=["retraining.py"],
        description="file with a function build(config), beside or below this one; the"
        " packaged workflow if left out",
    )
    integration: IntegrationName = Field(
        "lambda",
        description="how Personalize's jobs are created and polled: lambda by functions, sdk by"
        " the state machine itself, which needs no functions for it and polls more often",
    )
    permissions: Permissions = Field(
        [],
        description="of the state machine's role, besides those that follow from the steps",
    )


def exact_requirement(value: str) -> str:
    """Return a requirement of one exact version, as it is."""
    fix = 'write NAME==VERSION, for example "humanize==4.9.0"'
    try:
        requirement = Requirement(value)
    except InvalidRequirement as error:
        raise BrokenRulesError(
            [((), f"pip cannot read it: {error}".splitlines()[0], fix)]
        ) from None
    versions = list(requirement.specifier)
    if requirement.url or len(versions) != 1 or not _is_exact(versions[0]):
        rule = "it names no exact version, so that the same commit would give another package later"
        raise BrokenRulesError([((), rule, fix)])
    return value


def _is_exact(version: Any) -> bool:
    return version.operator in {"==", "==="} and not version.version.endswith(".*")


class FunctionSettings(Settings):
    """A Lambda function of the team's own, deployed beside the packaged ones."""

    source: OwnFile = Field(
        min_length=1,
        examples=["functions/ask_editors.py"],
        description="Python file with handler(event, context), beside or below this one; modules"
        " beside it that it imports are packaged too",
    )
    memory: int = Field(256, ge=128, le=10_240, description="MB")
    timeout: int = Field(60, ge=1, le=900, description="seconds")
    environment: dict[str, str] = Field(
        {}, examples=[{"DESK": "tokyo"}], description="environment variables; no place for secrets"
    )
    requirements: list[Annotated[str, AfterValidator(exact_requirement)]] = Field(
        [],
        examples=[["humanize==4.9.0"]],
        description="packages of pure Python that pip puts beside the source, and what they"
        " require; boto3 is there",
    )
    permissions: Permissions = Field(
        [], description="of the role that all functions of the workflow share"
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield variables that Lambda does not take."""
        yield from _environment_faults(self.environment)


def _environment_faults(variables: Mapping[str, str]) -> Iterator[Rule]:
    for name in variables:
        if name in _RESERVED:
            yield ("environment", name), "Lambda sets this variable itself", "take another name"
        elif not _VARIABLE.fullmatch(name):
            rule = "it is no name of an environment variable"
            yield ("environment", name), rule, "use letters, digits and _, a letter first"
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > _ENVIRONMENT_BYTES:
        rule = f"the variables have {size:,} bytes; Lambda takes {_ENVIRONMENT_BYTES:,}"
        yield ("environment",), rule, "keep long values in a file of the source, or in S3"


def function_id(function: str) -> str:
    """Return the logical id of a function without its suffix, for example `GetStatus`."""
    return "".join(part.capitalize() for part in function.split("-"))


def function_name_faults(names: Mapping[str, str], taken: Mapping[str, str]) -> Iterator[Rule]:
    """Yield what is wrong with the names of a team's functions.

    Args:
        names: Each name, with the name under which it is deployed.
        taken: The same of the packaged functions.
    """
    owners = {deployed: name for name, deployed in taken.items()}
    for name, deployed in names.items():
        path = ("functions", name)
        if name in FUNCTIONS:
            rule = "a function of the package has this name"
            yield path, rule, f"take another one, such as own-{name}"
        elif not _NAME.fullmatch(name):
            rule = "a function's name is of words of small letters and digits, joined by -"
            yield path, rule, "write one such as ask-editors"
        elif problem := function_problem(deployed):
            rule, fix = problem
            yield path, f"deployed as {deployed}: {rule}", fix
        elif deployed in owners:
            rule = f"it is deployed as {deployed}, as aws.functions calls {owners[deployed]}"
            yield path, rule, "take another one"
        elif function_id(name) == "StateMachine":
            rule = "the log of the state machine has this name in the template"
            yield path, rule, "take another one"
