"""A picture of a workflow: an Amazon States Language definition → one SVG, no network.

    from workflow.picture import picture

    svg = picture(definition)                                     # what it does
    svg = picture(definition, progress_of(events, definition))    # what became of an execution

What is drawn, `workflow.definition.folding` says. Two stages, each pure: `layout` places boxes and
lines (`layering` hands one scope to the layout engine), `drawing` makes an SVG of them, with the
words of `captions`.
"""

from __future__ import annotations

from workflow.picture.captions import measure
from workflow.picture.drawing import picture
from workflow.picture.transitions import PictureError

__all__ = ["PictureError", "measure", "picture"]
