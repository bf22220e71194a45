"""Errors that a user sees as one message: position, problem and remedy."""

from __future__ import annotations


class WorkflowError(Exception):
    """The base of this package's errors; the command makes a message and an exit code of it."""


class DeployError(WorkflowError, RuntimeError):
    """A resource on AWS that cannot be read or changed; says which, why and what to do."""
