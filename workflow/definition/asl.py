"""The one reader of the Amazon States Language: scopes, states, transitions, conditions.

Whatever checks, draws, compares or counts a definition is a view of this module. Pure functions
over plain dicts, as JSON gives them. What a definition lacks is empty, and each view has its own
message for what it cannot do with it; `shape_faults` finds members of another type.
https://states-language.net/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

Definition = Mapping[str, Any]
State = Mapping[str, Any]
Rule = Mapping[str, Any]
TransitionType = Literal["start", "choice", "default", "next", "catch", "end"]

Address = tuple[str | int, ...]
"""The names of the Maps and Parallels around a state, each with the branch, and its own name."""

OTHERWISE = "otherwise"
CALLBACK = "waitForTaskToken"
BESIDE_THE_TEST = ("Comment", "Assign", "Output")
"""Fields of a Choice rule that are neither its test nor its target."""

_NOT_A_TEST = frozenset({"Variable", "Next", *BESIDE_THE_TEST})
_COMPARISON = re.compile(
    r"(?:String|Numeric|Boolean|Timestamp)"
    r"(Equals|LessThanEquals|LessThan|GreaterThanEquals|GreaterThan|Matches)(Path)?"
)
_RESOURCE = re.compile(
    r"arn:[\w-]+:states:::(?P<sdk>aws-sdk:)?(?P<service>[\w-]+):(?P<api>[^.]+)\.?(?P<pattern>.*)"
)
_LAST_NAME = re.compile(r"\['(?P<quoted>[^']+)'\]$|(?:^|\.)(?P<name>[^.\[\]]+(?:\[[^\]']*\])*)$")
_COMPARED = {
    "Equals": "is",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}
_CHECKED = {
    "IsPresent": ("is present", "is absent"),
    "IsNull": ("is null", "is not null"),
    "IsString": ("is a string", "is no string"),
    "IsNumeric": ("is a number", "is no number"),
    "IsBoolean": ("is a boolean", "is no boolean"),
    "IsTimestamp": ("is a timestamp", "is no timestamp"),
}


@dataclass(frozen=True)
class Transition:
    """A transition from a state, or into a scope.

    Attributes:
        source: The state that it leaves; empty for the start of the scope.
        target: The state that it leads to; empty for the end of the scope.
        type: Why it is taken.
        label: When it is taken, in few words; empty where there is nothing to say.
        detail: When it is taken, in full.
        rule: The Choice rule or the catcher that it comes from; empty for any other type.
    """

    source: str
    target: str
    type: TransitionType
    label: str = ""
    detail: str = ""
    rule: Rule = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Integration:
    """What a Task calls.

    Attributes:
        service: The service by its name in ARNs of Step Functions, for example `sagemaker`;
            `activity` for an activity.
        api: The operation, for example `createTrainingJob`; `invoke` for a function.
        pattern: `sync`, `sync:2` or `waitForTaskToken`; empty for a mere call.
        is_sdk: Whether it is an integration of AWS's SDK, `aws-sdk:SERVICE:API`.
        arn: The function or activity that the Task's `Resource` names; empty for a service.
    """

    service: str
    api: str
    pattern: str = ""
    is_sdk: bool = False
    arn: str = ""

    @property
    def waits(self) -> bool:
        """Whether the Task waits for more than the response of a call."""
        return bool(self.pattern)

    @property
    def name(self) -> str:
        """Its name in definitions, for example `aws-sdk:s3:getObject`."""
        return f"{'aws-sdk:' if self.is_sdk else ''}{self.service}:{self.api}"


@dataclass(frozen=True)
class Scope:
    """A graph of its own: the machine, what a Map repeats, or a branch of a Parallel.

    No transition leads out of a scope.

    Attributes:
        definition: With `StartAt` and `States`.
        parent: The scope around it; None for the machine.
        container: The Map or Parallel of `parent` that it belongs to; empty for the machine.
        branch: Which branch of a Parallel it is, counted from 1; 0 for any other scope.
    """

    definition: Definition = field(hash=False)
    parent: Scope | None = None
    container: str = ""
    branch: int = 0

    @property
    def states(self) -> Mapping[str, State]:
        """Its own states by name, without those inside them."""
        return self.definition.get("States") or {}

    @property
    def start(self) -> str:
        """The name of its first state; empty if it names none."""
        return str(self.definition.get("StartAt", ""))

    @property
    def depth(self) -> int:
        """The number of states around it."""
        return self.parent.depth + 1 if self.parent else 0

    @property
    def address(self) -> Address:
        """The names of the Maps and Parallels around it, each with the branch."""
        if not self.parent:
            return ()
        return (*self.parent.address, self.container, self.branch)

    def __str__(self) -> str:
        """Return its name in messages: `the machine`, `'Each'`, `branch 2 of 'Both'`."""
        if not self.parent:
            return "the machine"
        branch = f"branch {self.branch} of " if self.branch else ""
        return f"{branch}'{self.container}'"

    def inside(self, name: str) -> tuple[Scope, ...]:
        """Return the scopes inside one of its states: of a Map one, of a Parallel its branches."""
        state = self.states[name]
        # `Iterator` is the older name, which AWS still takes.
        repeated = [state[key] for key in ("ItemProcessor", "Iterator") if key in state][:1]
        branches = enumerate(state.get("Branches", ()), start=1)
        return (
            *(Scope(definition, self, name) for definition in repeated),
            *(Scope(definition, self, name, number) for number, definition in branches),
        )

    def transitions(self) -> Iterator[Transition]:
        """Yield the transition into the scope, then those of each of its states."""
        yield Transition("", self.start, "start")
        for name, state in self.states.items():
            yield from transitions(name, state)


def scopes(definition: Definition) -> Iterator[Scope]:
    """Yield the machine, then the scopes inside it, each followed by those inside it."""
    yield from _scopes(Scope(definition))


def states(definition: Definition) -> Iterator[tuple[Scope, str, State]]:
    """Yield every state with its scope and name, each followed by the states inside it."""
    yield from _states(Scope(definition))


def transitions(name: str, state: State) -> Iterator[Transition]:
    """Yield a state's transitions, the rules of a Choice in the order in which they are tried."""
    about = subject(state)
    for rule in state.get("Choices", ()):
        short, full = condition(rule, about=about), condition(rule, full=True)
        yield Transition(name, rule.get("Next", ""), "choice", short, full, rule)
    if "Default" in state:
        yield Transition(name, state["Default"], "default", OTHERWISE, OTHERWISE)
    if "Next" in state:
        yield Transition(name, state["Next"], "next")
    for catcher in state.get("Catch", ()):
        errors = " or ".join(names := catcher.get("ErrorEquals", ()))
        # Every view marks a catch as one, so that "any error" needs no words.
        short = "" if "States.ALL" in names else errors
        yield Transition(name, catcher.get("Next", ""), "catch", short, errors, catcher)
    if state.get("End"):
        yield Transition(name, "", "end")


