"""Names of runs, and of the executions that a run has.

A run is one retraining; its files are below `runs/RUN/`. Its first execution has the run's name.
If that fails, `retrain resume` starts further ones: `RUN.2`, `RUN.3` and so on.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime

RUN = "States.ArrayGetItem(States.StringSplit($$.Execution.Name, '.'), 0)"
"""The run's name in a definition, as a path or an intrinsic function takes it."""

RUN_IN_JSONATA = "$split($states.context.Execution.Name, '.')[0]"
"""The same for a state in JSONata."""

ATTEMPT_IN_JSONATA = (
    "($nth := $split($states.context.Execution.Name, '.')[1];"
    " $exists($nth) and $contains($nth, /^[0-9]+$/) ? $number($nth) : 1)"
)
"""The number of the execution in its run, for a state in JSONata."""

EXTRACTED = "$.begin.extracted"
"""Where a definition has whether the run's data sets are complete, as a resumed run's may be."""

FILTER_SIZE = "$.filter.size"
"""Where a definition has how much the filter has to do, counted in users."""

LONGEST = 76
"""Letters of a run's name; an execution's has 80 at most, with the number of a resumption."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")


def model_folder(model: str) -> str:
    """Return where the files of a model of one's own are below a run's prefix."""
    return f"models/{model}/"


def run_name(now: datetime) -> str:
    """Return a run's name that sorts by time and is unique: 20240601T040000Z-3fa9c1."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def is_run_name(name: str) -> bool:
    """Return whether a run can have this name: 1–76 letters, digits, `-` and `_`."""
    return bool(_NAME.fullmatch(name))


def run_of(execution: str) -> str:
    """Return the run of an execution by its name, as `RUN` does in a definition."""
    return execution.partition(".")[0]


def execution_name(run: str, attempt: int) -> str:
    """Return the name of a run's execution; the first, number 1, has the run's own."""
    return run if attempt == 1 else f"{run}.{attempt}"


def attempt_of(execution: str) -> int:
    """Return the number of an execution in its run; 1 for a name that has none."""
    number = execution.partition(".")[2]
    return int(number) if number.isdecimal() else 1
