"""moto's identifiers and times, as they were when a request was first answered.

moto draws an id for most of what it makes and notes the time. A request that is repeated after a
restart must make the same resource: a subscription's ARN, a key's id, a creation date.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from random import Random, SystemRandom
from typing import Any

from moto.core import utils
from moto.moto_api._internal import mock_random
from moto.s3 import models

from localaws.moto_patches.patch import Patch

_system = SystemRandom()


class _Pinned(threading.local):
    """The source of a thread's ids and its time inside of `pinned`; None outside of it."""

    ids: Random | None = None
    moment: datetime | None = None


_thread = _Pinned()


def install() -> Patch:
    """Let moto draw ids and read the time through this module; return how to undo it."""
    patch = Patch()
    for name in ("random", "getrandbits"):
        vars(mock_random).setdefault(name, getattr(mock_random, name))
        patch.replace(mock_random, name, partial(_draw, name))
    original = utils.utcnow

    def utcnow() -> datetime:
        return _thread.moment.replace(tzinfo=None) if _thread.moment else original()

    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and vars(module).get("utcnow") is original:
            patch.replace(module, "utcnow", utcnow)

    @patch.around(models.FakeBucket)
    def __init__(original: Any, self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807
        original(self, *arguments, **named)
        self.creation_date = _thread.moment or self.creation_date

    return patch


def _draw(name: str, *arguments: Any) -> Any:
    return getattr(_thread.ids or _system, name)(*arguments)


@contextmanager
def pinned(seed: int, moment: datetime) -> Iterator[None]:
    """Let moto give this thread the same ids, by a seed, and the same time, which is aware."""
    _thread.ids, _thread.moment = Random(seed), moment.astimezone(UTC)
    try:
        yield
    finally:
        _thread.ids = _thread.moment = None
