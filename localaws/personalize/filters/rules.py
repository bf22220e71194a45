"""The rules that a filter's text must keep, given the schemas of its dataset group.

https://docs.aws.amazon.com/personalize/latest/dg/filter-expression-guidelines-requirements.html
Datasets and fields are found in any case, as AWS's own examples write them. Every fault has its
position; reading goes on, so that one response shows all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lark import Token

from localaws.errors import suggestion
from localaws.personalize.data.dataset_types import DATASET_TYPES
from localaws.personalize.data.schemas import Field, Schema
from localaws.personalize.filters.expressions import (
    ANY_EVENT,
    NUMBER,
    Condition,
    CurrentItem,
    Expression,
    Filter,
    Placeholder,
    Value,
    number,
)
from localaws.personalize.filters.syntax import (
    Clause,
    Comparison,
    Fault,
    FilterError,
    parse_clauses,
)

MOST_FIELDS = 10
"""Distinct dataset fields of one filter; the module names the source."""

_TARGETS = {"ITEMID": "ItemID", "USERID": "UserID", "ACTIONID": "ActionID"}
_TARGET_DATASETS = {
    "ItemID": ("ITEMS", "INTERACTIONS"),
    "UserID": ("USERS", "INTERACTIONS"),
    "ActionID": ("ACTIONS", "ACTION_INTERACTIONS"),
}
_EVENTS = {"INTERACTIONS", "ACTION_INTERACTIONS"}
_NAMES = {
    **{key: dataset_type.name for key, dataset_type in DATASET_TYPES.items()},
    "ACTION_INTERACTIONS": "Action_Interactions",
    "CURRENTUSER": "CurrentUser",
}


def parse_filter(expression: str, schemas: Mapping[str, Schema]) -> Filter:
    """Read a filter's text.

    Args:
        expression: E.g. `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")`.
        schemas: The dataset group's schemas by dataset type, e.g. `ITEMS`.

    Raises:
        FilterError: If it breaks a rule; with all faults, unless the syntax has one.
    """
    checker = _Checker(schemas)
    clauses = parse_clauses(expression)
    expressions = tuple(checker.expression(clause, clauses[0]) for clause in clauses)
    if checker.faults:
        raise FilterError(expression, checker.faults)
    return Filter(expressions)


class _ComparisonError(Exception):
    """A comparison is at fault and cannot be used."""

    def __init__(self, token: Token, text: str) -> None:
        super().__init__(text)
        self.fault = Fault.at(token, text)


@dataclass
class _Checker:
    """Turns clauses into expressions and collects their faults."""

    schemas: Mapping[str, Schema]
    faults: list[Fault] = field(default_factory=list)
    _fields: set[tuple[str, str]] = field(default_factory=set)
    _is_number: dict[str, bool] = field(default_factory=dict)

    def expression(self, clause: Clause, first: Clause) -> Expression:
        """Return the expression of a clause; `first` is the first clause of the filter.

        Conditions at fault are left out.
        """
        target, first_target = (_TARGETS[each.target.upper()] for each in (clause, first))
        if target != first_target:
            self._fault(clause.target, f"the first expression has {first_target}; all must")
        elif clause.when and target == "UserID":
            self._fault(
                clause.when[0].column,
                "IF is about the user who gets items; a UserID expression compares Users",
            )
        allowed: tuple[str, ...] = _TARGET_DATASETS[target]
        where = []
        for alternative in clause.where:
            conditions = []
            for comparison in alternative:
                condition = self._condition(comparison, allowed)
                # All comparisons must be about the dataset that the first one is about.
                allowed = (condition[0].dataset,) if condition and len(allowed) > 1 else allowed
                conditions += condition
            where.append(tuple(conditions))
        when = [
            c for comparison in clause.when for c in self._condition(comparison, ("CURRENTUSER",))
        ]
        return Expression(clause.action.upper() == "EXCLUDE", target, tuple(where), tuple(when))

    def _condition(self, comparison: Comparison, allowed: tuple[str, ...]) -> list[Condition]:
        """Return the condition of a comparison, or none if it is at fault."""
        values: list[Value | Placeholder | CurrentItem] = []
        try:
            name = self._dataset_name(comparison.column, allowed)
            compared = self._field(comparison.column, name)
            operator = _operator(comparison.operator, name, compared)
            for token in comparison.values:
                if token.type == "CURRENT_ITEM":
                    values.append(self._current_item(token, name, compared))
                else:
                    self._check_value(token, name, compared, operator)
                    values.append(_value(token))
        except _ComparisonError as error:
            self.faults.append(error.fault)
            return []
        return [Condition(_dataset(name), compared, operator, tuple(values))]

    def _current_item(self, token: Token, dataset: str, compared: Field) -> CurrentItem:
        """Return the field of the current item with which a field of Items is compared."""
        if dataset != "ITEMS":
            raise _ComparisonError(
                token, f"{_NAMES[dataset]} cannot be compared with CurrentItem, only Items"
            )
        own = self._field(token, dataset)
        if (own.type == "string") != (compared.type == "string"):
            self._fault(
                token,
                f"{compared.name} is of type {compared.type}, {own.name} of type {own.type};"
                " they cannot be compared",
            )
        return CurrentItem(own)

    def _dataset_name(self, column: Token, allowed: tuple[str, ...]) -> str:
        """Return the dataset that a column names, in capitals."""
        written, _, field_name = column.partition(".")
        name = written.upper()
        known = " or ".join(_NAMES[dataset] for dataset in allowed)
        if name == "CURRENTITEM":
            raise _ComparisonError(
                column,
                "CurrentItem is what Items are compared with: Items.GENRE IN CurrentItem.GENRE",
            )
        if name not in _NAMES:
            hint = suggestion(
                name, _NAMES, f"use {known}", show=lambda near: f"{_NAMES[near]}.{field_name}"
            )
            raise _ComparisonError(column, f"there is no dataset {written}; {hint}")
        if name not in allowed:
            if allowed == ("CURRENTUSER",):
                fault = "after IF, CurrentUser alone can be compared"
            elif name == "CURRENTUSER":
                fault = "CurrentUser can only be compared after IF, at the end of the expression"
            elif len(allowed) == 1:
                fault = f"the expression began with {known} and must keep to it; chain another by |"
            else:
                fault = f"the expression can compare {known}, not {_NAMES[name]}"
                fault += "; end it with IF CurrentUser.…" if name == "USERS" else ""
            raise _ComparisonError(column, fault)
        if _dataset(name) not in self.schemas:
            dataset_type = _NAMES[_dataset(name)]
            raise _ComparisonError(
                column, f"the dataset group has no {dataset_type} dataset; create it first"
            )
        return name

    def _field(self, column: Token, dataset: str) -> Field:
        """Return the field that a column names."""
        written, dataset_name = column.partition(".")[2], _NAMES[dataset]
        fields = self.schemas[_dataset(dataset)].fields
        # Two names can differ in case alone: then the exact one is meant.
        matches = [schema_field for schema_field in fields if schema_field.name == written] or [
            schema_field for schema_field in fields if schema_field.name.upper() == written.upper()
        ]
        if not matches:
            names = [schema_field.name for schema_field in fields]
            otherwise = f"it has {', '.join(names)}"
            hint = suggestion(written, names, otherwise, show=lambda near: f"{dataset_name}.{near}")
            raise _ComparisonError(column, f"{dataset_name} has no field {written}; {hint}")
        compared = matches[0]
        if dataset in _EVENTS and compared.name != "EVENT_TYPE":
            raise _ComparisonError(column, f"of {dataset_name}, EVENT_TYPE alone can be compared")
        if compared.textual:
            raise _ComparisonError(column, f"{compared.name} is textual; no filter can compare it")
        if compared.type == "boolean":
            raise _ComparisonError(
                column,
                f"{compared.name} is a boolean; no filter can compare it. Make it a string "
                '"True" or "False", or an int 0 or 1, in the schema',
            )
        self._fields.add((_dataset(dataset), compared.name))
        if len(self._fields) > MOST_FIELDS:
            raise _ComparisonError(column, f"a filter can compare at most {MOST_FIELDS} fields")
        return compared

    def _check_value(self, token: Token, dataset: str, compared: Field, operator: str) -> None:
        is_number, name = compared.type != "string", compared.name
        if token.type == "PLACEHOLDER":
            if operator == "NOT IN":
                heading = (
                    f"Invalid input symbol: {token}. Placeholders are not allowed with NOT_IN "
                    "operator."
                )
                self._fault(token, "use IN and the opposite of INCLUDE or EXCLUDE", heading)
            if self._is_number.setdefault(token, is_number) != is_number:
                self._fault(token, f"{token} cannot be a number and a string; use two names")
        elif token.type == "STRING" and is_number:
            text = token[1:-1]
            hint = f"; write {text}" if NUMBER.fullmatch(text) else ""
            self._fault(token, f"{name} is of type {compared.type}, not a string{hint}")
        elif token == f'"{ANY_EVENT}"' and dataset not in _EVENTS:
            self._fault(token, f"{token} stands for all event types, only of EVENT_TYPE")
        elif token.type == "NUMBER" and not is_number:
            self._fault(token, f'{name} is a string; write "{token}"')

    def _fault(self, token: Token, text: str, heading: str = Fault.heading) -> None:
        self.faults.append(Fault.at(token, text, heading))


def _operator(token: Token, dataset: str, compared: Field) -> str:
    """Return the operator in capitals, e.g. `NOT IN`."""
    name = compared.name
    if token.type != "COMPARISON":
        operator = token.type.replace("_", " ")
        if compared.type != "string":
            raise _ComparisonError(
                token, f"{operator} is for strings, {name} is of type {compared.type}; use ="
            )
        return operator
    if dataset in _EVENTS:
        raise _ComparisonError(token, 'event types are matched by IN or NOT IN, e.g. IN ("click")')
    if compared.type == "string" and token not in {"=", "!="}:
        raise _ComparisonError(token, f"{token} is for numbers, {name} is a string; use IN or =")
    return str(token)


def _dataset(name: str) -> str:
    """Return the type of the dataset with this name in expressions."""
    return "USERS" if name == "CURRENTUSER" else name


def _value(token: Token) -> Value | Placeholder:
    if token.type == "PLACEHOLDER":
        return Placeholder(token[1:])
    return token[1:-1] if token.type == "STRING" else number(token)
