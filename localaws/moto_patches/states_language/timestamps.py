"""Timestamps as the States Language wants them: RFC 3339, with a T, and with Z or an offset.

https://states-language.net/#timestamps
"""

import re
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp

from localaws.moto_patches.patch import Patch

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2}))"
)


def instant(value: Any) -> Fraction | None:
    """Return the seconds since 1970 of an RFC 3339 timestamp, exactly; None of what is none.

    The States Language wants an upper case T, and Z where there is no offset.
    """
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    moment, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)).total_seconds()
    if offset >= timedelta(days=1).total_seconds() or int(minutes or 0) > 59:
        return None
    behind = Fraction(int(fraction), 10 ** len(fraction)) if fraction else Fraction(0)
    return Fraction(int(seconds)) + behind - int(offset) * (-1 if sign == "-" else 1)


def wait_timestamps(patch: Patch) -> None:
    """Wait until a time with an offset too: moto refuses it, and takes UTC for this machine's time.

    It cuts the fraction of a second off.
    """

    def wait_seconds(self: Any, env: Any) -> float:
        self.string.eval(env=env)
        text = env.stack.pop()
        moment = instant(text)
        if moment is None:
            raise FailureEventException(self._create_failure_event(env, text))
        return float(moment) - time.time()

    patch.replace(Timestamp, "_from_timestamp_string", staticmethod(instant))
    patch.replace(Timestamp, "_get_wait_seconds", wait_seconds)
