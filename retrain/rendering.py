"""The files that are rendered of a workflow's definition, for review in pull requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow.config import Config


def rendered_files(
    config: Config,
    definition: Mapping[str, Any],
    *,
    name: str = "retraining",
    unfold: bool = False,
) -> dict[str, str]:
    """Return name → text of each file: the definition, its Mermaid page and its picture.

    Args:
        config: The configuration.
        definition: The definition that its graph gives.
        name: Of the files, without their suffixes.
        unfold: Whether the pictures show each state of a poll loop.
    """
    from workflow.definition.mermaid import mermaid_page  # noqa: PLC0415  the SDK costs time
    from workflow.definition.render import render_definition  # noqa: PLC0415
    from workflow.picture import picture  # noqa: PLC0415

    return {
        f"{name}.asl.json": render_definition(definition),
        f"{name}.md": mermaid_page(
            config.state_machine, definition, source=config.workflow.definition, unfold=unfold
        ),
        f"{name}.svg": picture(definition, title=config.state_machine, unfold=unfold) + "\n",
    }
