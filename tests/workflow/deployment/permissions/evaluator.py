"""IAM's decisions, by an evaluator that is not ours."""

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
class Decision:
    """IAM's decision: its `result` is Allowed, ImplicitlyDenied, ExplicitlyDenied or Error."""

    result: str
    sids: tuple[str, ...] = ()
    error: str = ""


def evaluate(
    policy: Mapping[str, Any],
    requests: Sequence[Request],
    *,
    bucket_policy: Mapping[str, Any] | None = None,
) -> dict[Request, Decision]:
    """Evaluate requests against one identity's policy; S3's against the bucket's too."""
    assert (EVALUATOR / "node_modules").is_dir(), "the evaluator is not installed: run make setup"
    simulations = [
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
    process = subprocess.run(
        [str(Path(sys.prefix) / "bin" / "node"), str(SCRIPT), str(EVALUATOR)],
        input=json.dumps(simulations),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    return {
        request: Decision(result["result"], tuple(result["sids"]), result.get("error", ""))
        for request, result in zip(requests, results, strict=True)
    }