def ends(state: State) -> bool:
    """Return whether a scope can end with a state."""
    return bool(state.get("End")) or state.get("Type") in {"Succeed", "Fail"}


def arguments(state: State) -> Mapping[str, Any]:
    """Return a Task's request to the service: its `Parameters`, or `Arguments` in JSONata."""
    request = state.get("Parameters") or state.get("Arguments")
    return request if isinstance(request, Mapping) else {}


def integration(state: State) -> Integration | None:
    """Return what a Task calls; None if its `Resource` is nothing that Step Functions calls."""
    resource = str(state.get("Resource", ""))
    if match := _RESOURCE.fullmatch(resource):
        return Integration(match["service"], match["api"], match["pattern"], bool(match["sdk"]))
    if re.match(r"arn:[\w-]+:lambda:.*:function:", resource):
        return Integration("lambda", "invoke", arn=resource)
    if re.match(r"arn:[\w-]+:states:.*:activity:", resource):
        return Integration("activity", "", arn=resource)
    return None


def function_name(state: State) -> str:
    """Return the Lambda function that a Task invokes, without the ARN before its name.

    Where the execution chooses the function, that is the path or the expression; empty if the
    state invokes none.
    """
    called = integration(state)
    if called is None or (called.service, called.api) != ("lambda", "invoke"):
        return ""
    request = arguments(state)
    name = called.arn or request.get("FunctionName", request.get("FunctionName.$", ""))
    return re.sub(r"^arn:.*:function:", "", expression(name))


def is_chosen(value: Any) -> bool:
    """Return whether a value is an expression of JSONata, which the execution evaluates."""
    return isinstance(value, str) and value.startswith("{%")


def repetition(state: State) -> str:
    """Return the items of a Map in words: `for each of $.datasets`, `for each item`."""
    items = state.get("Items", state.get("ItemsPath"))
    return "for each item" if items is None else f"for each of {expression(items)}"


def parallelism(state: State) -> str:
    """Return the branches of a Parallel in words: `2 branches at the same time`."""
    branches = len(state.get("Branches", ()))
    return "one branch" if branches == 1 else f"{branches} branches at the same time"


def subject(state: State) -> str:
    """Return the variable that every rule of a Choice tests; empty if they test several."""
    tested = {rule.get("Variable", "") for rule in state.get("Choices", ())}
    return str(tested.pop()) if len(tested) == 1 else ""


