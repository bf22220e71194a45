"""The words of a picture: notes below names, tooltips, the description for screen readers."""

from __future__ import annotations

from collections.abc import Iterator

from workflow.definition.asl import State, Transition
from workflow.definition.folding import Node
from workflow.definition.wording import doing
from workflow.durations import duration
from workflow.picture.layout import Area
from workflow.picture.transitions import first
from workflow.runs.progress import Progress, StateRecord

_INSTANT = frozenset({"Choice", "Pass", "Succeed", "Fail"})


def record_of(node: Node, progress: Progress | None) -> StateRecord | None:
    """Return what became of a node in an execution; None if it was not reached."""
    if progress is None:
        return None
    if node.is_loop:
        return progress.together(node.states, counted=node.polling)
    return progress.states.get(node.name)


def note(node: Node, record: StateRecord | None) -> str:
    """Return the note below a node's name: what became of it, or else what it does."""
    if node.is_loop:
        return (record and _measure_polls(record)) or node.meaning.capitalize()
    return (record and measure(record, node.state["Type"])) or doing(node.state)


def measure(record: StateRecord, state_type: str) -> str:
    """Return a state's record in few words: `1.2 s · 3× · 3 of 3`.

    A status that is neither usual nor passing comes first: `caught · 1.2 s`.

    Args:
        record: The state's record.
        state_type: Its `Type`.
    """
    took = record.seconds
    if took is not None and state_type in _INSTANT and took < 0.05:
        took = None
    return _words(record, took, f"{record.attempts}×" if record.attempts > 1 else "")


def tooltip(node: Node, progress: Progress | None) -> str:
    """Return what is known of a node, a line for each; of a poll loop also its states."""
    lines = [node.name]
    if node.is_loop:
        lines.append(node.meaning.capitalize())
        if progress:
            lines.append(_history(record_of(node, progress), verb="polled"))
    for name, state in node.states.items():
        named = f"{name} – " if node.is_loop else ""
        lines.append(f"{named}{state['Type']}: {doing(state)}")
        lines += _remarks(state)
        if progress:
            lines.append(_history(progress.states.get(name)))
    return "\n".join(lines)


def transition_title(transition: Transition) -> str:
    """Return a transition in full: `Ready? → Failed: when $.status is "CREATE FAILED"`."""
    prefix = {"catch": "on ", "choice": "when "}.get(transition.type, "")
    reason = f": {prefix}{transition.detail}" if transition.detail else ""
    return f"{transition.source or 'Start'} → {transition.target or 'End'}{reason}"


def description(area: Area, progress: Progress | None) -> str:
    """Return the picture in a sentence, for those who do not see it."""
    nodes = [box.node for box in area.all_boxes()]
    loops = [node for node in nodes if node.is_loop]
    count = sum(len(node.states) for node in nodes)
    start = first(line.transition for line in area.lines)
    folded = sum(len(loop.states) for loop in loops)
    where = f"{len(loops)} poll loop{'s' if len(loops) > 1 else ''}"
    text = (
        f"{count} states{f', {folded} of them in {where}' if loops else ''}, the first is {start}."
    )
    if not progress:
        return text
    by_status = [record.status for record in progress.states.values()]
    counts = ", ".join(f"{by_status.count(status)} {status}" for status in dict.fromkeys(by_status))
    return f"{text} The execution is {progress.status}: {counts or 'no state reached yet'}."


def _measure_polls(record: StateRecord) -> str:
    """Return a poll loop's record in few words: `42 min · 31 polls · 3 of 3`."""
    polls = f"{record.visits} poll{'' if record.visits == 1 else 's'}"
    return _words(record, record.seconds, polls if record.visits else "")


def _words(record: StateRecord, seconds: float | None, counted: str) -> str:
    unusual = "" if record.status in {"succeeded", "running"} else record.status
    took = "" if seconds is None else duration(seconds)
    through = "" if record.items is None else f"{record.done} of {record.items}"
    return " · ".join(filter(None, (unusual, took, counted, through)))


def _remarks(state: State) -> Iterator[str]:
    if comment := state.get("Comment"):
        yield str(comment)
    for retry in state.get("Retry", ()):
        yield f"retried on {' or '.join(retry.get('ErrorEquals', ()))}"


def _history(record: StateRecord | None, *, verb: str = "entered") -> str:
    if record is None:
        return "not reached"
    visits = "once" if record.visits == 1 else f"{record.visits} times"
    took = f", {duration(record.seconds)}" if record.seconds is not None else ""
    return f"{record.status}; {verb} {visits}, tried {record.attempts}×{took}"
