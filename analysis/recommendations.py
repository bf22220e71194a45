"""Analyses of recommendations: coverage, popularity, users, history, and changes.

Lists (`recommendations`, `previous`, `latest`) are frames of USER_ID, ITEM_ID (text), RANK (1..N
per user) and SCORE, as in `Run.recommendations`; `interactions` are the events of a `Run`; `labels`
map an ITEM_ID to a text. `top` and `depths` are numbers of each list's first items that count,
`length` is the largest number of rows. Every function returns a new frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.data_profile import gini, popularity, times
from workflow.config import Config

_LABEL_LENGTH = 60
_CATEGORIES = 2  # of an item without a title
_TITLES = ("TITLE", "NAME", "ITEM_TITLE", "ITEM_NAME", "PRODUCT_TITLE", "PRODUCT_NAME", "HEADLINE")


def title_column(config: Config) -> str | None:
    """Return the column of the items that holds their titles; None if there seems to be none.

    The configured one; else the `item_name` column; else a string that is called TITLE, NAME or
    the like. The textual one only if it is called exactly so: others are descriptions.
    """
    if config.report.title:
        return config.report.title
    columns = [
        column
        for data_set in config.data_sets
        if data_set.type == "ITEMS"
        for column in data_set.columns
        if column.type == "string" and not column.is_id
    ]
    marked = [column.name for column in columns if column.item_name]
    named = {column.name.upper(): column.name for column in columns}
    usual = [named[name] for name in _TITLES if name in named]
    # A name that is a category, as BRAND_NAME, is shared by many items.
    ending = [
        column.name
        for column in columns
        if column.name.upper().endswith(_TITLES) and not (column.categorical or column.textual)
    ]
    return next(iter([*marked, *usual, *ending]), None)


def item_labels(items: pd.DataFrame, config: Config) -> dict[str, str]:
    """Return a short text for each item, so that a person knows what it is.

    Its title, with the id where several items have the same one; without a title the id, followed
    by the categories.

    Args:
        items: The data set ITEMS.
        config: Says which column is the title, and which are categorical.
    """
    ids = items["ITEM_ID"].astype(str)
    title = title_column(config)
    if title in items:
        titles = [_first_line(value) for value in items[title]]
        counts = Counter(titles)
        return {
            item: (text if counts[text] == 1 else f"{text} ({item})") if text else item
            for item, text in zip(ids, titles, strict=True)
        }
    categorical = [
        column.name
        for data_set in config.data_sets
        if data_set.type == "ITEMS"
        for column in data_set.columns
        if column.categorical and column.name in items
    ][:_CATEGORIES]
    return {
        str(item): _shortened(" · ".join(filter(None, [str(item), *map(_first_line, values)])))
        for item, *values in items[["ITEM_ID", *categorical]].itertuples(index=False, name=None)
    }


def _first_line(value: object) -> str:
    lines = value.strip().splitlines() if isinstance(value, str) else []
    return _shortened(lines[0].strip()) if lines else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"


def coverage(
    recommendations: pd.DataFrame,
    catalogue: Iterable[str],
    eligible: frozenset[str] | None = None,
    *,
    depths: Sequence[int] = (1, 5, 10, 25),
) -> pd.DataFrame:
    """Return the recommended share of the catalogue, and of the eligible items (None for all).

    Returns:
        Index `top`; `items` (different ones), `of catalogue`, `of eligible` (shares), `Gini` (of
        how often each eligible item is recommended: near 1 if few items have most) and
        `per user` (mean length of a list cut there).
    """
    everything = set(catalogue)
    allowed = everything if eligible is None else set(eligible)
    users = max(recommendations["USER_ID"].nunique(), 1)
    rows = {}
    for depth in depths:
        top = recommendations[recommendations["RANK"] <= depth]
        shown = top["ITEM_ID"].value_counts()
        per_item = shown.reindex(shown.index.union(sorted(allowed)), fill_value=0)
        rows[depth] = {
            "items": len(shown),
            "of catalogue": len(shown) / max(len(everything), 1),
            "of eligible": len(set(shown.index) & allowed) / max(len(allowed), 1),
            "Gini": gini(per_item.to_numpy()),
            "per user": len(top) / users,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("top").astype({"items": int})


def popularity_bias(
    recommendations: pd.DataFrame,
    interactions: pd.DataFrame,
    catalogue: pd.DataFrame | None = None,
    *,
    classes: int = 10,
) -> pd.DataFrame:
    """Return whether lists favour popular items, by classes of equally many items.

    Items without events come from the `catalogue`, the data set ITEMS.

    Returns:
        Index `popularity` (`top 10 %`, `10–20 %`, …); `items`, `events` and `recommendations`
        (both as shares, 0..1). Where `recommendations` is above `events`, the class is shown more
        often than people choose it by themselves.
    """
    ranked = popularity(interactions, catalogue)
    shown = recommendations["ITEM_ID"].value_counts()
    ranked = ranked.reindex(ranked.index.append(shown.index.difference(ranked.index)))
    ranked["events"] = ranked["events"].fillna(0)
    ranked["shown"] = shown.reindex(ranked.index, fill_value=0)
    class_of = np.arange(len(ranked)) * classes // max(len(ranked), 1)
    grouped = ranked.groupby(class_of)[["events", "shown"]].sum()
    grouped = grouped.reindex(range(classes), fill_value=0)
    step = 100 / classes
    names = [
        f"top {step:.0f} %" if i == 0 else f"{i * step:.0f}–{(i + 1) * step:.0f} %"
        for i in range(classes)
    ]
    return pd.DataFrame(
        {
            "items": np.bincount(class_of, minlength=classes),
            "events": (grouped["events"] / max(grouped["events"].sum(), 1)).to_numpy(),
            "recommendations": (grouped["shown"] / max(grouped["shown"].sum(), 1)).to_numpy(),
        },
        index=pd.Index(names, name="popularity"),
    )


def example_users(recommendations: pd.DataFrame, interactions: pd.DataFrame) -> list[str]:
    """Return users as examples: one of median activity, the most active one, and a new one.

    At most three, each with a list; the same frames give the same users.
    """
    listed = pd.Index(sorted(recommendations["USER_ID"].unique()))
    events = interactions["USER_ID"].value_counts().reindex(listed, fill_value=0)
    ordered = events.sort_values(kind="stable")
    active = ordered[ordered > 0].index
    chosen: list[str] = []
    if len(active):
        chosen += [str(active[len(active) // 2]), str(active[-1])]
    chosen += [str(user) for user in ordered[ordered == 0].index[:1]]
    return list(dict.fromkeys(chosen))


def beside_history(
    user: str,
    recommendations: pd.DataFrame,
    interactions: pd.DataFrame,
    labels: dict[str, str],
    *,
    length: int = 8,
) -> pd.DataFrame:
    """Return a user's newest events beside the user's list.

    Returns:
        Index `rank` (from 1); `recommended`, `met before` (whether the user had events with it),
        `when` (UTC), `event` (its type) and `history` (item), the newest first; the shorter of
        both ends in empty cells.

    Raises:
        KeyError: If the user has neither.
    """
    known = {*interactions["USER_ID"], *recommendations["USER_ID"]}
    if user not in known:
        raise KeyError(f"user '{user}' has no events and no list; is it an id of USER_ID?")
    mine = top_of_list(user, recommendations, interactions, labels, length=length)
    events = newest_events(user, interactions, labels, length=length)
    table = mine.join(events.rename(columns={"item": "history"}), how="outer")
    return table.astype(object).fillna("")


def top_of_list(
    user: str,
    recommendations: pd.DataFrame,
    interactions: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    length: int = 8,
) -> pd.DataFrame:
    """Return the first items of a user's list.

    Returns:
        Index `rank` (from 1); `recommended` (item), `met before` (`yes`, or empty: whether the user
        had events with it).
    """
    mine = recommendations[recommendations["USER_ID"] == user].sort_values("RANK").head(length)
    met = set(interactions.loc[interactions["USER_ID"] == user, "ITEM_ID"])
    return _ranked(
        {
            "recommended": [labels.get(item, item) for item in mine["ITEM_ID"]],
            "met before": ["yes" if item in met else "" for item in mine["ITEM_ID"]],
        }
    )


def side_by_side(
    user: str,
    lists: Mapping[str, pd.DataFrame],
    labels: Mapping[str, str],
    *,
    length: int = 8,
) -> pd.DataFrame:
    """Return the first items of a user's lists by several models.

    Args:
        user: The user's id.
        lists: Name → USER_ID, ITEM_ID, RANK.
        labels: Item → what people know it by.
        length: Most items of each list.

    Returns:
        Index `rank` (from 1), a column for each name; a shorter list ends in empty cells.
    """
    first = {
        name: frame[frame["USER_ID"] == user].sort_values("RANK").head(length)["ITEM_ID"]
        for name, frame in lists.items()
    }
    columns = [
        _ranked({name: [labels.get(item, item) for item in items]}) for name, items in first.items()
    ]
    return pd.concat(columns, axis="columns").fillna("")


def newest_events(
    user: str, interactions: pd.DataFrame, labels: Mapping[str, str], *, length: int = 8
) -> pd.DataFrame:
    """Return a user's newest events, the newest first.

    Returns:
        Index `rank` (from 1); `when` (UTC, text), `event` (its type; empty without the column) and
        `item`.
    """
    events = interactions[interactions["USER_ID"] == user]
    newest = events.sort_values("TIMESTAMP", ascending=False, kind="stable").head(length)
    event_types = newest["EVENT_TYPE"] if "EVENT_TYPE" in newest else [""] * len(newest)
    return _ranked(
        {
            "when": list(times(newest["TIMESTAMP"]).dt.strftime("%Y-%m-%d %H:%M")),
            "event": list(event_types),
            "item": [labels.get(item, item) for item in newest["ITEM_ID"]],
        }
    )


def _ranked(columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    table = pd.DataFrame(columns, dtype=object)
    return table.set_index(pd.RangeIndex(1, len(table) + 1, name="rank"))


def most_recommended(
    recommendations: pd.DataFrame,
    interactions: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    length: int = 8,
) -> pd.DataFrame:
    """Return the items that are in most lists.

    Returns:
        Index `ITEM_ID`; `item`, `lists` (number), `of all lists` (share) and `events`; the most
        often recommended first, equal ones in the order of their ids.
    """
    lists = recommendations["ITEM_ID"].value_counts().sort_index()
    lists = lists.sort_values(ascending=False, kind="stable").head(length)
    events = interactions["ITEM_ID"].value_counts()
    return pd.DataFrame(
        {
            "item": [labels.get(str(item), str(item)) for item in lists.index],
            "lists": lists,
            "of all lists": lists / max(recommendations["USER_ID"].nunique(), 1),
            "events": events.reindex(lists.index, fill_value=0),
        }
    ).rename_axis("ITEM_ID")


def never_recommended(
    recommendations: pd.DataFrame,
    interactions: pd.DataFrame,
    catalogue: Iterable[str],
    labels: Mapping[str, str],
) -> pd.DataFrame:
    """Return the items of a catalogue that are in no list.

    Args:
        recommendations: The lists.
        interactions: The events.
        catalogue: Ids of the items that could have been recommended.
        labels: Item → text.

    Returns:
        Index `ITEM_ID`; `item` and `events`; those with most events first.
    """
    missing = sorted(set(catalogue) - set(recommendations["ITEM_ID"]))
    events = interactions["ITEM_ID"].value_counts().reindex(missing, fill_value=0)
    table = pd.DataFrame(
        {"item": [labels.get(item, item) for item in missing], "events": events}, index=missing
    ).rename_axis("ITEM_ID")
    return table.sort_values("events", ascending=False, kind="stable")


def similar_items(
    item: str, interactions: pd.DataFrame, labels: dict[str, str], *, length: int = 8
) -> pd.DataFrame:
    """Return the items that the same users had events with.

    Cosine between the items' sets of users: users in common / sqrt(users of one x of the other).
    It comes from the events, not from Personalize: a check whether its lists make sense.

    Returns:
        Index `ITEM_ID`; `item`, `users in common`, `users`, `cosine`; the most similar first.

    Raises:
        KeyError: If nobody had an event with it.
    """
    pairs = interactions[["USER_ID", "ITEM_ID"]].drop_duplicates()
    its_users = pairs.loc[pairs["ITEM_ID"] == item, "USER_ID"]
    if its_users.empty:
        raise KeyError(f"item '{item}' has no events; choose one of ITEM_ID that has")
    users = pairs["ITEM_ID"].value_counts()
    common = pairs[pairs["USER_ID"].isin(its_users)]["ITEM_ID"].value_counts().drop(item)
    cosine: pd.Series[float] = common / np.sqrt(users[common.index] * len(its_users))
    similar = pd.DataFrame(
        {
            "item": [labels.get(str(other), str(other)) for other in common.index],
            "users in common": common,
            "users": users[common.index],
            "cosine": cosine,
        }
    ).rename_axis("ITEM_ID")
    return similar.sort_values(["cosine", "users"], ascending=False, kind="stable").head(length)


def changes(previous: pd.DataFrame, latest: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """Return the changes of each user's list between two runs.

    Returns:
        Index `USER_ID`, of users with a list in both; `kept`, `entered` and `left` (numbers of
        items), `overlap` (kept / the longer list, 0..1), `same first` (bool) and `moved` (mean
        number of ranks by which a kept item moved, NaN if none was kept).
    """
    before = previous.loc[previous["RANK"] <= top, ["USER_ID", "ITEM_ID", "RANK"]]
    after = latest.loc[latest["RANK"] <= top, ["USER_ID", "ITEM_ID", "RANK"]]
    both = pd.Index(sorted(set(before["USER_ID"]) & set(after["USER_ID"])), name="USER_ID")
    was = before.groupby("USER_ID").size().reindex(both)
    now = after.groupby("USER_ID").size().reindex(both)
    shared = before.merge(after, on=["USER_ID", "ITEM_ID"], suffixes=("_before", "_after"))
    shift = (shared["RANK_after"] - shared["RANK_before"]).abs()
    by_user = shared.assign(shift=shift).groupby("USER_ID")["shift"]
    kept = by_user.size().reindex(both, fill_value=0)
    firsts = [
        frame[frame["RANK"] == 1].set_index("USER_ID")["ITEM_ID"] for frame in (before, after)
    ]
    same = firsts[0].reindex(both) == firsts[1].reindex(both)
    return pd.DataFrame(
        {
            "kept": kept,
            "entered": now - kept,
            "left": was - kept,
            "overlap": kept / np.maximum(was, now),
            "same first": same,
            "moved": by_user.mean().reindex(both),
        },
        index=both,
    )


def change_summary(
    previous: pd.DataFrame, latest: pd.DataFrame, *, tops: Sequence[int] = (1, 5, 10, 25)
) -> pd.DataFrame:
    """Return a summary of the changes of all lists.

    Returns:
        Index `top`; `users` (with a list in both runs), `overlap` (mean, 0..1), `unchanged`
        (share of users with the same items), `moved` (mean ranks of kept items), `new users` and
        `gone users` (with a list in one run alone).
    """
    before, after = set(previous["USER_ID"]), set(latest["USER_ID"])
    rows = {}
    for top in tops:
        changed = changes(previous, latest, top=top)
        rows[top] = {
            "users": len(changed),
            "overlap": changed["overlap"].mean(),
            "unchanged": (changed["overlap"] == 1).mean(),
            "moved": changed["moved"].mean(),
            "new users": len(after - before),
            "gone users": len(before - after),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("top")
    return table.astype({"users": int, "new users": int, "gone users": int})


def item_movements(
    previous: pd.DataFrame,
    latest: pd.DataFrame,
    labels: dict[str, str],
    *,
    top: int = 10,
    length: int = 5,
) -> pd.DataFrame:
    """Return the items that are in many more, or many fewer, lists than before.

    Returns:
        Index `ITEM_ID`; `item`, `before`, `now` and `change` (shares of users whose list has it,
        the change in points), at most `length` risen items and then as many fallen ones.
    """
    shares = [
        frame.loc[frame["RANK"] <= top, "ITEM_ID"].value_counts()
        / max(frame["USER_ID"].nunique(), 1)
        for frame in (previous, latest)
    ]
    table = pd.DataFrame({"before": shares[0], "now": shares[1]}).fillna(0.0)
    table["change"] = table["now"] - table["before"]
    table.insert(0, "item", [labels.get(str(item), str(item)) for item in table.index])
    table = table.rename_axis("ITEM_ID").sort_values("change", ascending=False, kind="stable")
    risen, fallen = table[table["change"] > 0], table[table["change"] < 0]
    return pd.concat([risen.head(length), fallen.tail(length)])
