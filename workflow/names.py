"""AWS's rules of names, ARNs and tags: each function returns what it gets, or says the rule.

A name that AWS refuses would stop a deployment halfway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Broken = tuple[str, str]
"""The rule and the fix."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NO_BUCKET_BEGINS = ("xn--", "sthree-", "amzn-s3-demo-")
_NO_BUCKET_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_TAG = re.compile(r"[\w\s.:/=+\-@]*")
MOST_TAGS = 50

OWNER_TAG = "retraining:name"
"""The tag by which a deployment knows its own resources; its value is the configuration's name."""


def bucket_problem(name: str) -> Broken | None:
    """Return the rule that a bucket's name breaks.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    fix = "write 3 to 63 letters a-z, digits and hyphens, for example shop-retraining"
    if not _BUCKET.fullmatch(name) or ".." in name:
        return "S3 takes no such name for a bucket", fix
    if re.fullmatch(r"\d+(\.\d+){3}", name):
        return "the name of a bucket is no IP address", fix
    for word in _NO_BUCKET_BEGINS:
        if name.startswith(word):
            return f"S3 reserves names that begin with {word}", fix
    for word in _NO_BUCKET_ENDS:
        if name.endswith(word):
            return f"S3 reserves names that end with {word}", fix
    return None


def role_problem(name: str) -> Broken | None:
    """Return the rule that a role's name or ARN breaks.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    """
    if name.startswith("arn:"):
        if re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", name, re.ASCII):
            return None
        return "it is no ARN of a role", "write arn:aws:iam::ACCOUNT:role/NAME, or a name"
    if re.fullmatch(r"[\w+=,.@-]{1,64}", name, re.ASCII):
        return None
    return "IAM takes no such name for a role", "write up to 64 letters, digits and +=,.@_-"


def function_problem(name: str) -> Broken | None:
    """Return the rule that the name of a Lambda function breaks.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        return None
    rule = "Lambda takes no such name for a function that is created"
    return rule, "write up to 64 letters, digits, hyphens and underscores; no ARN"


def topic_problem(name: str, region: str) -> Broken | None:
    """Return the rule that a topic's name or ARN breaks.

    https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """
    if name.endswith(".fifo"):
        return "a FIFO topic takes no messages of EventBridge and of alarms", "name another one"
    if name.startswith("arn:"):
        match = re.fullmatch(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[a-zA-Z0-9_-]{1,256}", name)
        if match is None:
            return "it is no ARN of a topic", "write arn:aws:sns:REGION:ACCOUNT:NAME, or a name"
        return _region_problem(match[1], region)
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,256}", name):
        return None
    return "SNS takes no such name", "write up to 256 letters, digits, hyphens and underscores"


def key_problem(arn: str, region: str) -> Broken | None:
    """Return the rule that the ARN of a KMS key breaks, none of an empty one."""
    return _region_problem(arn.split(":")[3], region) if arn else None


def job_problem(name: str) -> Broken | None:
    """Return the rule that the name of a Glue job breaks.

    https://docs.aws.amazon.com/glue/latest/webapi/API_CreateJob.html
    """
    if 1 <= len(name) <= 255 and name.isprintable() and not re.search(r"[*?/]", name):
        return None
    return "Glue takes no such name for a job", "write up to 255 letters, digits and hyphens"


def tag_problems(tags: Mapping[str, str], own: str) -> list[tuple[str, Broken]]:
    """Return key → rule of the tags that AWS refuses.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html (case in the keys of roles)

    Args:
        tags: Those of the configuration.
        own: The key of the tag that every resource gets besides.
    """
    problems = []
    taken: dict[str, str] = {}
    for key, value in tags.items():
        other = taken.setdefault(key.lower(), key)
        if key.lower() == own.lower():
            problems.append((key, ("the deployment writes this tag itself", "take it out")))
        elif other != key:
            rule = f"it differs from {other} by case alone, which does not count in a role's tags"
            problems.append((key, (rule, "leave one of them out")))
        elif key.lower().startswith("aws:"):
            problems.append((key, ("AWS keeps keys that begin with aws: for itself", "rename it")))
        elif not 1 <= len(key) <= 128 or len(value) > 256:
            rule = f"a key has 1 to 128 characters, here {len(key)}; a value at most 256, here"
            problems.append((key, (f"{rule} {len(value)}", "shorten it")))
        elif not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            fix = "write letters, digits, blanks and _ . : / = + - @"
            problems.append((key, ("AWS takes no such characters in a tag", fix)))
    if len(tags) >= MOST_TAGS:
        rule = f"a resource takes {MOST_TAGS} tags, one of which is {own}; here are {len(tags)}"
        problems.append(("", (rule, "leave some out")))
    return problems


def _region_problem(found: str, region: str) -> Broken | None:
    if found == region:
        return None
    return f"it is in {found}, and everything else in {region}", f"name one in {region}"
