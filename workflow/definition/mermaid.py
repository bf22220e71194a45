"""ASL → Mermaid, so that a pull request shows the picture of the workflow; no network.

An id follows from the state's name, so that one more state changes no line but its own.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from workflow.definition.asl import (
    Address,
    Definition,
    Scope,
    Transition,
    parallelism,
    repetition,
    states,
)
from workflow.definition.folding import Node, drawn

Mark = Literal["added", "removed", "changed"]

_SHAPES = {
    "Choice": ('{"', '"}'),
    "Wait": ('(["', '"])'),
    "Succeed": ('(("', '"))'),
    "Fail": ('[["', '"]]'),
}
_LOOP = ('{{"', '"}}')
_START, _END = "start_of_run", "end_of_run"
# What Mermaid reads as something else than an id.
# https://mermaid.js.org/syntax/flowchart.html
_RESERVED = re.compile(
    "call|class|classdef|click|default|direction|end|flowchart|graph|href|interpolate|linkstyle"
    "|style|subgraph"
)
# Readable on light and on dark pages.
_STYLES: Mapping[Mark, str] = {
    "added": "fill:#dafbe1,stroke:#1a7f37,stroke-width:2px,color:#1c2128",
    "removed": "fill:#ffebe9,stroke:#cf222e,stroke-width:2px,color:#1c2128",
    "changed": "fill:#fff8c5,stroke:#9a6700,stroke-width:2px,color:#1c2128",
}
_ESCAPED = str.maketrans({"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;"})

Ids = Mapping[Address, str]


def mermaid(
    definition: Definition,
    *,
    unfold: bool = False,
    marks: Mapping[Address, Mark] | None = None,
) -> str:
    """Return a definition as a Mermaid flow chart.

    Maps and Parallels are boxes around their states, with a box for each branch; choices are
    diamonds, waits are rounded, poll loops hexagons; edges of a Choice carry its condition, edges
    of a Catch are dashed.

    Args:
        definition: Amazon States Language, as JSON gives it.
        unfold: Draw the states of poll loops one by one.
        marks: The states that are to stand out, by their addresses; a poll loop of which some
            states do is marked as changed.
    """
    machine = Scope(definition)
    chart = _Chart(_ids(definition), unfold, marks or {})
    drawing = drawn(machine, unfold=unfold)
    lines = ["flowchart TD", f'    {_START}(("Start"))', *chart.scope(machine, "    ")]
    for transition in drawing.transitions:
        if transition.type == "start" and transition.target:
            lines.append(f"    {_START} --> {chart.id(machine, transition.target)}")
    last = [transition.source for transition in drawing.transitions if transition.type == "end"]
    if last:
        lines.append(f'    {_END}(("End"))')
    lines += [f"    {chart.id(machine, name)} --> {_END}" for name in last]
    for mark, nodes in chart.marked.items():
        lines.append(f"    classDef {mark} {_STYLES[mark]}")
        lines.append(f"    class {','.join(nodes)} {mark}")
    return "\n".join(lines) + "\n"


def mermaid_page(title: str, definition: Definition, *, source: str, unfold: bool = False) -> str:
    """Return the Markdown page with the picture that is kept beside the rendered ASL.

    Args:
        title: The page's heading.
        definition: Amazon States Language, as JSON gives it.
        source: The Python file that composes it; empty if it is the packaged workflow.
        unfold: Draw the states of poll loops one by one.
    """
    rendered = (
        f"Rendered from `{source}`; change it there and run `retrain render`."
        if source
        else "Rendered from the packaged workflow. To change it, name a Python file of yours by"
        " `definition` under `[workflow]`, and run `retrain render`."
    )
    return f"# {title}\n\n{rendered}\n\n```mermaid\n{mermaid(definition, unfold=unfold)}```\n"


class _Chart:
    """The lines of one flow chart."""

    def __init__(self, ids: Ids, unfold: bool, marks: Mapping[Address, Mark]) -> None:
        self._ids, self._unfold, self._marks = ids, unfold, marks
        self.marked: defaultdict[Mark, list[str]] = defaultdict(list)

    def id(self, scope: Scope, name: str) -> str:
        """Return a state's id; that of one that does not exist follows from its name too."""
        address = (*scope.address, name)
        return self._ids.get(address) or f"{_word(name)}_{_digest(address)}"

    def scope(self, scope: Scope, indent: str) -> Iterator[str]:
        """Yield the lines of a scope: its nodes, then the edges between them."""
        drawing = drawn(scope, unfold=self._unfold)
        for name, node in drawing.nodes.items():
            self._mark(scope, node)
            if inner := scope.inside(name):
                yield from self._container(scope, node, inner, indent)
            else:
                shape = _LOOP if node.is_loop else _SHAPES.get(node.state.get("Type", ""))
                opening, closing = shape or ('["', '"]')
                text = f"{name} — {node.meaning}" if node.is_loop else name
                yield f"{indent}{self.id(scope, name)}{opening}{_text(text)}{closing}"
        for transition in drawing.transitions:
            if transition.type not in {"start", "end"}:
                yield indent + self._edge(scope, transition)

    def _container(
        self, scope: Scope, node: Node, inner: tuple[Scope, ...], indent: str
    ) -> Iterator[str]:
        branches = inner[0].branch > 0
        meaning = parallelism(node.state) if branches else repetition(node.state)
        box = self.id(scope, node.name)
        yield f'{indent}subgraph {box}["{_text(node.name)} — {_text(meaning)}"]'
        for each in inner:
            if branches:
                yield f'{indent}    subgraph {box}_branch_{each.branch}["branch {each.branch}"]'
                yield from self.scope(each, indent + "        ")
                yield f"{indent}    end"
            else:
                yield from self.scope(each, indent + "    ")
        yield f"{indent}end"

    def _edge(self, scope: Scope, transition: Transition) -> str:
        source, target = (self.id(scope, name) for name in (transition.source, transition.target))
        if transition.type == "catch":
            return f"{source} -.-> {target}"
        label = f'|"{_text(transition.label)}"|' if transition.label else ""
        return f"{source} -->{label} {target}"

    def _mark(self, scope: Scope, node: Node) -> None:
        marks = {self._marks.get((*scope.address, name)) for name in node.states}
        if marks != {None}:
            only = marks.pop() if len(marks) == 1 else None
            self.marked[only or "changed"].append(self.id(scope, node.name))


def _ids(definition: Definition) -> Ids:
    """Return the id of each state, by its address: the name in ASCII letters.

    A digest of the whole name, and of the scopes around it, follows where those letters are not all
    of them, or an earlier state has them.
    """
    ids: dict[Address, str] = {}
    taken = {_START, _END}
    for scope, name, _ in states(definition):
        address = (*scope.address, name)
        word = _word(name)
        is_free = word not in taken and not _RESERVED.fullmatch(word)
        node = word if is_free and _is_latin(name) else f"{word}_{_digest(address)}"
        # The boxes of branches have the id of their Parallel with a number.
        taken |= {node, *(f"{node}_branch_{each.branch}" for each in scope.inside(name))}
        ids[address] = node
    return ids


def _word(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).lower()
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_") or "state"


def _is_latin(name: str) -> bool:
    """Return whether an id has every letter and digit of a name, if not every sign."""
    plain = unicodedata.normalize("NFKD", name)
    letters = [letter for letter in plain if letter.isalnum()]
    return bool(letters) and all(letter.isascii() for letter in letters)


def _digest(address: Address) -> str:
    return hashlib.sha256(repr(address).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _text(text: str) -> str:
    return text.translate(_ESCAPED)
