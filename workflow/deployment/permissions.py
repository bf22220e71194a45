"""Permissions of the workflow's roles and of the people who deploy and run it; the bucket's policy.

`permissions.toml` beside this module holds the statements of each role and person; each is allowed
the actions that it calls, on the ARNs that it calls them on. Besides, the state machine's role is
allowed what its definition calls (`derived_permissions`), and that of the functions what the
configuration lists for a team's own. A person is a `deployer` (plan, deploy, destroy), an
`operator` (start, resume, watch, executions, stop, explain, cost, diff, published, publish, clean)
or an `analyst` (report, the notebooks about data and recommendations), or several of these; their
policies are printed to be attached, the project makes none of them. Functions return IAM documents
of plain JSON values, in a fixed order.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal, get_args

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.definition.graph import retraining_graph
from workflow.definition.own_models.images import images_of
from workflow.deployment.alarms import alarms
from workflow.deployment.artefacts import PREFIX
from workflow.deployment.deployed import deployed_functions
from workflow.deployment.derived_permissions import Statement, configured_statements, derive
from workflow.deployment.lock import LOCK_KEY
from workflow.deployment.policies import MOST_INLINE, Policy, inline_policy, size_of
from workflow.errors import DeployError, WorkflowError
from workflow.extensions import function_id
from workflow.options.models import image_parts
from workflow.personalize import REGIONS
from workflow.settings import ROLES, RoleName
from workflow.spelling import suggestion

Person = Literal["deployer", "operator", "analyst"]
PEOPLE: tuple[Person, ...] = get_args(Person)

SERVICE = "Service"
"""The prefix of the Sid of a statement that only AWS's services use."""

_ASSUMED_BY: Mapping[RoleName, str] = {
    "states": "states.amazonaws.com",
    "functions": "lambda.amazonaws.com",
    "glue": "glue.amazonaws.com",
    "personalize": "personalize.amazonaws.com",
    "sagemaker": "sagemaker.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
}


@dataclass(frozen=True)
class Grant:
    """One statement, as a person reads it.

    Attributes:
        who: A role, for example `glue`, or a person, for example `deployer`.
        purpose: The statement's Sid, for example `ReadCode`.
        actions: For example `s3:GetObject`.
        resources: ARNs; `*` where the actions know none.
        condition: Under which it holds; empty if always.
    """

    who: str
    purpose: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)


class UnknownPrincipalError(WorkflowError, ValueError):
    """A name of no role and no person; the text lists those that exist."""


def principal(name: str) -> RoleName | Person:
    """Return a role or person by its name.

    Raises:
        UnknownPrincipalError: If there is none of this name.
    """
    known: dict[str, RoleName | Person] = {who: who for who in (*ROLES, *PEOPLE)}
    if name not in known:
        hint = suggestion(name, known, otherwise=f"there are {', '.join(known)}", quote="'")
        raise UnknownPrincipalError(f"nobody is called '{name}'; {hint}")
    return known[name]


def grants(config: Config) -> Iterator[Grant]:
    """Yield every statement of every role that a deployment makes, then of the people."""
    definition = retraining_graph(config).to_dict()
    for who in (*config.roles, *PEOPLE):
        for statement in permission_policy(config, who, definition)["Statement"]:
            yield Grant(
                who,
                statement["Sid"],
                tuple(statement["Action"]),
                tuple(statement["Resource"]),
                statement.get("Condition", {}),
            )


def role_policies(config: Config, definition: Definition) -> dict[RoleName, Policy]:
    """Return the policy of each role that a deployment makes.

    Args:
        config: The configuration.
        definition: The state machine's; empty if there is none yet.
    """
    return {
        role: _inline_policy(config, role, definition)
        for role in config.roles
        if not config.aws.roles.get(role, "").startswith("arn:")
    }


def _inline_policy(config: Config, role: RoleName, definition: Definition) -> Policy:
    """Return a role's policy, with patterns in place of names if it is too long with names."""
    exact = inline_policy(permission_policy(config, role, definition))
    if size_of(exact) <= MOST_INLINE:
        return exact
    return inline_policy(permission_policy(config, role, definition, by_pattern=True))


