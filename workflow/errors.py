"""Errors that a user sees as one message, raised where AWS is read and changed."""

from __future__ import annotations


class DeployError(RuntimeError):
    """What is on AWS cannot be read or changed; says what, why and what to do."""
