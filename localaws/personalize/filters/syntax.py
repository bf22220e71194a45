"""The syntax of filter expressions: text → clauses whose tokens know their place.

Elements: https://docs.aws.amazon.com/personalize/latest/dg/creating-filter-expressions.html
Keywords may be written in any case: AWS's own API reference has ``EXCLUDE itemId WHERE
INTERACTIONS.event_type in ("EVENT_TYPE")``. AND binds closer than OR, and there are no
parentheses to change that.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, UnexpectedToken

from localaws.errors import suggestion

_PARSER = Lark(
    r"""
    filter: clause ("|" clause)*
    clause: ACTION TARGET _WHERE disjunction [_IF conjunction]
    disjunction: conjunction (_OR conjunction)*
    conjunction: condition (_AND condition)*
    condition: COLUMN COMPARISON (_value | "(" _value ")")
             | COLUMN (IN | NOT_IN) (CURRENT_ITEM | "(" _value ("," _value)* ")")
    _value: STRING | NUMBER | PLACEHOLDER | CURRENT_ITEM

    ACTION: /(INCLUDE|EXCLUDE)\b/i
    TARGET: /(ItemID|UserID|ActionID)\b/i
    _WHERE: /WHERE\b/i
    _IF: /IF\b/i
    _AND: /AND\b/i
    _OR: /OR\b/i
    IN: /IN\b/i
    NOT_IN: /NOT[ \t\r\n\f]+IN\b/i
    COMPARISON: /!=|<=|>=|=|<|>/
    COLUMN: /[A-Za-z_]\w*\.[A-Za-z_]\w*/
    STRING: /"[^"]*"/
    NUMBER: /-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(?![\w.])/
    PLACEHOLDER: /\$[A-Za-z0-9_]+\b/
    CURRENT_ITEM: /CurrentItem\.[A-Za-z_]\w*/i
    %ignore /[ \t\r\n\f]+/
    """,
    start="filter",
    parser="lalr",
    maybe_placeholders=False,
)
_BLANKS = " \t\r\n\f"
_TERMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ACTION": ("INCLUDE or EXCLUDE", ("INCLUDE", "EXCLUDE")),
    "TARGET": ("ItemID, UserID or ActionID", ("ItemID", "UserID", "ActionID")),
    "_WHERE": ("WHERE", ("WHERE",)),
    "COLUMN": ("a field like Items.GENRE", ()),
    "IN": ("IN", ("IN",)),
    "NOT_IN": ("NOT IN", ("NOT IN",)),
    "COMPARISON": ("one of = != < <= > >=", ()),
    "STRING": ("a string in double quotes", ()),
    "NUMBER": ("a number", ()),
    "PLACEHOLDER": ("a placeholder like $GENRE", ()),
    "CURRENT_ITEM": ("a field like CurrentItem.GENRE", ()),
    "LPAR": ("'('", ()),
    "COMMA": ("','", ()),
    "RPAR": ("')'", ()),
    "_AND": ("AND", ("AND",)),
    "_OR": ("OR", ("OR",)),
    "_IF": ("IF", ("IF",)),
    "VBAR": ("'|'", ()),
    "$END": ("the end", ()),
}
"""Each terminal as a person calls it, and the words that it stands for, if it stands for words."""

_PIECE = re.compile(r'"[^"]*"?|[\w.$]+|.', re.DOTALL)
_PIECE_SHOWN = 40
_LINE_SHOWN = 100
_REFERENCES = {
    "currentuser.": "CurrentUser can only be compared after IF; it is no value",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in an expression.

    Args:
        position: Where it begins in the text, from 0.
        text: What is wrong and what to write instead.
        kind: How Personalize calls it.
    """

    position: int
    text: str
    kind: str = "Invalid Expression:"


class FilterError(ValueError):
    """An expression that Personalize would refuse.

    The text begins with Personalize's own words; then each fault has its place, its line and a
    caret below it.

    Args:
        expression: The whole text.
        faults: What is wrong with it.
    """

    def __init__(self, expression: str, faults: list[Fault]) -> None:
        shown = "\n".join(_shown(expression, fault) for fault in faults)
        super().__init__(f"Could not create filter. {shown}")


