"""What Step Functions finds wrong in a definition, before it is made a state machine.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinitionDiagnostic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import (
    AmazonStateLanguageParser,
    ASLParserException,
)

from localaws.errors import suggestion
from localaws.moto_patches.states_language.expressions import Finding, findings
from localaws.moto_patches.states_language.fields import of_machine_fields, of_state_fields
from localaws.moto_patches.states_language.task_resources import task_findings
from localaws.moto_patches.states_language.texts import json_value

LONGEST_STATE_NAME = 80
"""Characters. https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html"""

_FAILED = "SCHEMA_VALIDATION_FAILED"
_TYPES = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")
_ENDS = frozenset({"Succeed", "Fail"})
_DISTRIBUTED = ("ItemReader", "ItemBatcher", "ResultWriter", "Label")
_SYNTAX_ERROR = re.compile(r"line (\d+):(\d+), at (.*?), (?:mismatched|extraneous|no viable)", re.S)


@dataclass(frozen=True)
class Diagnostic:
    """One finding in a definition.

    Attributes:
        code: AWS's code, e.g. MISSING_TRANSITION_TARGET; empty of what moto's parser says.
        message: What is wrong.
        location: E.g. `/States/Load/Next`; empty if the whole definition is meant.
        severity: ERROR, or WARNING of what can be created.
    """

    code: str
    message: str
    location: str = ""
    severity: str = "ERROR"

    @property
    def text(self) -> str:
        """The finding on one line, as CreateStateMachine says it."""
        message = f"{self.code}: {self.message}" if self.code else self.message
        return f"{message} at {self.location}" if self.location else message


def diagnostics_of(definition: str, *, is_express: bool = False) -> list[Diagnostic]:
    """Return everything that is wrong in a definition, errors before warnings."""
    try:
        json_value(definition)
        machine = json.loads(definition, object_pairs_hook=_object)
    except _DuplicateError as error:
        return [Diagnostic("DUPLICATE_STATE_NAME", str(error))]
    except json.JSONDecodeError as error:
        if not definition.strip():
            return [Diagnostic(_FAILED, "Definition must be a valid JSON object")]
        place = f"[line: {error.lineno}, column: {error.colno}]"
        return [Diagnostic("INVALID_JSON_DESCRIPTION", error.msg, place)]
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error))]
    if not isinstance(machine, dict):
        return [Diagnostic(_FAILED, "Definition must be a valid JSON object")]
    language = _language_of(machine, "JSONPath")
    found = list(_of_machine(machine, "", language, whole=language))
    found += _duplicates(machine)
    if is_express:
        found += _of_express(machine)
    if not any(one.severity == "ERROR" for one in found):
        found += _of_parser(definition)
    return sorted(found, key=lambda one: one.severity)


class _DuplicateError(ValueError):
    """A field that appears twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _DuplicateError(f"The field '{twice}' appears more than once in one object")
    return fields


def _of_machine(
    machine: Mapping[str, Any], at: str, language: str, *, whole: str
) -> Iterator[Diagnostic]:
    """Find what is wrong in a machine; `whole` is the language of the outermost one."""
    missing = [name for name in ("States", "StartAt") if name not in machine]
    if missing:
        message = f"These fields are required: [{', '.join(missing)}]"
        yield Diagnostic(_FAILED, message, at or "/")
        return
    where = at.rpartition("/")[2]
    for one in of_machine_fields(machine, where):
        yield _diagnostic(one, at)
    states, start = machine["States"], machine["StartAt"]
    if not isinstance(states, dict) or not states:
        yield Diagnostic(_FAILED, "States must be an object with one state or more", f"{at}/States")
        return
    yield from _target(start, "StartAt", states, at)
    reached = [start]
    for name, state in states.items():
        here = f"{at}/States/{name}"
        if not 1 <= len(name) <= LONGEST_STATE_NAME:
            message = f"The state name has {len(name)} characters, not 1 to {LONGEST_STATE_NAME}"
            yield Diagnostic("INVALID_STATE_NAME", message, here)
        if not isinstance(state, dict):
            yield Diagnostic(_FAILED, "A state must be an object", here)
            continue
        for target, field, place in _transitions(state, here):
            reached.append(target)
            yield from _target(target, field, states, place)
        yield from _of_state(state, here, language, whole=whole)
    for name in states:
        if name not in reached:
            message = f'State "{name}" is not reachable.'
            yield Diagnostic("MISSING_TRANSITION_TARGET", message, f"{at}/States/{name}")


def _transitions(state: Mapping[str, Any], at: str) -> Iterator[tuple[Any, str, str]]:
    """Yield where a state leads: the name, the field that has it, and what has that field."""
    if "Next" in state:
        yield state["Next"], "Next", at
    if state.get("Type") == "Choice":
        if "Default" in state:
            yield state["Default"], "Default", at
        for number, rule in enumerate(_objects(state.get("Choices"))):
            if "Next" in rule:
                yield rule["Next"], "Next", f"{at}/Choices[{number}]"
    for number, catcher in enumerate(_objects(state.get("Catch"))):
        if "Next" in catcher:
            yield catcher["Next"], "Next", f"{at}/Catch[{number}]"


