"""ASL → Mermaid, so that a pull request shows the picture of the workflow; no network."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflow.definition.asl import Definition, Scope, State, Transition, parallelism, repetition

_SHAPES = {
    "Choice": ('{"', '"}'),
    "Wait": ('(["', '"])'),
    "Succeed": ('(("', '"))'),
    "Fail": ('[["', '"]]'),
}
_ESCAPED = str.maketrans({"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;"})

Ids = dict[tuple[Scope, str | None], str]
"""The id of each node by its scope and name; None stands for the box around a branch."""


def mermaid(definition: Definition) -> str:
    """Return a definition as a Mermaid flow chart.

    Maps and Parallels are boxes around their states, with a box for each branch; choices are
    diamonds, waits are rounded; edges of a Choice carry its condition, edges of a Catch are dashed.
    """
    machine, ids = Scope(definition), Ids()
    start, end = "start_of_run", "end_of_run"
    lines = ["flowchart TD", f'    {start}(("Start"))', *_scope(machine, ids, "    ")]
    lines.append(f"    {start} --> {_node_id(machine, machine.start, ids)}")
    last = [way.source for way in machine.transitions() if way.kind == "end"]
    if last:
        lines.append(f'    {end}(("End"))')
    lines += [f"    {_node_id(machine, name, ids)} --> {end}" for name in last]
    return "\n".join(lines) + "\n"


def mermaid_page(title: str, definition: Definition) -> str:
    """Return a Markdown page that shows the picture, as it stands beside the rendered ASL."""
    return (
        f"# {title}\n\n"
        "Rendered from `workflow/definition/graph.py`; change it there and run `make golden`.\n\n"
        f"```mermaid\n{mermaid(definition)}```\n"
    )


def _node_id(scope: Scope, name: str, ids: Ids) -> str:
    """Return an id that Mermaid takes: a readable one, with a number where that is no word."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return ids.setdefault((scope, name), f"{word or 'state'}_{len(ids) + 1}")


def _scope(scope: Scope, ids: Ids, indent: str) -> Iterator[str]:
    for name, state in scope.states.items():
        node, inner = _node_id(scope, name, ids), scope.inside(name)
        if inner:
            yield from _container(node, name, state, inner, ids, indent)
        else:
            opening, closing = _SHAPES.get(state.get("Type", ""), ('["', '"]'))
            yield f"{indent}{node}{opening}{_text(name)}{closing}"
    drawn = (way for way in scope.transitions() if way.kind not in {"start", "end"})
    yield from dict.fromkeys(indent + _edge(scope, way, ids) for way in drawn)


def _container(
    node: str, name: str, state: State, inner: tuple[Scope, ...], ids: Ids, indent: str
) -> Iterator[str]:
    branches = inner[0].branch > 0
    what = parallelism(state) if branches else repetition(state)
    yield f'{indent}subgraph {node}["{_text(name)} — {_text(what)}"]'
    for scope in inner:
        if branches:
            box = ids.setdefault((scope, None), f"branch_{scope.branch}_{len(ids) + 1}")
            yield f'{indent}    subgraph {box}["branch {scope.branch}"]'
            yield from _scope(scope, ids, indent + "        ")
            yield f"{indent}    end"
        else:
            yield from _scope(scope, ids, indent + "    ")
    yield f"{indent}end"


def _edge(scope: Scope, way: Transition, ids: Ids) -> str:
    source, target = (_node_id(scope, name, ids) for name in (way.source, way.target))
    if way.kind == "catch":
        return f"{source} -.-> {target}"
    return f'{source} -->|"{_text(way.label)}"| {target}' if way.label else f"{source} --> {target}"


def _text(text: str) -> str:
    return text.translate(_ESCAPED)
