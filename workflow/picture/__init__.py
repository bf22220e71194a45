"""A picture of a workflow: an Amazon States Language definition → one SVG, no network.

    from workflow.picture import picture

    svg = picture(definition)                           # what it does
    svg = picture(definition, progress_of(events))      # what became of an execution

Three stages, each pure: `transitions` takes from a definition what is drawn, `layout` places boxes
and lines (`layering` hands one scope to the layout engine), `drawing` makes an SVG of it.
"""

from __future__ import annotations

from workflow.picture.drawing import measure, picture
from workflow.picture.transitions import PictureError

__all__ = ["PictureError", "measure", "picture"]
