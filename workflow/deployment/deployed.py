"""The functions of a deployment: those of the package that its workflow calls, and a team's own."""

from __future__ import annotations

import re

from workflow.config import Config
from workflow.definition import asl
from workflow.definition.asl import Definition

BY_EVENTS = frozenset({"send-notification"})
"""The packaged functions that no state calls, but a rule of EventBridge."""

_NAME = re.compile(r"[\w-]+")


def deployed_functions(config: Config, definition: Definition) -> tuple[str, ...]:
    """Return the names of the functions that a deployment has.

    A team's own are deployed whether a state calls them or not: other things may. So are those
    that a rule calls.

    Args:
        config: The configuration.
        definition: The state machine's.
    """
    named = [asl.function_name(state) for _, _, state in asl.states(definition)]
    called = {name.rpartition(":function:")[2].partition(":")[0] for name in named}
    # A state whose function the execution chooses, by a path or an expression, may call any.
    is_chosen = any(name and not _NAME.fullmatch(name) for name in called)
    return tuple(
        name
        for name in config.function_names
        if name in {*config.functions, *BY_EVENTS} or is_chosen or config.function(name) in called
    )
