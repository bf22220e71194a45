"""A review as text: lines for a terminal, and the comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workflow.definition.asl import Address, Definition
from workflow.definition.mermaid import Mark, mermaid
from workflow.definition.review import SIGNS, Review, StateChange

COMMENT_MARK = "<!-- retraining-workflow-review -->"
"""First line of the pull-request comment, by which the next one finds and replaces it."""

_LONGEST_COMMENT = 60_000  # GitHub refuses 65,536 characters


@dataclass(frozen=True)
class Section:
    """What else differs, beside the workflow: a title and a line for each difference."""

    title: str
    lines: tuple[str, ...]


def as_text(review: Review, *, before: str, after: str, sections: Sequence[Section] = ()) -> str:
    """Return a review as lines for a terminal.

    Args:
        review: From `review`.
        before: A name for the earlier definition, for example `deployed`.
        after: A name for the later one.
        sections: What else differs.
    """
    lines = [f"{before} → {after}: {review.headline()}"]
    lines += [f"~ the machine: {change}" for change in review.machine]
    for change in review.states:
        lines.append(f"{SIGNS[change.status]} {_title(change)}")
        lines += [f"    {line}" for line in _details(change)]
    for section in sections:
        lines += [f"{section.title}:", *(f"    {line}" for line in section.lines)]
    return "\n".join(lines) + "\n"


def as_markdown(
    review: Review,
    *,
    before: Definition,
    after: Definition,
    title: str = "Workflow",
    sections: Sequence[Section] = (),
) -> str:
    """Return a review as a pull-request comment with the picture of both definitions.

    Args:
        review: Of the two definitions.
        before: The earlier definition; empty if there was none.
        after: The later one.
        title: The comment's.
        sections: What else differs.
    """
    lines = [COMMENT_MARK, f"### {title}: {review.headline()}", ""]
    lines += [f"- **the machine**: {_code(str(change))}" for change in review.machine]
    for change in review.states:
        lines.append(f"- {change.status} **{_plain(_title(change))}**")
        lines += [f"  - {_code(line)}" for line in _details(change)]
    if not review:
        lines.append("The workflow is the same, state by state.")
    for section in sections:
        lines += ["", f"#### {section.title}", "", *(f"- {_code(line)}" for line in section.lines)]
    body = "\n".join(lines)
    if len(body) > _LONGEST_COMMENT:
        kept = body[:_LONGEST_COMMENT].rpartition("\n")[0]
        return f"{kept}\n- … and more: too much for a comment; run `retrain diff` to see it all\n"
    pictures = _pictures(review, before, after) if review else ""
    if len(body) + len(pictures) > _LONGEST_COMMENT:
        pictures = "\n\nThe pictures are too large for a comment; see `asl/retraining.md`."
    return f"{body}{pictures}\n"


def _pictures(review: Review, before: Definition, after: Definition) -> str:
    old: dict[Address, Mark] = {}
    new: dict[Address, Mark] = {}
    for change in review.states:
        if change.address:
            new[change.address] = "added" if change.status == "added" else "changed"
        if change.former_address:
            old[change.former_address] = "removed" if change.status == "removed" else "changed"
    return _picture("Before: removed states are red", before, old) + _picture(
        "After: new states are green, changed ones yellow", after, new, is_open=True
    )


def _picture(
    title: str, definition: Definition, marks: Mapping[Address, Mark], *, is_open: bool = False
) -> str:
    if not definition:
        return f"\n\n{title.partition(':')[0]}: there was no workflow."
    return (
        f"\n\n<details{' open' if is_open else ''}><summary>{title}</summary>\n\n"
        f"```mermaid\n{mermaid(definition, marks=marks)}```\n\n</details>"
    )


def _title(change: StateChange) -> str:
    inside = f", in {change.scope}" if change.scope else ""
    former = f", formerly {change.former_name}" if change.former_name else ""
    return f"{change.state} ({change.state_type}{inside}{former})"


def _details(change: StateChange) -> Iterator[str]:
    yield from change.does
    yield from map(str, change.fields)
    targets = {transition.when: transition.target for transition in change.added}
    moved = {transition.when for transition in change.removed if transition.when in targets}
    for transition in change.removed:
        if transition.when in moved:
            target = targets[transition.when]
            yield f"transition {transition.when}: {transition.target} → {target}"
        else:
            yield f"transition removed: {transition}"
    word = "transition" if change.status == "added" else "transition added"
    for transition in change.added:
        if transition.when not in moved:
            yield f"{word}: {transition}"
    if change.reordered:
        yield f"transitions in another order: {'; '.join(map(str, change.reordered))}"


def _code(text: str) -> str:
    """Return text as Markdown code, whatever backticks it has."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|@])", r"\\\1", text)
