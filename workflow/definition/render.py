"""Graph → canonical ASL text, and the difference of two definitions.

Rendering is a pure function of the configuration: it makes no client and reads no environment, so
the text under `asl/` is the same bytes on every machine. What breaks a rule of `structure` is not
rendered.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.definition.graph import retraining_graph
from workflow.definition.structure import structural_faults
from workflow.errors import StructureError

# The order in which people read a state; the language itself has none.
_KEY_ORDER = (
    "Comment", "StartAt", "Type", "QueryLanguage", "Resource", "ErrorEquals", "FunctionName",
    "JobName", "InputPath", "ItemsPath", "MaxConcurrency", "Parameters", "Arguments", "Seconds",
    "SecondsPath", "Choices", "Variable", "StringEquals", "Iterator", "ResultSelector",
    "ResultPath", "OutputPath", "Output", "Error", "ErrorPath", "Cause", "CausePath",
    "TimeoutSeconds", "IntervalSeconds", "BackoffRate", "MaxDelaySeconds", "MaxAttempts",
    "JitterStrategy", "Retry", "Catch", "Default", "Next", "End", "States",
)  # fmt: skip
_RANK = {key: rank for rank, key in enumerate(_KEY_ORDER)}
# Names of states and of data are the author's: their order is kept.
_KEPT_AS_WRITTEN = frozenset({"States", "Parameters", "Payload", "Arguments", "ResultSelector"})


def render(config: Config) -> str:
    """Return the workflow of `config` as canonical ASL text, ending in a line break.

    Raises:
        StructureError: If the graph breaks a structural rule.
    """
    return render_definition(retraining_graph(config).to_dict())


def render_definition(definition: Definition) -> str:
    """Return any definition as canonical ASL text.

    Raises:
        StructureError: If it breaks a structural rule.
    """
    faults = list(structural_faults(definition))
    if faults:
        raise StructureError(faults)
    return json.dumps(_order_keys(definition), ensure_ascii=False, indent=2) + "\n"


def difference(committed: str, rendered: str) -> str:
    """Return the changes from `committed` to `rendered` as a unified diff; empty if none."""
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True),
        rendered.splitlines(keepends=True),
        "committed",
        "rendered",
    )
    return "".join(lines)


def _order_keys(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        names = value if key in _KEPT_AS_WRITTEN else sorted(value, key=_rank)
        return {name: _order_keys(value[name], name) for name in names}
    if isinstance(value, list):
        return [_order_keys(item) for item in value]
    return value


def _rank(key: str) -> tuple[int, str]:
    return _RANK.get(key, len(_RANK)), key
