"""The error of a project: one message that says where, what and what to do."""

from __future__ import annotations

from workflow.errors import WorkflowError


class ProjectError(WorkflowError):
    """A project cannot be proposed, written or previewed."""
