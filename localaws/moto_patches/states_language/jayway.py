"""JSONPath by the rules of Jayway's library, which AWS uses: https://github.com/json-path/JsonPath.

A path is parsed to steps. Each of them leads from values to values; a definite one, to one value
at most. No library of Python has these rules: what a filter on an object finds, `'1' == 1`, names.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

_GRAMMAR = r"""
    start: "$" step*
    ?step: "." NAME -> member
        | ".." NAME -> members
        | "."? bracket
        | "." "*" -> wildcard
        | ".." "*" -> wildcards
        | ".." bracket -> scan
    ?bracket: "[" TEXT "]" -> member
        | "[" TEXT ("," TEXT)+ "]" -> union
        | "[" INT "]" -> index
        | "[" INT ("," INT)+ "]" -> indices
        | "[" [INT] ":" [INT] "]" -> slice
        | "[" "*" "]" -> wildcard
        | "[" "?" "(" either ")" "]" -> filter
    ?either: both ("||" both)*
    ?both: condition ("&&" condition)*
    ?condition: value OPERATOR value -> comparison
        | path -> exists
        | "!" condition -> negation
        | "(" either ")"
    ?value: path
        | TEXT -> text
        | NUMBER -> number
        | INT -> number
        | REGEX -> regex
        | "true" -> true
        | "false" -> false
        | "null" -> null
        | "[" [value ("," value)*] "]" -> array
    path: "@" step* -> here
        | "$" step* -> there
    NAME: /[^\s.\[\]()*'"@?,=!<>&|~]+/
    TEXT: /'(\\.|[^'\\])*'/s | /"(\\.|[^"\\])*"/s
    INT: /-?\d+/
    NUMBER: /-?\d+(\.\d+)?([eE][-+]?\d+)?/
    REGEX: /\/(\\.|[^\/\\])+\/i?/
    OPERATOR: "===" | "!==" | "==" | "!=" | "<=" | ">=" | "<" | ">" | "=~" | "in" | "nin"
    %ignore /[ \t\r\n]+/