def _target(name: Any, field: str, states: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    if not isinstance(name, str) or name not in states:
        hint = suggestion(name, states) if isinstance(name, str) else ""
        message = f"Missing '{field}' target: {name}{hint and '; '}{hint}"
        yield Diagnostic("MISSING_TRANSITION_TARGET", message, f"{at}/{field}")


def _of_state(state: Mapping[str, Any], at: str, outer: str, *, whole: str) -> Iterator[Diagnostic]:
    kind, language = state.get("Type"), _language_of(state, outer)
    if kind not in _TYPES:
        message = f"The field 'Type' should have one of these values: [{', '.join(_TYPES)}]"
        yield Diagnostic(_FAILED, message, f"{at}/Type")
        return
    if (whole, language) == ("JSONata", "JSONPath"):
        message = (
            "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
        )
        yield Diagnostic(_FAILED, message, at)
    yield from _of_end(state, at)
    yield from _of_map(state, at)
    of_task = task_findings(state, language) if kind == "Task" else ()
    for one in (*of_state_fields(state, language), *of_task, *findings(state, language)):
        yield _diagnostic(one, at)
    for place, machine in _nested(state):
        # A nested machine has its state's language, not the one of the whole machine.
        inner = _language_of(machine, language)
        yield from _of_machine(machine, f"{at}/{place}", inner, whole=whole)


def _of_end(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    kind = state["Type"]
    given = [name for name in ("Next", "End") if state.get(name)]
    if kind in _ENDS or kind == "Choice":
        for name in given:
            yield Diagnostic(_FAILED, f"The field '{name}' is not supported in a {kind} state", at)
    elif len(given) != 1:
        message = "A state needs either 'Next' or 'End': true" + (", not both" if given else "")
        yield Diagnostic(_FAILED, message, at)


def _of_map(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    if state["Type"] != "Map":
        return
    processor = state.get("ItemProcessor")
    settings = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    is_distributed = isinstance(settings, dict) and settings.get("Mode") == "DISTRIBUTED"
    fields = [name for name in state if name in _DISTRIBUTED or name.startswith("ToleratedFailure")]
    if is_distributed or fields:
        shown = "ProcessorConfig.Mode DISTRIBUTED" if is_distributed else fields[0]
        message = f"The local AWS does not serve distributed Maps ({shown}): use an inline Map here"
        yield Diagnostic(_FAILED, message, at)


def _of_express(machine: Mapping[str, Any], at: str = "") -> Iterator[Diagnostic]:
    for name, state in machine.get("States", {}).items():
        here = f"{at}/States/{name}"
        if not isinstance(state, dict):
            continue
        match = re.search(r"\.(waitForTaskToken|sync(:2)?)$", str(state.get("Resource")))
        if match:
            message = f"Express state machine does not support '{match[0]}' service integration"
            yield Diagnostic(_FAILED, message, f"{here}/Resource")
        for place, nested in _nested(state):
            yield from _of_express(nested, f"{here}/{place}")


def _duplicates(machine: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Find names that two states of the whole machine have, wherever these are."""
    seen: set[str] = set()
    pending = [("", machine)]
    while pending:
        at, current = pending.pop(0)
        states = current.get("States")
        for name, state in states.items() if isinstance(states, dict) else ():
            here = f"{at}/States/{name}"
            if name in seen:
                message = f"The state name {name!r} appears more than once"
                yield Diagnostic("DUPLICATE_STATE_NAME", message, here)
            seen.add(name)
            if isinstance(state, dict):
                pending += [(f"{here}/{place}", nested) for place, nested in _nested(state)]


def _nested(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the machines in a Parallel or a Map, and where they stand."""
    for number, branch in enumerate(_objects(state.get("Branches"))):
        yield f"Branches[{number}]", branch
    for field in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field), dict):
            yield field, state[field]


def _of_parser(definition: str) -> Iterator[Diagnostic]:
    """Find what moto's grammar and its components refuse."""
    try:
        AmazonStateLanguageParser.parse(definition)
    except ASLParserException as error:
        match = _SYNTAX_ERROR.match(error.errors[0]) if error.errors else None
        message = (
            f"{match[3]} is not supported there (line {match[1]}, character {match[2]})"
            if match
            else str(error)
        )
        yield Diagnostic(_FAILED, message, "/")
    except Exception as error:  # whatever a component raises of its fields
        yield Diagnostic("", str(error) or type(error).__name__)


def _diagnostic(finding: Finding, at: str) -> Diagnostic:
    location = f"{at}/{finding.place}".rstrip("/")
    if finding.warning:
        return Diagnostic(finding.warning, finding.message, location, "WARNING")
    return Diagnostic(_FAILED, finding.message, location)


def _language_of(fields: Mapping[str, Any], outer: str) -> str:
    return str(fields.get("QueryLanguage", outer))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in (value if isinstance(value, list) else ()) if isinstance(one, dict))
