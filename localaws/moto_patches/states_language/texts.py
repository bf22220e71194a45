"""Repairs to the texts of a definition, and to the JSON texts that states and services get."""

import json
import re
import threading
from typing import Any

import orjson
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.antlt4utils.antlr4utils import is_terminal
from moto.stepfunctions.parser.asl.eval.variable_store import VariableStore
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from localaws.moto_patches.patch import Patch

DEEPEST = 200
"""Levels of arrays and objects in JSON texts: the interpreter copies values by recursion."""
_MOST_TREES = 32
_trees: dict[str, Any] = {}  # the one that was used last at the end
_trees_lock = threading.Lock()


def definition_texts(patch: Patch) -> None:
    r"""Read a definition's strings as JSON: moto keeps `\u540d`, `\/` and `\"` as they are written.

    So a name in Japanese, which the SDK escapes, matches nothing and is found at no path.
    """

    def text_of(parser_rule_context: Any) -> Any:
        if is_terminal(parser_rule_context, ASLLexer.NULL):
            return None
        text = parser_rule_context.getText()
        return json.loads(text) if text.startswith('"') else text

    @patch.around(AmazonStateLanguageParser, "parse")
    def parse(original: Any, definition: str) -> Any:
        # The lexer knows ASCII by a table, and takes a minute for a long text in Japanese.
        escaped = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], definition)
        return original(escaped)

    patch.replace(preprocessor.Preprocessor, "_inner_string_of", staticmethod(text_of))
    patch.replace(preprocessor, "from_string_literal", text_of)


def parse_trees(patch: Patch) -> None:
    """Keep the trees of definitions: moto parses one at each execution, which takes 0.1 s and more.

    What is evaluated is made of the tree anew for each execution.
    """

    @patch.around(ASLParser)
    def state_machine(original: Any, self: Any) -> Any:
        text = self.getTokenStream().tokenSource.inputStream.strdata
        with _trees_lock:
            tree = _trees.pop(text, None)
        tree = tree or original(self)
        if self.getNumberOfSyntaxErrors() == 0:
            with _trees_lock:
                _trees[text] = tree
                if len(_trees) > _MOST_TREES:
                    del _trees[next(iter(_trees))]
        return tree


def json_value(text: str | bytes) -> Any:
    r"""Return the value of a JSON text.

    Raises:
        ValueError: If it is none, or has what Python alone takes for JSON: NaN, Infinity, numbers
            that no double holds, half of a surrogate pair (`"\ud800"`), which no response can
            have, and more levels than `DEEPEST`.
    """
    if _is_deeper(orjson.loads(text), DEEPEST):
        raise ValueError(f"the local AWS takes {DEEPEST} levels of arrays and objects, not more")
    return json.loads(text)  # which keeps integers of any length


def _is_deeper(value: Any, levels: int) -> bool:
    members = [value]
    for _ in range(levels + 1):
        members = [
            member
            for one in members
            if isinstance(one, dict | list)
            for member in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(members)


def json_text(value: Any) -> str:
    """Return a value as AWS writes JSON: compact, Japanese unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def json_texts(patch: Patch) -> None:
    """Write JSON as AWS does: moto escapes what is not ASCII, and not what a variable holds."""

    def to_json_str(obj: Any, separators: tuple[str, str] | None = None) -> str:
        return json_text(obj)

    def get_assigned_variables(self: Any) -> dict[str, str]:
        return {name: json_text(self.get(name)) for name in self._declaration_tracing}

    patch.replace_imported("moto.stepfunctions.parser", "to_json_str", to_json_str)
    patch.replace(VariableStore, "get_assigned_variables", get_assigned_variables)