"""
_UNDEFINED = object()
_Find = Callable[[Any, Any], Iterator[Any]]


@dataclass(frozen=True)
class Step:
    """One step of a path.

    Attributes:
        find: Yields what it finds in a value; its second argument is the whole document.
        takes: The types of the values that it can be applied to.
        key: The name or index of a definite step; all names, if it makes one object of several.
    """

    find: _Find
    takes: tuple[type, ...]
    key: str | int | tuple[str, ...] | None = None


@dataclass(frozen=True)
class Path:
    """A JSONPath, parsed."""

    steps: Sequence[Step]

    @property
    def is_definite(self) -> bool:
        """Whether it can find one value alone."""
        return all(step.key is not None for step in self.steps)

    @property
    def is_reference(self) -> bool:
        """Whether it leads to one place, where a value can be put."""
        return all(isinstance(step.key, str | int) for step in self.steps)

    def find(self, value: Any, document: Any = _UNDEFINED) -> Any:
        """Return the one value of a definite path, and else the list of what it finds.

        Raises:
            LookupError: If the steps that lead to one value alone do not find it.
        """
        document = value if document is _UNDEFINED else document
        found, is_definite = [value], True
        for step in self.steps:
            if is_definite and not isinstance(found[0], step.takes):
                raise LookupError
            found = [
                one
                for before in found
                if isinstance(before, step.takes)
                for one in step.find(before, document)
            ]
            is_definite = is_definite and step.key is not None
            if is_definite and not found:
                raise LookupError
        return found[0] if is_definite else found

    def update_or_create(self, document: Any, value: Any) -> Any:
        """Put a value where a reference leads, with the objects that lead there.

        Raises:
            TypeError: If there is a value of another kind on the way.
            IndexError: If an array is shorter.
        """
        if not self.steps:
            return value
        place: Any = document
        for step, following in zip(self.steps, [*self.steps[1:], None], strict=True):
            if type(place) not in step.takes:
                raise TypeError
            if following is None:
                place[step.key] = value
            elif isinstance(place, dict):
                place = place.setdefault(step.key, {})
            else:
                place = place[step.key]
        return document


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)


@lru_cache(maxsize=1024)
def parsed(path: str) -> Path:
    """Return a JSONPath that begins with `$`, parsed.

    Raises:
        ValueError: If it is none.
    """
    try:
        steps: Path = _Steps().transform(_parser().parse(path))
    except LarkError as error:
        column = getattr(error, "column", -1)
        near = path[column - 1 :] if column > 0 else ""
        where = f"'{near}' (character {column}) cannot stand there" if near else "it ends too soon"
        raise ValueError(where) from error
    return steps


@v_args(inline=True)
class _Steps(Transformer[Token, Path]):
    """Makes steps, and what a filter tests of an item and the document, of a parsed path."""

    def start(self, *steps: Step) -> Path:
        return Path(steps)

    def member(self, name: Token) -> Step:
        key = _text(name)

        def find(value: Any, _: Any) -> Iterator[Any]:
            if key in value:
                yield value[key]

        return Step(find, (dict,), key)

    def union(self, *names: Token) -> Step:
        keys = [_text(name) for name in names]
        # One object of those that are there; Jayway calls that definite.
        return Step(
            lambda value, _: iter([{key: value[key] for key in keys if key in value}]),
            (dict,),
            tuple(keys),
        )

    def index(self, number: Token) -> Step:
        key = int(number)
        return Step(lambda value, _: iter(_items(value, [key])), (list,), key)

    def indices(self, *numbers: Token) -> Step:
        keys = [int(number) for number in numbers]
        return Step(lambda value, _: iter(_items(value, keys)), (list,))

    def slice(self, first: Token | None, last: Token | None) -> Step:
        part = slice(*(None if one is None else int(one) for one in (first, last)))
        return Step(lambda value, _: iter(value[part]), (list,))

    def wildcard(self) -> Step:
        return Step(lambda value, _: _children(value), (object,))

    def filter(self, test: Callable[[Any, Any], bool]) -> Step:
        def find(value: Any, document: Any) -> Iterator[Any]:
            items = value if isinstance(value, list) else [value]
            return (item for item in items if test(item, document))

        return Step(find, (dict, list))

    def members(self, name: Token) -> Step:
        return self.scan(self.member(name))

    def wildcards(self) -> Step:
        return self.scan(self.wildcard())

    def scan(self, step: Step) -> Step:
        # A filter meets each item by itself: not once more in its array.
        takes = (dict,) if step.takes == (dict, list) else step.takes

        def find(value: Any, document: Any) -> Iterator[Any]:
            for one in _descendants(value):
                if isinstance(one, takes):
                    yield from step.find(one, document)

        return Step(find, (object,))

    def either(self, *tests: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        return lambda item, document: any(test(item, document) for test in tests)

    def both(self, *tests: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        return lambda item, document: all(test(item, document) for test in tests)

    def negation(self, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        return lambda item, document: not test(item, document)

    def exists(self, value: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
        return lambda item, document: value(item, document) is not _UNDEFINED

    def comparison(self, left: Any, operator: Token, right: Any) -> Callable[[Any, Any], bool]:
        compare = _COMPARISONS[str(operator)]
        return lambda item, document: compare(left(item, document), right(item, document))

    def here(self, *steps: Step) -> Callable[[Any, Any], Any]:
        return lambda item, document: _found(Path(steps), item, document)

    def there(self, *steps: Step) -> Callable[[Any, Any], Any]:
        return lambda _, document: _found(Path(steps), document, document)

    def text(self, token: Token) -> Callable[[Any, Any], Any]:
        return _constant(_text(token))

    def number(self, token: Token) -> Callable[[Any, Any], Any]:
        return _constant(float(token) if re.search(r"[.eE]", token) else int(token))

    def regex(self, token: Token) -> Callable[[Any, Any], Any]:
        pattern, _, flags = token[1:].rpartition("/")
        return _constant(re.compile(pattern, re.IGNORECASE if flags else 0))

    def true(self) -> Callable[[Any, Any], Any]:
        return _constant(True)

    def false(self) -> Callable[[Any, Any], Any]:
        return _constant(False)

    def null(self) -> Callable[[Any, Any], Any]:
        return _constant(None)

    def array(self, *values: Any) -> Callable[[Any, Any], Any]:
        given = [one for one in values if one is not None]
        return lambda item, document: [one(item, document) for one in given]


def _constant(value: Any) -> Callable[[Any, Any], Any]:
    return lambda _, __: value


def _text(token: Token) -> str:
    """Return a name, or a text without quotes: AWS keeps a backslash that escapes no quote."""
    if token.type == "NAME":
        return str(token)
    return re.sub(rf"\\({token[0]})", r"\1", token[1:-1])


def _items(values: list[Any], indices: list[int]) -> list[Any]:
    return [values[index] for index in indices if -len(values) <= index < len(values)]


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descendants(value: Any) -> Iterator[Any]:
    yield value
    for child in _children(value):
        yield from _descendants(child)


def _found(path: Path, value: Any, document: Any) -> Any:
    try:
        return path.find(value, document)
    except LookupError:
        return _UNDEFINED


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    """Compare as Jayway does: the left one's type decides for a text and a number."""
    if left is _UNDEFINED or right is _UNDEFINED:
        return False
    if isinstance(left, str) and _is_number(right):
        return left == str(right)
    if _is_number(left) and isinstance(right, str):
        try:
            return Decimal(right) == Decimal(str(left))
        except InvalidOperation:
            return False
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _same(left: Any, right: Any) -> bool:
    are_alike = type(left) is type(right) or (_is_number(left) and _is_number(right))
    return are_alike and _equal(left, right)


def _order(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1; None if one has no place before or after the other."""
    if isinstance(left, str) and isinstance(right, str):
        # Java compares UTF-16.
        left, right = left.encode("utf-16-be"), right.encode("utf-16-be")
    elif not (_is_number(left) and _is_number(right)):
        return None
    return int(left > right) - int(left < right)


def _matches(left: Any, right: Any) -> bool:
    pattern, value = (left, right) if isinstance(left, re.Pattern) else (right, left)
    return isinstance(pattern, re.Pattern) and bool(
        isinstance(value, str) and pattern.fullmatch(value)
    )


def _is_in(left: Any, right: Any) -> bool:
    return isinstance(right, list) and any(_equal(left, one) for one in right)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": _same,
    "!==": lambda left, right: not _same(left, right),
    "<": lambda left, right: _order(left, right) == -1,
    "<=": lambda left, right: _order(left, right) in {-1, 0},
    ">": lambda left, right: _order(left, right) == 1,
    ">=": lambda left, right: _order(left, right) in {0, 1},
    "=~": _matches,
    "in": _is_in,
    "nin": lambda left, right: not _is_in(left, right),
}
