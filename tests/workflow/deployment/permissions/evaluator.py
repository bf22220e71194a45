"""IAM's answers, by an evaluator that is not ours."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .requests import ACCOUNT, Request

EVALUATOR = Path(sys.prefix) / "iam-simulate"
SCRIPT = Path(__file__).parent / "simulate.mjs"


@dataclass(frozen=True)
class Answer:
    """What IAM says to a request: Allowed, ImplicitlyDenied, ExplicitlyDenied or Error."""

    result: str
    sids: tuple[str, ...] = ()
    error: str = ""


def evaluated(
    policy: Mapping[str, Any],
    requests: Sequence[Request],
    *,
    bucket_policy: Mapping[str, Any] | None = None,
) -> dict[Request, Answer]:
    """Evaluate requests against one identity's policy; S3's against the bucket's too."""
    assert (EVALUATOR / "node_modules").is_dir(), "the evaluator is not installed: run make setup"
    asked = [
        {
            "principal": f"arn:aws:iam::{ACCOUNT}:role/somebody",
            "account": ACCOUNT,
            "action": request.action,
            "resource": request.resource,
            "context": dict(request.context),
            "policy": policy,
            "resourcePolicy": bucket_policy if request.action.startswith("s3:") else None,
        }
        for request in requests
    ]
    done = subprocess.run(
        [str(Path(sys.prefix) / "bin" / "node"), str(SCRIPT), str(EVALUATOR)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    return {
        request: Answer(told["result"], tuple(told["sids"]), told.get("error", ""))
        for request, told in zip(requests, answers, strict=True)
    }
