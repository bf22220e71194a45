"""moto's identifiers and times, as they were when a request was first answered.

moto draws an id for most of what it makes and notes the time. A request that is answered again
after a restart must make the same resource: a subscription's ARN, a key's id, a creation date.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Any

from moto.core import utils
from moto.moto_api._internal import mock_random
from moto.s3 import models

from localaws.moto_patches.patch import Patch

_system = SystemRandom()


class _Pinned(threading.local):
    """What a thread's ids and times come from; nothing outside of `pinned`."""

    ids: Random | None = None
    moment: datetime | None = None


_thread = _Pinned()


def install() -> Patch:
    """Let moto draw ids and ask for the time through this module; return how to undo it."""
    patch = Patch()
    for name in ("random", "getrandbits"):
        vars(mock_random).setdefault(name, getattr(mock_random, name))
        patch.replace(mock_random, name, _drawn(name))
    real = utils.utcnow
    users = [
        module
        for name, module in sys.modules.items()
        if name.startswith("moto.") and vars(module).get("utcnow") is real
    ]

    def utcnow() -> datetime:
        return _thread.moment.replace(tzinfo=None) if _thread.moment else real()

    for user in users:
        patch.replace(user, "utcnow", utcnow)

    def bucket(self: Any, *told: Any, **named: Any) -> None:
        make_bucket(self, *told, **named)
        self.creation_date = _thread.moment or self.creation_date

    make_bucket = patch.replace(models.FakeBucket, "__init__", bucket)
    return patch


def _drawn(name: str) -> Callable[..., Any]:
    def draw(*told: Any) -> Any:
        return getattr(_thread.ids or _system, name)(*told)

    return draw


@contextmanager
def pinned(seed: int, moment: datetime) -> Iterator[None]:
    """Let what this thread asks of moto have the same ids and times every time.

    Args:
        seed: Of the ids.
        moment: The time, aware.
    """
    _thread.ids, _thread.moment = Random(seed), moment.astimezone(UTC)
    try:
        yield
    finally:
        _thread.ids = _thread.moment = None
