"""The syntax of filter expressions: text → clauses whose tokens know their position.

Elements: https://docs.aws.amazon.com/personalize/latest/dg/creating-filter-expressions.html
Keywords may be written in any case: AWS's own API reference has `EXCLUDE itemId WHERE
INTERACTIONS.event_type in ("EVENT_TYPE")`. AND binds closer than OR, and there are no
parentheses to change that.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple

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
_TERMINALS = {
    "ACTION": "INCLUDE or EXCLUDE",
    "TARGET": "ItemID, UserID or ActionID",
    "_WHERE": "WHERE",
    "COLUMN": "a field like Items.GENRE",
    "IN": "IN",
    "NOT_IN": "NOT IN",
    "COMPARISON": "one of = != < <= > >=",
    "STRING": "a string in double quotes",
    "NUMBER": "a number",
    "PLACEHOLDER": "a placeholder like $GENRE",
    "CURRENT_ITEM": "a field like CurrentItem.GENRE",
    "LPAR": "'('",
    "COMMA": "','",
    "RPAR": "')'",
    "_AND": "AND",
    "_OR": "OR",
    "_IF": "IF",
    "VBAR": "'|'",
    "$END": "the end",
}
"""Each terminal as a message names it."""

_KEYWORDS = {"ACTION", "TARGET", "_WHERE", "IN", "NOT_IN", "_AND", "_OR", "_IF"}
"""The terminals whose words may be misspelt."""

_WORD = re.compile(r'"[^"]*"?|[\w.$]+|.', re.DOTALL)
_WORD_SHOWN = 40
_LINE_SHOWN = 100


@dataclass(frozen=True)
class Fault:
    """One fault of an expression.

    Attributes:
        position: Where it begins in the text, from 0.
        text: What is wrong and what to write instead.
        heading: Personalize's own words for faults of this type.
    """

    position: int
    text: str
    heading: str = "Invalid Expression:"

    @classmethod
    def at(cls, token: Token, text: str, heading: str = heading) -> Fault:
        """Return a fault of a token."""
        return cls(token.start_pos or 0, text, heading)


class FilterError(ValueError):
    """An expression that Personalize would refuse.

    The text begins with Personalize's own words; then each fault has its position, its line and a
    caret below it.
    """

    def __init__(self, expression: str, faults: list[Fault]) -> None:
        messages = "\n".join(_message(expression, fault) for fault in faults)
        super().__init__(f"Could not create filter. {messages}")


class Comparison(NamedTuple):
    """One condition as it is written, e.g. `Items.GENRE NOT IN ("horror", "war")`."""

    column: Token
    operator: Token
    values: tuple[Token, ...]


class Clause(NamedTuple):
    """One expression as it is written.

    Attributes:
        action: INCLUDE or EXCLUDE, in any case.
        target: ItemID, UserID or ActionID, in any case.
        where: Alternatives; of each, all comparisons must hold.
        when: The comparisons after IF, all of which must hold.
    """

    action: Token
    target: Token
    where: tuple[tuple[Comparison, ...], ...]
    when: tuple[Comparison, ...] = ()


class _Clauses(Transformer[Token, Any]):
    """Turns lark's tree into clauses."""

    def condition(self, tokens: list[Token]) -> Comparison:
        return Comparison(tokens[0], tokens[1], tuple(tokens[2:]))

    conjunction = disjunction = filter = staticmethod(tuple)

    def clause(self, children: list[Any]) -> Clause:
        return Clause(*children)


def parse_clauses(expression: str) -> tuple[Clause, ...]:
    """Return the clauses that `|` separates.

    Raises:
        FilterError: At the first position from which no expression can go on.
    """
    try:
        clauses: tuple[Clause, ...] = _Clauses().transform(_PARSER.parse(expression))
    except UnexpectedInput as error:
        raise FilterError(expression, [_syntax_fault(expression, error)]) from None
    return clauses


def _syntax_fault(expression: str, error: UnexpectedInput) -> Fault:
    """Return the expected terms, the actual one, and the likely remedy."""
    accepted: set[str] = error.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    *terms, last = [text for name, text in _TERMINALS.items() if name in accepted]
    expected = f"expected {', '.join(terms)} or {last}" if terms else f"expected {last}"
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        end = len(expression.rstrip(_BLANKS))
        return Fault(end, f"{expected}, but the expression ends here")
    position = error.pos_in_stream or 0
    match = _WORD.match(expression, position)
    word = match[0] if match else ""
    shown = repr(word if len(word) <= _WORD_SHOWN else word[:_WORD_SHOWN] + "…")
    remedy = _remedy(word, accepted)
    return Fault(position, f"{expected}, not {shown}{remedy and '; '}{remedy}")


def _remedy(word: str, accepted: set[str]) -> str:
    """Return the remedy for a word where other terminals are accepted; empty if unknown."""
    if word.lower().startswith("currentuser."):
        return "CurrentUser can only be compared after IF; it is no value"
    if word.startswith('"') and "STRING" in accepted:
        return "its closing quote is missing"
    if word in "'`‘’“”" and "STRING" in accepted:
        return 'strings stand in double quotes, e.g. "horror"'
    if word == "(" and "COLUMN" in accepted:
        return "parentheses cannot group conditions"
    if word.upper() == "OR" and "VBAR" in accepted:
        return "conditions after IF can only be joined by AND"
    terms = [_TERMINALS[name] for name in accepted & _KEYWORDS]
    return suggestion(
        word, [alternative for term in terms for alternative in re.split(", | or ", term)]
    )


def _message(expression: str, fault: Fault) -> str:
    """Return a fault with its position, its line and a caret below; a long line is cut."""
    start = expression.rfind("\n", 0, fault.position) + 1
    line = expression[start:].partition("\n")[0].rstrip(_BLANKS)
    number, column = expression.count("\n", 0, start) + 1, fault.position - start
    first = max(0, min(column - _LINE_SHOWN // 2, len(line) - _LINE_SHOWN))
    shown = line[first : first + _LINE_SHOWN]
    cut_left, cut_right = "…" * (first > 0), "…" * (first + _LINE_SHOWN < len(line))
    indent = " " * (first > 0) + "".join(map(_blank, line[first:column]))
    return (
        f"{fault.heading} line {number}, column {column + 1}: {fault.text}\n"
        f"{cut_left}{shown}{cut_right}\n{indent}^"
    )


def _blank(character: str) -> str:
    """Return blanks as wide as a character is in a terminal."""
    if character == "\t":
        return character
    return "  " if unicodedata.east_asian_width(character) in {"W", "F"} else " "