def check_sizes(config: Config, policies: Mapping[RoleName, Policy]) -> None:
    """Refuse policies that IAM would.

    Args:
        config: The configuration, which says what can make one shorter.
        policies: Of `role_policies`.

    Raises:
        DeployError: If one is longer than IAM takes; the text says of each what to do.
    """
    problems = [
        f"role {config.role_arn(role).rpartition('/')[2]}: its policy has {size_of(policy):,}"
        f" characters; IAM takes {MOST_INLINE:,}. {_shorter(config, role)}, or name a role of your"
        f" own by its ARN in aws.roles.{role}"
        for role, policy in policies.items()
        if size_of(policy) > MOST_INLINE
    ]
    if problems:
        raise DeployError("\n".join(problems))


def _shorter(config: Config, role: RoleName) -> str:
    """Return what the configuration can do for a shorter policy, in one sentence."""
    own = {"states": ["workflow"] if config.workflow.permissions else []}
    own["functions"] = [f"functions.{n}" for n, one in config.functions.items() if one.permissions]
    ways = [f"name resources by a pattern in {name}.permissions" for name in own.get(role, ())]
    named = [
        each.recommender
        for each in config.each_recommender
        if each.recommender and not each.solution_name.startswith(f"{config.name}-")
    ]
    if named and role == "functions":
        ways.append(
            f"let the name of each recommender's solution begin with '{config.name}-', or leave it"
            f" out (recommenders.{named[0]}.solution.name and {len(named) - 1} more): one pattern"
            " stands for all of these"
        )
    text = "; ".join(ways) or "Take tables out of the configuration"
    return text[0].upper() + text[1:]


def permission_policy(
    config: Config,
    who: RoleName | Person,
    definition: Definition | None = None,
    *,
    by_pattern: bool = False,
) -> Policy:
    """Return the policy of a role or a person, ready for IAM.

    Args:
        config: The configuration.
        who: The role or person.
        definition: The state machine's; made from the configuration if left out.
        by_pattern: Name by one pattern what there is for each recommender or function, and has the
            configuration's name, such as `solution/NAME-*`; else each by its own.
    """
    if definition is None:
        definition = retraining_graph(config).to_dict()
    deployed = deployed_functions(config, definition)
    values = _values(config, deployed)
    if by_pattern:
        values = {**values, **_patterns(config, values)}
    derived: list[Statement] = []
    if who == "states":
        derived = derive(config, definition).statements
    elif who == "functions":
        for name, function in config.functions.items():
            derived += configured_statements(f"Own{function_id(name)}", function.permissions)
    statements = [
        _merged(
            _statement(sid, entry, values)
            for entry in (entries if isinstance(entries, list) else [entries])
            if _applies(entry, values, deployed)
        )
        for sid, entries in _permissions()[who].items()
    ]
    return _policy([*derived, *(each for each in statements if each.get("Resource"))])


def trust_policy(config: Config, role: RoleName) -> Policy:
    """Return who may assume a role."""
    # Lambda and Glue name no source account when they assume a role; iam:PassRole, which does not
    # cross accounts, is what keeps others from handing them this one.
    sources: Mapping[RoleName, str] = {
        "states": config.arn("states", "*"),
        "personalize": config.arn("personalize", "*"),
        "sagemaker": config.arn("sagemaker", "*"),
        "scheduler": config.arn("scheduler", "schedule-group/default"),
    }
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": _ASSUMED_BY[role]},
        "Action": "sts:AssumeRole",
    }
    if role in sources:
        statement["Condition"] = _from(config, sources[role])
    return _policy([statement])


def bucket_policy(config: Config) -> Policy:
    """Return the bucket's policy: TLS alone, and Personalize's reading and writing, if it does."""
    bucket = f"arn:{config.partition}:s3:::{config.bucket}"
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    allowed = (
        ("PersonalizeReads", "s3:GetObject", f"{bucket}/runs/*"),
        ("PersonalizeLists", "s3:ListBucket", bucket),
        ("PersonalizeWrites", "s3:PutObject", f"{bucket}/runs/*/batch-output/*"),
    )
    personalize = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Action": [action],
            "Resource": [resource],
            "Principal": {"Service": "personalize.amazonaws.com"},
            "Condition": _from(config, config.arn("personalize", "*")),
        }
        for sid, action, resource in allowed
    ]
    return _policy([tls_only, *(personalize if config.has_personalize else ())])


