"""Short descriptions of states, for a picture."""

from __future__ import annotations

from typing import Any

from workflow.definition.asl import (
    CALLBACK,
    State,
    arguments,
    expression,
    function_name,
    integration,
    parallelism,
    repetition,
    subject,
)
from workflow.durations import duration

_SERVICE_NAMES = {
    "aws-sdk": "SDK",
    "batch": "Batch",
    "dynamodb": "DynamoDB",
    "eventbridge": "EventBridge",
    "events": "EventBridge",
    "glue": "Glue",
    "lambda": "Lambda",
    "personalize": "Personalize",
    "sagemaker": "SageMaker",
    "states": "Step Functions",
}


def doing(state: State) -> str:
    """Return the note of a state below its name: `Lambda labbase-get-status`, `Wait 600 s`."""
    state_type = str(state.get("Type", ""))
    if state_type == "Task":
        return _task(state)
    if state_type == "Choice":
        return f"Choice on {about}" if (about := subject(state)) else "Choice"
    if state_type == "Wait":
        return f"Wait {_waited_for(state)}".strip()
    if state_type == "Map":
        return _repetition(state)
    if state_type == "Parallel":
        return parallelism(state)
    if state_type == "Fail" and isinstance(state.get("Error"), str):
        return f"Fail: {expression(state['Error'])}"
    return state_type


def limits(state: State) -> str:
    """Return the time limit of a state in words: `2 min at most`; empty without one."""
    seconds = state.get("TimeoutSeconds")
    return f"{duration(seconds)} at most" if isinstance(seconds, int | float) else ""


def request(state: State) -> Any:
    """Return what a state passes on: a function's payload, a service's request, a Pass's result."""
    passed = arguments(state)
    if function_name(state):
        return passed.get("Payload", {})
    keys = ("Result", "ItemSelector", "Parameters", "Arguments", "Output", "Cause")
    return passed or next((state[key] for key in keys if key in state), {})


def _task(state: State) -> str:
    called = integration(state)
    waits = ", wait for token" if called and called.pattern == CALLBACK else ""
    if function := function_name(state):
        return f"Lambda {function}{waits}"
    name = str(state.get("Resource", "")).rpartition(":")[2]
    if called is None:
        return f"Task {name}".strip()
    if called.service == "activity":
        return f"Activity {name}"
    service = called.service
    named = _SERVICE_NAMES.get(service, service.upper() if len(service) < 5 else service.title())
    return f"{named} {called.api}{waits}"


def _waited_for(state: State) -> str:
    if "Seconds" in state:
        seconds = state["Seconds"]
        return duration(seconds) if isinstance(seconds, int | float) else expression(seconds)
    if "SecondsPath" in state:
        return str(state["SecondsPath"])
    until = state.get("Timestamp", state.get("TimestampPath"))
    return f"until {expression(until)}" if until is not None else ""


def _repetition(state: State) -> str:
    at_a_time = f", {most} at a time" if (most := state.get("MaxConcurrency")) else ""
    processor = state.get("ItemProcessor", {}).get("ProcessorConfig", {})
    apart = " (distributed)" if processor.get("Mode") == "DISTRIBUTED" else ""
    return f"{repetition(state)}{at_a_time}{apart}"
