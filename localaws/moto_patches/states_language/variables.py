"""The variables that a state reads: their values are those on the state's entry."""

from collections.abc import Mapping
from typing import Any

from moto.stepfunctions.parser.asl.component.state.state import CommonStateField

from localaws.moto_patches.patch import Patch


def variables_of(env: Any) -> Mapping[str, Any]:
    """Return what a state's expressions see of variables, by their names."""
    values: Mapping[str, Any] = getattr(env.variable_store, "values_on_entry", _current(env))
    return values


def _current(env: Any) -> dict[str, Any]:
    return {**env.variable_store._outer_scope, **env.variable_store._inner_scope}


def variables_on_entry(patch: Patch) -> None:
    """Show a state the variables as they were on its entry: moto's Output sees its own Assign.

    https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
    """

    @patch.around(CommonStateField)
    def _eval_state_input(original: Any, self: Any, env: Any) -> None:
        env.variable_store.values_on_entry = _current(env)
        env.entered_event_id = env.event_history_context.source_event_id
        original(self, env)
