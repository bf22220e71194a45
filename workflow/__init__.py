"""The retraining workflow, from configuration to a state machine.

    from workflow import build_workflow, load_config

    workflow = build_workflow(load_config("retraining.toml"))
    workflow.create()

`workflow.definition.render.render(config)` gives the ASL text that is reviewed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflow.config import Config, load_config, parse_config
from workflow.mistakes import ConfigError

if TYPE_CHECKING:
    from workflow.definition.stages import Stages
    from workflow.state_machine import RetrainingWorkflow, build_workflow

__all__ = [
    "Config",
    "ConfigError",
    "RetrainingWorkflow",
    "Stages",
    "build_workflow",
    "load_config",
    "parse_config",
]


def __getattr__(name: str) -> Any:
    """Import what needs the SDK on first use: it costs a second that reading a file need not."""
    if name == "Stages":
        from workflow.definition.stages import Stages  # noqa: PLC0415

        return Stages
    if name in {"build_workflow", "RetrainingWorkflow"}:
        from workflow import state_machine  # noqa: PLC0415

        return getattr(state_machine, name)
    raise AttributeError(f"module 'workflow' has no attribute '{name}'")
