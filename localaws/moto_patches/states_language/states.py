"""Repairs to Map states, and to the role of whatever a state starts."""

from functools import cached_property
from typing import Any

from antlr4 import CommonTokenStream, InputStream
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.payload.payloadvalue.payloadbinding import (
    payload_binding,
)
from moto.stepfunctions.parser.asl.component.common.query_language import (
    QueryLanguage,
    QueryLanguageMode,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map import state_map
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    inline_iteration_component,
)
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure

INLINE_MAP_CONCURRENCY = 40
"""The most items that AWS runs at once of an inline Map, whatever its `MaxConcurrency`.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""

_NO_ARRAY = "Map state input must be an array"


def map_concurrency(patch: Patch) -> None:
    """Run 40 items of a Map at most, as AWS does: moto starts a thread for each of them."""

    @patch.around(inline_iteration_component.InlineIterationComponent)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        request = env.stack[-1]
        limit = request.max_concurrency or INLINE_MAP_CONCURRENCY
        request.max_concurrency = min(limit, INLINE_MAP_CONCURRENCY, len(request.input_items)) or 1
        original(self, env)


def map_items(patch: Patch) -> None:
    """Fail a Map whose ItemsPath leads to no array by States.Runtime, which no Catch matches.

    moto reports it as an error of JSONata, as an item's own failure may be.
    """

    @patch.around(state_map.StateMap)
    def _eval_execution(original: Any, self: Any, env: Any) -> None:
        try:
            original(self, env)
        except FailureEventException as error:
            details = (error.failure_event.event_details or {}).get("evaluationFailedEventDetails")
            is_no_array = str((details or {}).get("cause", "")).startswith(_NO_ARRAY)
            if not (is_no_array and self._is_language_query_jsonpath()):
                raise
            path = self.items_path.string_sampler.literal_value
            cause = f"Reference path '{path}' must point to array."
            raise failure(env, StatesErrorNameType.StatesRuntime, cause) from error


def query_languages(patch: Patch) -> None:
    """Read each definition in its own query language: moto keeps it in one list for the process.

    After a JSONata definition that it refuses in the middle, every other one is read as JSONata.
    It also refuses JSONPath in a JSONata Map of a machine that uses JSONPath.
    """
    name = "_query_language_per_scope"
    scopes = cached_property[list[Any]](lambda _: [])
    scopes.__set_name__(Preprocessor, name)
    patch.replace(Preprocessor, name, scopes)

    @patch.around(Preprocessor)
    def _open_query_language_scope(original: Any, self: Any, parse_tree: Any) -> None:
        opened = self._query_language_per_scope
        try:
            original(self, parse_tree)
        except ValueError:
            # A state in a JSONata Map may use JSONPath again, unless the whole machine is JSONata.
            if opened[0].query_language_mode == QueryLanguageMode.JSONata:
                raise
            opened.append(QueryLanguage(QueryLanguageMode.JSONPath))


def role_paths(patch: Patch) -> None:
    """Read `RoleArn.$` as a path: in moto's grammar it is a word of Credentials, and no path."""

    @patch.around(Preprocessor)
    def visitPayload_binding_value(  # noqa: N802  moto's name
        original: Any, self: Any, context: Any
    ) -> Any:
        name = self.visitString_literal(ctx=context.string_literal()).literal_value
        if not name.endswith(".$"):
            return original(self, context)
        text = InputStream(context.payload_value_decl().getText())
        value = ASLParser(CommonTokenStream(ASLLexer(text))).string_expression_simple()
        return payload_binding.PayloadBindingStringExpressionSimple(
            field=name.removesuffix(".$"),
            string_expression_simple=self.visitString_expression_simple(value),
        )
