"""The quality gate: the new solution version goes on, or the last published one in its place.

    Judge Solution Version → Good Enough? → …
                                  └→ Keep Last Version → …

The judging function raises `QualityGateFailed` if neither may be served; with `on_failure = "fail"`
it is the whole stage. What it decided is at `$.gate`, and whole in the run's `record/gate.json`.
"""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.definition.polling import lambda_task
from workflow.definition.stage import JOB, Part, Stage, catch_all, stage_of
from workflow.errors import StructureError
from workflow.sdk import Choice, ChoiceRule, Pass, State

JUDGE = "Judge Solution Version"
GATE = "$.gate"
KEEP = "keep"


def quality_gate(config: Config, run: str) -> Stage:
    """Return the stage that judges the solution version at `$.job`, and leads on with one.

    Args:
        config: Its table `[gate]` has the rules.
        run: The run's name, as an intrinsic function or a path.

    Raises:
        StructureError: If there is no such table.
    """
    if config.gate is None:
        raise StructureError(
            ["quality_gate() has nothing to judge by; add the table [gate] to the configuration"]
        )
    judge = lambda_task(
        config,
        JUDGE,
        function="judge-solution-version",
        payload={
            "bucket": config.bucket,
            "run.$": run,
            "solutionVersionArn.$": f"{JOB}.arn",
            "onFailure": config.gate.on_failure,
            "metrics": _rules(config.gate.metrics),
            "backtest": _rules(config.gate.backtest),
        },
        result_selector={
            "decision.$": "$.Payload.decision",
            "reason.$": "$.Payload.reason",
            "served.$": "$.Payload.served",
        },
        result_path=GATE,
    )
    if config.gate.on_failure == "fail":
        return stage_of("Quality Gate", judge)
    choice = Choice("Good Enough?")
    keep = Pass("Keep Last Version", input_path=f"{GATE}.served", result_path=JOB)
    choice.add_choice(ChoiceRule.StringEquals(variable=f"{GATE}.decision", value=KEEP), keep)
    judge.next(choice)

    def lead_on(part: Part) -> None:
        choice.default_choice(part)
        keep.next(part)

    def lead_failures(failure: State) -> None:
        judge.add_catch(catch_all(failure))

    return Stage(
        "Quality Gate", judge, lead_on=lead_on, lead_failures=lead_failures, must_go_on=True
    )


def _rules(rules: Any) -> dict[str, Any]:
    """Return the rules of each metric as they are written, without those that are left out."""
    return {name: rule.model_dump(exclude_defaults=True) for name, rule in rules.items()}