def topic_policy(config: Config) -> Policy:
    """Return the topic's policy: CloudWatch's alarms may publish to it, and EventBridge's rule.

    With `[notification]` the rule's target is a function.
    """
    rule, alarm = f"rule/{config.ends_rule}", f"alarm:{config.state_machine}-*"
    publishers = [("AlarmsPublish", "cloudwatch", config.arn("cloudwatch", alarm))]
    if not config.notification:
        publishers.insert(0, ("RulePublishes", "events", config.arn("events", rule)))
    return _policy(
        [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": ["sns:Publish"],
                "Resource": [config.topic_arn],
                "Condition": _from(config, source),
            }
            for sid, service, source in publishers
        ]
    )


@cache
def _permissions() -> Mapping[str, Any]:
    file = files("workflow.deployment") / "permissions.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _values(config: Config, deployed: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the values of each name in braces of `permissions.toml`: none, one or several."""
    aws, notification = config.aws, config.notification
    made = [role for role in config.roles if not aws.roles.get(role, "").startswith("arn:")]
    function_logs = [config.function_log(name) for name in deployed]
    delivers_to = config.delivery.to if config.delivery else ""
    each = config.each_recommender
    data_sets = config.data_sets if config.has_personalize else ()
    on_failure = sorted({one.gate.on_failure for one in each if one.gate})
    optional = {
        "delivered_table": config.delivery.table
        if config.delivery and delivers_to == "dynamodb"
        else "",
        "delivers_to_database": delivers_to if delivers_to == "database" else "",
        "emails": ", ".join(aws.emails),
        "als": ", ".join(name for name, model in config.models.items() if model.is_on_spark),
        "backtest": "measured" if config.backtest else "",
        "compared": " and ".join(config.compared),
        "increments": "only what has changed" if config.increments else "",
        "existing_bucket": "" if config.is_own_bucket else config.bucket,
        "own_bucket": config.bucket if config.is_own_bucket else "",
        "gate": " or ".join(on_failure),
        "kept_version": "kept" if "keep" in on_failure else "",
        "kms_key": aws.kms_key,
        "notified_events": "put" if notification and notification.events else "",
        "notified_outcomes": ", ".join(notification.outcomes) if notification else "",
        "notifying_function": config.function("send-notification") if notification else "",
        "own_topic": "" if aws.topic.startswith("arn:") else config.topic_arn,
        "permission_boundary": aws.permission_boundary,
        "personalize": "in the workflow" if config.has_personalize else "",
        "personalize_key": aws.kms_key if config.has_personalize else "",
        "spark_above": "a Spark job filters"
        if any(one.filter.spark_above is not None for one in each)
        else "",
        "retention": f"of {config.retention.runs} runs" if config.retention else "",
        "former_solutions": config.retention.former_solutions.removeprefix("keep")
        if config.retention
        else "",
        "schedule": config.schedule and config.schedule.expression,
        "secret": config.source.secret,
        "tracing": "Active" if aws.tracing else "",
    }
    return {
        "account": [aws.account],
        "alarm": [properties["AlarmName"] for _, properties in alarms(config)],
        "artifacts": [PREFIX],
        "bucket": [config.bucket],
        "campaign_arn": [config.campaign_arn(name) for name in config.campaigns],
        "connection": [config.source.connection],
        "channel": [*(data_set.prefix for data_set in config.data_sets), "batch-input/"],
        "dataset_arn": [config.dataset_arn(data_set) for data_set in data_sets],
        "dataset_group_arn": [config.dataset_group_arn] if config.has_personalize else [],
        "left_dataset_group_arn": []
        if config.has_personalize or aws.region not in REGIONS
        else [config.dataset_group_arn],
        "dataset_type": [data_set.type.lower() for data_set in data_sets],
        "dead_letters": [config.dead_letters],
        "function": [config.function(name) for name in deployed],
        "function_log": function_logs,
        "glue_job_arn": [config.glue_job_arn],
        "latest": [one.latest_key for one in each],
        "lock": [LOCK_KEY],
        "image_repository": _image_repositories(config),
        "log_group": [*function_logs, config.state_machine_log],
        "model": list(config.sagemaker_models),
        "name": [config.name],
        "own_role": [config.role_arn(role) for role in made],
        "partition": [config.partition],
        "personalize_filter_arn": list(filter(None, (one.personalize_filter_arn for one in each))),
        "region": [aws.region],
        "solution_arn": [
            config.arn("personalize", f"solution/{one.solution_name}")
            for one in each
            if config.has_personalize
        ],
        "state_machine": [config.state_machine],
        "state_machine_arn": [config.state_machine_arn],
        "subnets": aws.subnets,
        "topic_arn": [config.topic_arn],
        "ends_rule": [config.ends_rule],
        **{f"{role}_role": [config.role_arn(role)] for role in ROLES},
        **{name: [value] if value else [] for name, value in optional.items()},
    }