def condition(rule: Rule, *, about: str = "", full: bool = False) -> str:
    """Return a rule of a Choice in words: `status is ACTIVE`.

    Args:
        rule: One of `Choices`, or a rule inside one.
        about: The variable that is left out, because the Choice names it: `ACTIVE`.
        full: Write variables by their whole path and texts in quotes:
            `$.job.status is "ACTIVE"`.
    """
    if about and rule.get("Variable") == about:
        return condition({**rule, "Variable": ""}, full=full).removeprefix("is ")
    return _sentence(rule, partial(_in_words, full=full))


def exact_condition(rule: Rule) -> str:
    """Return a rule with its operators by name: `$.job.status StringEquals "ACTIVE"`.

    Two rules with different tests have different texts, which they need not have in `condition`.
    """
    return _bracket(rule, _by_name)


def expression(value: Any) -> str:
    """Return a value on one line, JSONata without its `{% %}`."""
    if not isinstance(value, str):
        return _json(value)
    return " ".join(re.sub(r"^\{%(.*)%\}$", r"\1", value, flags=re.DOTALL).split())


def _scopes(scope: Scope) -> Iterator[Scope]:
    yield scope
    for name in scope.states:
        for inner in scope.inside(name):
            yield from _scopes(inner)


def _states(scope: Scope) -> Iterator[tuple[Scope, str, State]]:
    for name, state in scope.states.items():
        yield scope, name, state
        for inner in scope.inside(name):
            yield from _states(inner)


def _sentence(rule: Rule, comparison: Callable[[Rule], str]) -> str:
    """Return a rule in words; `comparison` words one that is not made of other rules."""
    for operator, word in (("And", " and "), ("Or", " or ")):
        if operator in rule:
            return word.join(_bracket(inner, comparison) for inner in rule[operator])
    if "Not" in rule:
        return f"not {_bracket(rule['Not'], comparison)}"
    return comparison(rule)


def _bracket(rule: Rule, comparison: Callable[[Rule], str]) -> str:
    sentence = _sentence(rule, comparison)
    return f"({sentence})" if "And" in rule or "Or" in rule else sentence


def _in_words(rule: Rule, *, full: bool) -> str:
    if "Condition" in rule:
        return expression(rule["Condition"])
    name = _variable(str(rule.get("Variable", "")), full=full)
    tests = (_test(operator, rule[operator], full=full) for operator in _operators(rule))
    return " and ".join(f"{name} {test}".strip() for test in tests)


def _by_name(rule: Rule) -> str:
    if "Condition" in rule:
        return str(rule["Condition"])
    tests = ", ".join(f"{operator} {_json(rule[operator])}" for operator in _operators(rule))
    return f"{rule.get('Variable', '')} {tests}".strip()


def _operators(rule: Rule) -> Sequence[str]:
    return [key for key in rule if key not in _NOT_A_TEST]


def _variable(path: str, *, full: bool) -> str:
    last = None if full else _LAST_NAME.search(path)
    return (last["quoted"] or last["name"]) if last else path


def _test(operator: str, value: Any, *, full: bool) -> str:
    if operator in _CHECKED:
        yes, no = _CHECKED[operator]
        return yes if value else no
    if match := _COMPARISON.fullmatch(operator):
        comparison, by_path = match.groups()
        if by_path:
            return f"{_COMPARED[comparison]} {_variable(str(value), full=full)}"
        text = value if isinstance(value, str) and not full else _json(value)
        return f"{_COMPARED[comparison]} {text}"
    return f"{operator} {_json(value)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def shape_faults(definition: Any) -> Iterator[str]:
    """Yield each member that has another type than Amazon States Language gives it.

    A definition without such faults can be read by every function of this module.
    """
    if not isinstance(definition, Mapping) or not isinstance(definition.get("States"), Mapping):
        yield "no definition in Amazon States Language: it has no object `States`"
        return
    for name, state in definition["States"].items():
        if not name:
            yield "a state has no name"
        if not isinstance(state, Mapping):
            yield f"'{name}' is no object"
            continue
        for key in ("Choices", "Catch", "Retry", "Branches"):
            value = state.get(key, [])
            if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
                yield f"'{name}': {key} is no list of objects"
        for key in ("Type", "Next", "Default", "Resource"):
            if not isinstance(state.get(key, ""), str):
                yield f"'{name}': {key} is no text"
        scopes_inside = [state[key] for key in ("ItemProcessor", "Iterator") if key in state]
        branches = state.get("Branches", [])
        for inner in [*scopes_inside, *(branches if isinstance(branches, list) else [])]:
            yield from (f"'{name}': {fault}" for fault in shape_faults(inner))
