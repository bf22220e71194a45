"""ASL → Mermaid, so that a pull request shows the picture of the workflow; no network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SHAPES = {
    "Choice": ('{"', '"}'),
    "Wait": ('(["', '"])'),
    "Succeed": ('(("', '"))'),
    "Fail": ('[["', '"]]'),
}


def mermaid(definition: Mapping[str, Any]) -> str:
    """Return a definition as a Mermaid flow chart.

    Maps are boxes around their states, choices are diamonds, waits are rounded; edges of a Choice
    carry its condition, edges of a Catch are dashed.
    """
    names: dict[str, str] = {}
    lines = ["flowchart TD"]
    start, end = "start_of_run", "end_of_run"
    lines += [f'    {start}(("Start"))', *_scope(definition, names, "    ")]
    lines.append(f"    {start} --> {_node_id(definition['StartAt'], names)}")
    if any(state.get("End") for state in definition["States"].values()):
        lines.append(f'    {end}(("End"))')
    lines += _end_edges(definition, names, end)
    return "\n".join(lines) + "\n"


def mermaid_page(title: str, definition: Mapping[str, Any]) -> str:
    """Return a Markdown page that shows the picture, as it stands beside the rendered ASL."""
    return (
        f"# {title}\n\n"
        "Rendered from `workflow/definition/graph.py`; change it there and run `make golden`.\n\n"
        f"```mermaid\n{mermaid(definition)}```\n"
    )


def _node_id(name: str, names: dict[str, str]) -> str:
    """Return an id that Mermaid takes: a readable one, with a number where that is no word."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return names.setdefault(name, f"{word or 'state'}_{len(names) + 1}")


def _scope(scope: Mapping[str, Any], names: dict[str, str], indent: str) -> Iterator[str]:
    for name, state in scope["States"].items():
        node = _node_id(name, names)
        inner = state.get("Iterator") or state.get("ItemProcessor")
        if inner:
            items = state.get("ItemsPath", "$")
            yield f'{indent}subgraph {node}["{_text(name)} — for each of {_text(items)}"]'
            yield from _scope(inner, names, indent + "    ")
            yield f"{indent}end"
        else:
            opening, closing = _SHAPES.get(state["Type"], ('["', '"]'))
            yield f"{indent}{node}{opening}{_text(name)}{closing}"
    for name, state in scope["States"].items():
        yield from (f"{indent}{edge}" for edge in _edges(name, state, names))


def _edges(name: str, state: Mapping[str, Any], names: dict[str, str]) -> Iterator[str]:
    node = _node_id(name, names)
    for rule in state.get("Choices", ()):
        yield f'{node} -->|"{_text(_condition(rule))}"| {_node_id(rule["Next"], names)}'
    if "Default" in state:
        yield f'{node} -->|"otherwise"| {_node_id(state["Default"], names)}'
    if "Next" in state:
        yield f"{node} --> {_node_id(state['Next'], names)}"
    for target in dict.fromkeys(catch["Next"] for catch in state.get("Catch", ())):
        yield f"{node} -.-> {_node_id(target, names)}"


def _end_edges(scope: Mapping[str, Any], names: dict[str, str], end: str) -> Iterator[str]:
    for name, state in scope["States"].items():
        if state.get("End"):
            yield f"    {_node_id(name, names)} --> {end}"


def _condition(rule: Mapping[str, Any]) -> str:
    operator = next((key for key in rule if key not in {"Variable", "Next", "Comment"}), "")
    return str(rule.get(operator)) if operator.endswith("Equals") else operator


def _text(text: str) -> str:
    return text.replace('"', "#quot;")