def _patterns(config: Config, values: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the values of which a configuration may have many, with patterns for their names."""
    solutions = config.arn("personalize", f"solution/{config.name}-")
    names = {
        "function_log": (f"/aws/lambda/{config.name}-", ""),
        "latest": ("recommendations/", "/latest.json"),
        "solution_arn": (solutions, ""),
    }

    def pattern(value: str, prefix: str, suffix: str) -> str:
        is_one = value.startswith(prefix) and value.removeprefix(prefix).endswith(suffix)
        return f"{prefix}*{suffix}" if is_one else value

    return {
        name: list(dict.fromkeys(pattern(value, *ends) for value in values[name]))
        for name, ends in names.items()
    }


def _image_repositories(config: Config) -> list[str]:
    """Return the ARNs of the repositories of the models' images, in ECR."""
    found = (images_of(config, name) for name in config.sagemaker_models)
    parts = [image_parts(image) for each in found for image in (each.training, each.inference)]
    return list(
        dict.fromkeys(
            f"arn:{config.partition}:ecr:{each['region']}:{each['account']}"
            f":repository/{each['repository']}"
            for each in parts
            if each
        )
    )


def _applies(
    entry: Mapping[str, Any], values: Mapping[str, Sequence[str]], deployed: Sequence[str]
) -> bool:
    needs, excludes = entry.get("when"), entry.get("unless")
    return (
        (needs is None or bool(values[needs]))
        and (excludes is None or not values[excludes])
        and ("of" not in entry or not {*deployed}.isdisjoint(entry["of"]))
    )


def _merged(statements: Iterable[Statement]) -> Statement:
    """Return the statements of one Sid as one; an empty one if there are none."""
    merged: Statement = {}
    for statement in statements:
        for key in ("Action", "Resource"):
            statement[key] = list(dict.fromkeys([*merged.get(key, ()), *statement[key]]))
        merged = statement
    return merged


def _statement(
    sid: str, entry: Mapping[str, Any], values: Mapping[str, Sequence[str]]
) -> Statement:
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(entry["actions"]),
        "Resource": [arn for pattern in entry["resources"] for arn in _expand(pattern, values)],
    }
    if "condition" in entry:
        statement["Condition"] = {
            operator: {
                key: _expand(value, values)[0] if isinstance(value, str) else value
                for key, value in tests.items()
            }
            for operator, tests in entry["condition"].items()
        }
    return statement


def _expand(pattern: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a pattern once for each combination of the values of its names in braces."""
    names = [name for _, name, _, _ in Formatter().parse(pattern) if name]
    return [
        pattern.format(**dict(zip(names, combination, strict=True)))
        for combination in itertools.product(*(values[name] for name in names))
    ]


def _from(config: Config, source_arn: str) -> Mapping[str, Any]:
    return {
        "StringEquals": {"aws:SourceAccount": config.aws.account},
        "ArnLike": {"aws:SourceArn": source_arn},
    }


def _policy(statements: Sequence[Statement]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
