"""The quality gate: the new solution version goes on, or the last published one in its place.

    Judge Solution Version → Good Enough? → …
                                  ├→ Keep Last Version → …
                                  └→ Personalize Left Out

The judging function raises `QualityGateFailed` if neither may be served; with `on_failure = "fail"`
it is the whole stage. Beside other models Personalize is left out of the comparison then, and its
branch ends. What was decided is at `$.gate`, and whole in the run's `record/gate.json`. Of several
recommenders some may have no gate: `Has a Gate?` leads past it then.
"""

from __future__ import annotations

from workflow.definition.polling import lambda_task
from workflow.definition.recommender import ITEM, OneRecommender, gate_values
from workflow.definition.stage import JOB, Part, Stage, catch_all, stage_of
from workflow.errors import StructureError
from workflow.run_names import RUN
from workflow.sdk import Choice, ChoiceRule, Pass, State, Succeed

JUDGE = "Judge Solution Version"
GATE = "$.gate"
KEEP, LEAVE_OUT = "keep", "leave out"


def quality_gate(recommender: OneRecommender) -> Stage:
    """Return the stage that judges the solution version at `$.job`, and leads on with one.

    Args:
        recommender: Its table `[gate]` has the rules.

    Raises:
        StructureError: If there is no such table.
    """
    config, gates = recommender.config, [gate for gate in recommender.gates if gate]
    if not gates:
        raise StructureError(
            ["quality_gate() has nothing to judge by; add the table [gate] to the configuration"]
        )
    judge = lambda_task(
        config,
        JUDGE,
        function="judge-solution-version",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "solutionVersionArn.$": f"{JOB}.arn",
            **recommender.values(gate_values),
            **({"hasRivals": True} if config.compared else {}),
        },
        result_selector={
            "decision.$": "$.Payload.decision",
            "reason.$": "$.Payload.reason",
            "served.$": "$.Payload.served",
        },
        result_path=GATE,
    )
    may_keep = any(gate.on_failure == "keep" for gate in gates)
    judging = _judging(judge, may_keep=may_keep, has_rivals=bool(config.compared))
    return judging if len(gates) == len(recommender.gates) else _if_there_is_one(judging)


def _judging(judge: State, *, may_keep: bool, has_rivals: bool) -> Stage:
    if not may_keep:
        return stage_of("Quality Gate", judge)
    choice = Choice("Good Enough?")
    keep = Pass("Keep Last Version", input_path=f"{GATE}.served", result_path=JOB)
    choice.add_choice(_decided(KEEP), keep)
    if has_rivals:
        choice.add_choice(_decided(LEAVE_OUT), Succeed("Personalize Left Out"))
    judge.next(choice)

    def lead_on(part: Part) -> None:
        choice.default_choice(part)
        keep.next(part)

    def lead_failures(failure: State) -> None:
        judge.add_catch(catch_all(failure))

    return Stage(
        "Quality Gate", judge, lead_on=lead_on, lead_failures=lead_failures, must_go_on=True
    )


def _decided(word: str) -> ChoiceRule:
    return ChoiceRule.StringEquals(variable=f"{GATE}.decision", value=word)


def _if_there_is_one(judging: Stage) -> Stage:
    """Return the stage that judges the versions of those recommenders that have a gate."""
    choice = Choice("Has a Gate?")
    there = ChoiceRule.IsNull(variable=f"{ITEM}.gate", value=False)
    choice.add_choice(there, judging.entry)

    def lead_on(part: Part) -> None:
        choice.default_choice(part)
        judging.next(part)

    return Stage(
        judging.title, choice, lead_on=lead_on, lead_failures=judging.fail_to, must_go_on=True
    )
