"""Replace attributes of moto, and put back what was there."""

from typing import Any


class Patch:
    """Attributes replaced by one repair, with what was there before."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Set an attribute that `owner` itself has; return what was there.

        Raises:
            KeyError: If `owner` has no such attribute of its own: moto has changed.
        """
        before = vars(owner)[name]
        self._replaced.append((owner, name, before, value))
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        """Put back what was there."""
        for owner, name, before, _ in reversed(self._replaced):
            setattr(owner, name, before)

    def redo(self) -> None:
        """Replace again after `undo`."""
        for owner, name, _, value in self._replaced:
            setattr(owner, name, value)
