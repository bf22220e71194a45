"""Errors that a user sees as one message: what, where, and what to do."""

from __future__ import annotations


class WorkflowError(Exception):
    """The base of what this package raises; the command makes a message and exit code of it."""


class DeployError(WorkflowError, RuntimeError):
    """What is on AWS cannot be read or changed; says what, why and what to do."""
