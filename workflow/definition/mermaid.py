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
"""The id of each node by its scope and name; None is for the box around a branch."""


def mermaid(definition: Definition) -> str:
    """Return a definition as a Mermaid flow chart.

    Maps and Parallels are boxes around their states, with a box for each branch; choices are
    diamonds, waits are rounded; edges of a Choice carry its condition, edges of a Catch are dashed.
    """
    machine, ids = Scope(definition), Ids()
    start, end = "start_of_run", "end_of_run"
    lines = ["flowchart TD", f'    {start}(("Start"))', *_scope(machine, ids, "    ")]
    lines.append(f"    {start} --> {_node_id(machine, machine.start, ids)}")
    last = [transition.source for transition in machine.transitions() if transition.type == "end"]
    if last:
        lines.append(f'    {end}(("End"))')
    lines += [f"    {_node_id(machine, name, ids)} --> {end}" for name in last]
    return "\n".join(lines) + "\n"


def mermaid_page(title: str, definition: Definition, *, source: str) -> str:
    """Return the Markdown page with the picture that is kept beside the rendered ASL.

    Args:
        title: The page's heading.
        definition: Amazon States Language, as JSON gives it.
        source: The Python file that composes it.
    """
    return (
        f"# {title}\n\n"
        f"Rendered from `{source}`; change it there and run `retrain render`.\n\n"
        f"```mermaid\n{mermaid(definition)}```\n"
    )


def _node_id(scope: Scope, name: str, ids: Ids) -> str:
    """Return an id that Mermaid takes: the name in ASCII letters and a number."""
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
    drawn = (
        transition for transition in scope.transitions() if transition.type not in {"start", "end"}
    )
    yield from dict.fromkeys(indent + _edge(scope, transition, ids) for transition in drawn)


def _container(
    node: str, name: str, state: State, inner: tuple[Scope, ...], ids: Ids, indent: str
) -> Iterator[str]:
    branches = inner[0].branch > 0
    meaning = parallelism(state) if branches else repetition(state)
    yield f'{indent}subgraph {node}["{_text(name)} — {_text(meaning)}"]'
    for scope in inner:
        if branches:
            box = ids.setdefault((scope, None), f"branch_{scope.branch}_{len(ids) + 1}")
            yield f'{indent}    subgraph {box}["branch {scope.branch}"]'
            yield from _scope(scope, ids, indent + "        ")
            yield f"{indent}    end"
        else:
            yield from _scope(scope, ids, indent + "    ")
    yield f"{indent}end"


def _edge(scope: Scope, transition: Transition, ids: Ids) -> str:
    source = _node_id(scope, transition.source, ids)
    target = _node_id(scope, transition.target, ids)
    if transition.type == "catch":
        return f"{source} -.-> {target}"
    label = f'|"{_text(transition.label)}"|' if transition.label else ""
    return f"{source} -->{label} {target}"


def _text(text: str) -> str:
    return text.translate(_ESCAPED)
