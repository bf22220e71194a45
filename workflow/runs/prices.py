"""The price table: AWS's prices as of a date, in one region.

`prices.toml` beside this module is the project's own; a user's file is laid over it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from workflow.errors import WorkflowError


class PriceError(WorkflowError, ValueError):
    """A price table that cannot be used; the text lists every fault."""


@dataclass(frozen=True)
class Price:
    """The price of one unit.

    Attributes:
        name: In the table, for example `state_transition`.
        usd: US dollars for one.
        per: The unit.
        source: The page or file that it is from.
        verified: Whether it was read there at the table's date.
    """

    name: str
    usd: float
    per: str
    source: str = ""
    verified: bool = False


@dataclass(frozen=True)
class PriceTable:
    """Prices as of a date, in one region."""

    date: str
    region: str
    prices: Mapping[str, Price]


def load_prices(path: Path | None = None) -> PriceTable:
    """Read a price table; the project's own, with the prices of another file laid over it.

    Raises:
        PriceError: If the file cannot be read, or names a price that is not used or no number.
    """
    own = (resources.files("workflow.runs") / "prices.toml").read_text(encoding="utf-8")
    table = _table(tomllib.loads(own), {}, "prices.toml")
    if path is None:
        return table
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PriceError(f"{path}: {error}; copy the form of workflow/runs/prices.toml") from None
    return _table(raw, table.prices, str(path))


def _table(raw: Mapping[str, Any], known: Mapping[str, Price], where: str) -> PriceTable:
    prices = dict(known)
    faults = []
    for name, value in raw.get("prices", {}).items():
        entry = value if isinstance(value, Mapping) else {"usd": value}
        usd = entry.get("usd")
        if known and name not in known:
            faults.append(f"prices.{name}: there is no such price; known: {', '.join(known)}")
        elif isinstance(usd, bool) or not isinstance(usd, int | float) or usd < 0:
            faults.append(f"prices.{name}.usd = {usd}: write US dollars, for example 0.44")
        else:
            before = known.get(name)
            prices[name] = Price(
                name,
                float(usd),
                str(entry.get("per", before.per if before else "")),
                str(entry.get("source", where)),
                bool(entry.get("verified", bool(known))),
            )
    if not raw.get("prices"):
        faults.append("there is no table [prices]")
    if faults:
        raise PriceError(f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults))
    return PriceTable(str(raw.get("date", "unknown")), str(raw.get("region", "unknown")), prices)
