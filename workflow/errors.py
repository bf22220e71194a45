"""Errors that a user sees as one message: position, problem and remedy."""

from __future__ import annotations

from collections.abc import Iterable


class WorkflowError(Exception):
    """The base of this package's errors; the command makes a message and an exit code of it."""


class DeployError(WorkflowError, RuntimeError):
    """A resource on AWS that cannot be read or changed; says which, why and what to do."""


class StructureError(WorkflowError, ValueError):
    """A graph that would be refused, or would not run as meant.

    Attributes:
        faults: Every reason.
    """

    def __init__(self, faults: Iterable[str], *, location: str = "") -> None:
        # A fault may name half of a surrogate pair, which cannot be printed.
        self.faults = tuple(fault.encode("utf-8", "backslashreplace").decode() for fault in faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        where = f"{location}: " if location else ""
        super().__init__(f"{where}the workflow graph is faulty:\n{lines}")
