"""AWS's prices, by region, each with its date and its source.

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
from workflow.personalize import REGIONS
from workflow.spelling import suggestion

BASE_REGION = "us-east-1"
"""The region whose price stands in where a region's own is unknown."""

_FIELDS = ("usd", "per", "source", "date", "verified")


class PriceError(WorkflowError, ValueError):
    """A price table that cannot be used; the text lists every fault."""


@dataclass(frozen=True)
class Price:
    """The price of one unit in a region.

    Attributes:
        name: In the table, for example `state_transition`.
        usd: US dollars for one.
        per: The unit.
        source: The page or file that it is from.
        date: When it was read there.
        region: Whose price it is; empty if it holds for every region.
        verified: Whether it was read at its source, and is the region's own.
    """

    name: str
    usd: float
    per: str
    source: str = ""
    date: str = "unknown"
    region: str = ""
    verified: bool = False


def load_prices(region: str, path: Path | None = None) -> dict[str, Price]:
    """Return the prices of a region, by name; those of another file go first.

    Args:
        region: For example `ap-northeast-1`. Where its price is unknown, that of `us-east-1`
            stands in, and is not verified.
        path: A user's file, of the same form; a number in place of a table is its `usd`, and an
            `usd` beside no region holds for every one.

    Raises:
        PriceError: If the file cannot be read, or names a price or region that is unknown, or no
            number.
    """
    own = (resources.files("workflow.runs") / "prices.toml").read_text(encoding="utf-8")
    prices = _prices(tomllib.loads(own), {}, "prices.toml", region)
    if path is None:
        return prices
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PriceError(f"{path}: {error}; copy the form of workflow/runs/prices.toml") from None
    return _prices(raw, prices, str(path), region)


def _prices(
    raw: Mapping[str, Any], known: Mapping[str, Price], where: str, region: str
) -> dict[str, Price]:
    prices, faults = dict(known), []
    listed = raw.get("prices")
    for name, value in (listed if isinstance(listed, Mapping) else {}).items():
        if known and name not in known:
            faults.append(f"prices.{name}: there is no such price; known: {', '.join(known)}")
            continue
        entry = _fields(value)
        if wrong := _entry_faults(f"prices.{name}", entry):
            faults += wrong
            continue
        before = known.get(name)
        defaults = {
            "per": before.per if before else "",
            "source": where,
            "date": raw.get("date", "unknown"),
            "verified": bool(known),
            **{field: entry[field] for field in _FIELDS if field in entry},
        }
        if chosen := _of_region(entry, region):
            prices[name] = _price(name, {**defaults, **chosen}, region)
    if not listed:
        faults.append("there is no table [prices]")
    if faults:
        raise PriceError(f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults))
    return prices


def _of_region(entry: Mapping[str, Any], region: str) -> Mapping[str, Any] | None:
    """Return the fields of the price that holds in a region; None if there is none."""
    if region in entry:
        return {"region": region, **_fields(entry[region])}
    if "usd" in entry:
        return {"region": ""}
    if BASE_REGION in entry:
        return {"region": BASE_REGION, **_fields(entry[BASE_REGION])}
    return None


def _fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of a price; a bare number is short for its `usd`."""
    return value if isinstance(value, Mapping) else {"usd": value}


def _price(name: str, fields: Mapping[str, Any], region: str) -> Price:
    return Price(
        name,
        float(fields["usd"]),
        per=str(fields["per"]),
        source=str(fields["source"]),
        date=str(fields["date"]),
        region=str(fields["region"]),
        verified=bool(fields["verified"]) and fields["region"] in {"", region},
    )


def _entry_faults(where: str, entry: Mapping[str, Any]) -> list[str]:
    faults = []
    regions = {key: value for key, value in entry.items() if key not in _FIELDS}
    for key in regions.keys() - set(REGIONS):
        hint = suggestion(key, [*REGIONS, *_FIELDS], otherwise=f"regions: {', '.join(REGIONS)}")
        faults.append(f"{where}.{key}: neither a field nor a region of Personalize; {hint}")
    amounts = {
        f"{where}.{key}.usd": _fields(value).get("usd")
        for key, value in regions.items()
        if key in REGIONS
    }
    if "usd" in entry or not regions:
        amounts[f"{where}.usd"] = entry.get("usd")
    faults += [
        f"{place} = {usd}: write US dollars, for example 0.44"
        for place, usd in amounts.items()
        if isinstance(usd, bool) or not isinstance(usd, int | float) or not 0 <= usd < float("inf")
    ]
    return faults
