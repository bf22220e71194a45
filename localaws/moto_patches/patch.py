"""Replace attributes of moto, or add what it lacks, and put back what was there."""

from typing import Any

_ABSENT = object()


class Patch:
    """Attributes changed by one repair, with what was there before."""

    def __init__(self) -> None:
        self._changed: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Set an attribute that `owner` itself has; return what was there.

        Raises:
            KeyError: If `owner` has no such attribute of its own: moto has changed.
        """
        before = vars(owner)[name]
        self._changed.append((owner, name, before, value))
        setattr(owner, name, value)
        return before

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute that `owner` does not have.

        Raises:
            KeyError: If it has one: moto has changed.
        """
        if hasattr(owner, name):
            raise KeyError(name)
        self._changed.append((owner, name, _ABSENT, value))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put back what was there."""
        for owner, name, before, _ in reversed(self._changed):
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def redo(self) -> None:
        """Change again after `undo`."""
        for owner, name, _, value in self._changed:
            setattr(owner, name, value)
