"""Replace attributes of moto, or add what it lacks, and put back what was there."""

import functools
import sys
from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Patch:
    """Attributes changed by one repair, with what was there before.

    Args:
        time_scale: Factor on the seconds of Wait states and of Retry intervals.
    """

    def __init__(self, time_scale: float = 1.0) -> None:
        self.time_scale = time_scale
        self._changed: list[tuple[Any, str, Any]] = []

    def around(self, owner: Any, name: str = "") -> Callable[[Callable[..., Any]], None]:
        """Decorate a function that replaces the method of `owner` that has its name, or `name`.

        Its first argument is the method that was there, then come the method's own.

        Raises:
            KeyError: If `owner` has no such method of its own: moto has changed.
        """

        def decorate(replacement: Callable[..., Any]) -> None:
            method_name = name or replacement.__name__
            original = vars(owner)[method_name]

            @functools.wraps(original)
            def method(*arguments: Any, **named: Any) -> Any:
                return replacement(original, *arguments, **named)

            self.replace(owner, method_name, method)

        return decorate

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute that `owner` itself has.

        Raises:
            KeyError: If `owner` has no such attribute of its own: moto has changed.
        """
        self._set(owner, name, vars(owner)[name], value)

    def replace_imported(self, package: str, name: str, value: Any) -> None:
        """Set a name in every loaded module of a package that has it: most import it by `from`."""
        for path, module in list(sys.modules.items()):
            if path.startswith(f"{package}.") and name in vars(module):
                self.replace(module, name, value)

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute that `owner` does not have.

        Raises:
            KeyError: If it has one: moto has changed.
        """
        if hasattr(owner, name):
            raise KeyError(name)
        self._set(owner, name, _ABSENT, value)

    def add_own(self, owner: Any, name: str, value: Any) -> None:
        """Set a method that `owner` inherits, for `owner` alone.

        Raises:
            KeyError: If it has one of its own: moto has changed.
        """
        if name in vars(owner):
            raise KeyError(name)
        self._set(owner, name, _ABSENT, value)

    def _set(self, owner: Any, name: str, before: Any, value: Any) -> None:
        self._changed.append((owner, name, before))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put back what was there."""
        for owner, name, before in reversed(self._changed):
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