@dataclass(frozen=True)
class Comparison:
    """One condition as it is written, e.g. ``Items.GENRE NOT IN ("horror", "war")``."""

    column: Token
    operator: Token
    values: tuple[Token, ...]


@dataclass(frozen=True)
class Clause:
    """One expression as it is written.

    Args:
        action: INCLUDE or EXCLUDE, in any case.
        target: ItemID, UserID or ActionID, in any case.
        where: Alternatives; of each, all comparisons must hold.
        when: The comparisons after IF, all of which must hold.
    """

    action: Token
    target: Token
    where: tuple[tuple[Comparison, ...], ...]
    when: tuple[Comparison, ...]


class _Clauses(Transformer[Token, Any]):
    """lark's tree → clauses."""

    def condition(self, tokens: list[Token]) -> Comparison:
        return Comparison(tokens[0], tokens[1], tuple(tokens[2:]))

    conjunction = disjunction = filter = staticmethod(tuple)

    def clause(self, parts: list[Any]) -> Clause:
        action, target, where, *when = parts
        return Clause(action, target, where, when[0] if when else ())


def parse_clauses(expression: str) -> tuple[Clause, ...]:
    """The clauses that ``|`` separates.

    Raises:
        FilterError: At the first place that no expression can go on from.
    """
    try:
        clauses: tuple[Clause, ...] = _Clauses().transform(_PARSER.parse(expression))
    except UnexpectedInput as error:
        raise FilterError(expression, [_syntax_fault(expression, error)]) from None
    return clauses


def _syntax_fault(expression: str, error: UnexpectedInput) -> Fault:
    """What could follow, what is there instead, and the likely remedy."""
    accepted: set[str] = error.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    *terms, last = [text for name, (text, _) in _TERMS.items() if name in accepted]
    expected = f"expected {', '.join(terms)} or {last}" if terms else f"expected {last}"
    end = len(expression.rstrip(_BLANKS))
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return Fault(end, f"{expected}, but the expression ends here")
    position = error.pos_in_stream or 0
    piece = expression[position:]
    if match := _PIECE.match(piece):
        piece = match[0]
    found = repr(piece if len(piece) <= _PIECE_SHOWN else piece[:_PIECE_SHOWN] + "…")
    remedy = _remedy(piece, accepted)
    return Fault(position, f"{expected}, not {found}{remedy and '; '}{remedy}")


def _remedy(piece: str, accepted: set[str]) -> str:
    """What to do about a piece of text where other terminals are accepted; empty if unknown."""
    for prefix, text in _REFERENCES.items():
        if piece.lower().startswith(prefix):
            return text
    if piece.startswith('"') and "STRING" in accepted:
        return "its closing quote is missing"
    if piece in "'`‘’“”" and "STRING" in accepted:
        return 'strings stand in double quotes, e.g. "horror"'
    if piece == "(" and "COLUMN" in accepted:
        return "parentheses cannot group conditions"
    if piece.upper() == "OR" and "VBAR" in accepted:
        return "conditions after IF can only be joined by AND"
    return suggestion(piece, [word for name in accepted for word in _TERMS[name][1]])


def _shown(expression: str, fault: Fault) -> str:
    """A fault with its place, its line and a caret below; of a long line, the part around it."""
    start = expression.rfind("\n", 0, fault.position) + 1
    line = expression[start:].partition("\n")[0].rstrip(_BLANKS)
    number, column = expression.count("\n", 0, start) + 1, fault.position - start
    first = max(0, min(column - _LINE_SHOWN // 2, len(line) - _LINE_SHOWN))
    part = line[first : first + _LINE_SHOWN]
    cut_left, cut_right = "…" * (first > 0), "…" * (first + _LINE_SHOWN < len(line))
    indent = " " * (first > 0) + "".join(map(_blank, line[first:column]))
    return (
        f"{fault.kind} line {number}, column {column + 1}: {fault.text}\n"
        f"{cut_left}{part}{cut_right}\n{indent}^"
    )


def _blank(character: str) -> str:
    """Blanks as wide as a character is in a terminal."""
    if character == "\t":
        return character
    return "  " if unicodedata.east_asian_width(character) in {"W", "F"} else " "
