"""How good the recommendations are: Personalize's own metrics, and a test on what came after.

Two measurements, each with what it does not say:

- *Solution versions* (`version_metrics`): the eight numbers of GetSolutionMetrics. Personalize
  holds out the newest tenth of the events of a tenth of the users, once, before any filter of
  ours, and publishes means alone. `bounded` puts the widest interval around such a mean that is
  possible: it needs no more than the number of test users.
- *What came after* (`foresight`): the lists that an earlier run published,
  against the events that a later run knows and the earlier one could not. It measures what was
  really published, after all filters, user by user, so that its intervals come from a bootstrap
  over users. Two things it is not: an experiment (people were shown the lists, or something else,
  so that exposure favours what was shown), and a forecast for users who were not there yet.

The metrics are Personalize's, under its names: MRR at 25, NDCG and precision at 5, 10 and 25.
https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.frames import Run

CUTOFFS = (5, 10, 25)
DEPTH = max(CUTOFFS)
COVERAGE = "coverage"
BASELINE_RECIPES = frozenset({"aws-popularity-count", "aws-trending-now"})

TEST_SHARE = 0.1
"""Share of the users whom Personalize's hold-out tests."""

_Z95 = 1.959964
# Above so many users the mean is normal enough, and resampling takes long.
_MOST_RESAMPLED = 20_000
_SHORT = {"mean_reciprocal_rank": "MRR", "normalized_discounted_cumulative_gain": "NDCG"}


def version_metrics(
    personalize: Any, dataset_group_arn: str, *, per_solution: int = 3
) -> pd.DataFrame:
    """Return the metrics of the newest trained versions of every solution in a dataset group.

    Args:
        personalize: a boto3 client.
        dataset_group_arn: the configured one.
        per_solution: newest versions of each solution; each costs two calls.

    Returns:
        `solution`, `version` (the last part of its ARN), `recipe`, `trained` (UTC), `baseline`
        (whether the recipe recommends the same to everybody) and one column for each metric
        (`coverage`, `MRR@25`, `NDCG@5`, …); the newest first, baselines last.
    """
    rows = []
    solutions = personalize.get_paginator("list_solutions")
    versions = personalize.get_paginator("list_solution_versions")
    for solution in solutions.paginate(datasetGroupArn=dataset_group_arn).search("solutions[]"):
        found = versions.paginate(solutionArn=solution["solutionArn"])
        active = list(found.search("solutionVersions[?status == 'ACTIVE']"))
        active.sort(key=lambda version: version["creationDateTime"], reverse=True)
        for version in active[:per_solution]:
            arn = version["solutionVersionArn"]
            described = personalize.describe_solution_version(solutionVersionArn=arn)
            recipe = described["solutionVersion"].get("recipeArn", "").rpartition("/")[2]
            measured = personalize.get_solution_metrics(solutionVersionArn=arn)["metrics"]
            rows.append(
                {
                    "solution": solution["name"],
                    "version": arn.rpartition("/")[2],
                    "recipe": recipe,
                    "trained": pd.Timestamp(version["creationDateTime"]).tz_convert("UTC"),
                    "baseline": recipe in BASELINE_RECIPES,
                    **{short_name(name): value for name, value in measured.items()},
                }
            )
    rows.sort(key=lambda row: row["trained"], reverse=True)
    rows.sort(key=lambda row: row["baseline"])
    known = ["solution", "version", "recipe", "trained", "baseline", *metric_names()]
    return pd.DataFrame(rows, columns=known)


def side_by_side(versions: pd.DataFrame, *, test_users: int) -> pd.DataFrame:
    """Return versions beside each other, each mean with the widest interval that is possible.

    Args:
        versions: from `version_metrics`.
        test_users: how many users the hold-out tests, for example from `test_users`.

    Returns:
        `metric`, `list` (the solution, and which of its versions), `value`, `low`, `high`,
        `users`; see `bounded`. Coverage is no mean over users and has no interval.
    """
    rows = []
    age = versions.groupby("solution").cumcount()
    for version, before in zip(versions.to_dict("records"), age, strict=True):
        name = f"{version['solution']}, {f'{before} before' if before else 'latest'}"
        for metric in metric_names():
            value = float(version[metric])
            low, high = bounded(value, test_users)
            if metric == COVERAGE:
                low = high = float("nan")
            rows.append((metric, name, value, low, high, test_users))
    return pd.DataFrame(rows, columns=["metric", "list", "value", "low", "high", "users"])


def test_users(interactions: pd.DataFrame) -> int:
    """Return how many users Personalize's hold-out tests, as documented: a tenth of them.

    The true number is not published; users with a single event may not count.
    """
    return max(1, round(interactions["USER_ID"].nunique() * TEST_SHARE))


test_users.__test__ = False  # type: ignore[attr-defined]  # its name looks like a test's


def bounded(mean: float, users: int) -> tuple[float, float]:
    """Return the widest 95 % interval for the mean of a metric between 0 and 1.

    A value in [0, 1] with mean m has a variance of at most m(1 - m) (Bhatia and Davis 2000), so
    the standard error is at most sqrt(m(1 - m) / users). The true interval is narrower. It covers
    which users were tested, not how the training came out.

    Args:
        mean: over users, 0..1.
        users: how many.
    """
    half = _Z95 * float(np.sqrt(mean * (1 - mean) / users))
    return max(0.0, mean - half), min(1.0, mean + half)


def events_after(interactions: pd.DataFrame, newest_event: int) -> pd.DataFrame:
    """Return the events after those that an earlier run knew of.

    Args:
        interactions: of the later run.
        newest_event: of the earlier one, UTC epoch seconds; see `Run.newest_event`.
    """
    return interactions[interactions["TIMESTAMP"] > newest_event]


def popular_lists(
    interactions: pd.DataFrame,
    users: Iterable[str],
    *,
    keep: int = DEPTH,
    eligible: frozenset[str] | None = None,
    exclusions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return what recommending the most popular items would have published under the same rules.

    Args:
        interactions: what the run knew; they are counted.
        users: whom to recommend to.
        keep: most items per user.
        eligible: the items that may be recommended; None for all.
        exclusions: pairs of USER_ID and ITEM_ID that may not.

    Returns:
        USER_ID, ITEM_ID, RANK (1..keep), as `Run.recommendations`.
    """
    counted = interactions["ITEM_ID"].value_counts()
    counted = counted.sort_index().sort_values(ascending=False, kind="stable")
    ranked = [item for item in counted.index if eligible is None or item in eligible]
    excluded: dict[str, set[str]] = {}
    if exclusions is not None and len(exclusions):
        pairs = exclusions[exclusions["ITEM_ID"].isin(ranked)]
        excluded = {str(user): set(items) for user, items in pairs.groupby("USER_ID")["ITEM_ID"]}
    rows = [
        (user, item, rank)
        for user in users
        for rank, item in enumerate(_first(ranked, excluded.get(user, set()), keep), start=1)
    ]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "RANK"])


def scores(lists: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Return how well each user's list foresaw what the user did later.

    A hit is an item of the list that the user had at least one event with later; one at rank r is
    worth 1 / log2(1 + r), and NDCG divides by what the best order of the user's items would be.

    Args:
        lists: USER_ID, ITEM_ID, RANK.
        later: USER_ID, ITEM_ID of the events since.

    Returns:
        index `USER_ID`, of users with a list and later events; `items` (different ones that the
        user had events with) and one column for each metric but coverage.
    """
    wanted = later[["USER_ID", "ITEM_ID"]].drop_duplicates()
    listed = pd.Index(lists["USER_ID"].unique())
    wanted = wanted[wanted["USER_ID"].isin(listed)]
    relevant = wanted.groupby("USER_ID").size().rename("items")
    hits = lists[lists["RANK"] <= DEPTH].merge(wanted, on=["USER_ID", "ITEM_ID"])
    found = pd.DataFrame({"items": relevant})
    first = hits.groupby("USER_ID")["RANK"].min().reindex(found.index)
    found[f"MRR@{DEPTH}"] = (1.0 / first).fillna(0.0)
    ideal = np.concatenate([[0.0], np.cumsum(_worth(np.arange(1, DEPTH + 1)))])
    hits = hits.assign(worth=_worth(hits["RANK"].to_numpy()))
    for k in CUTOFFS:
        gained = hits[hits["RANK"] <= k].groupby("USER_ID")["worth"].sum()
        best = ideal[np.minimum(found["items"].to_numpy(), k)]
        found[f"NDCG@{k}"] = gained.reindex(found.index, fill_value=0.0) / best
    for k in CUTOFFS:
        number = hits[hits["RANK"] <= k].groupby("USER_ID").size()
        found[f"precision@{k}"] = number.reindex(found.index, fill_value=0) / k
    return found


def intervals(
    per_user: pd.DataFrame, *, random: np.random.Generator, resamples: int = 1_000
) -> pd.DataFrame:
    """Return each metric's mean over users with a 95 % interval.

    The percentile bootstrap over users; above 20,000 users the normal interval, which is then the
    same. It says how much the mean depends on which users happened to come back.

    Args:
        per_user: from `scores`.
        random: draws the resamples.
        resamples: how many.

    Returns:
        `metric`, `value`, `low`, `high`, `users`; NaN if there are no users.
    """
    names = [name for name in metric_names() if name in per_user]
    values = per_user[names].to_numpy(dtype=np.float64)
    return _interval_table(names, values, random, resamples)


def gain(
    better: pd.DataFrame,
    base: pd.DataFrame,
    *,
    random: np.random.Generator,
    resamples: int = 1_000,
) -> pd.DataFrame:
    """Return how much one kind of list scored above another for the same users.

    Both are compared user by user, so that what makes a user easy or hard cancels out: the
    interval is narrower than the two single ones suggest. One that lies above 0 is a gain that
    chance among users does not explain.

    Args:
        better: from `scores`, of the lists that are judged.
        base: of the baseline's.
        random: draws the resamples.
        resamples: how many.

    Returns:
        `metric`, `value` (the mean difference), `low`, `high`, `users`.
    """
    names = [name for name in metric_names() if name in better and name in base]
    shared = better.index.intersection(base.index)
    values = (better.loc[shared, names] - base.loc[shared, names]).to_numpy(dtype=np.float64)
    return _interval_table(names, values, random, resamples)


def foresight(
    previous: Run, latest: Run, *, keep: int, random: np.random.Generator
) -> pd.DataFrame:
    """Return how well the previous run's lists foresaw what happened until the latest run.

    Beside them what the most popular items would have scored under the same filter rules, and the
    difference between both, user by user. Of the events that came in since, those count whose
    time is after the newest one that the previous run knew of.

    Args:
        previous: the run whose lists are judged.
        latest: the run that knows what came after; the same one gives no users and no numbers.
        keep: most items per user that the filter publishes.
        random: draws the resamples.

    Returns:
        `metric`, `list` (`published`, `most popular`, `difference`), `value`, `low`, `high`,
        `users`; see `scores`, `intervals` and `gain`.
    """
    later = events_after(latest.interactions, previous.newest_event)
    listed = previous.recommendations["USER_ID"].unique()
    asked = sorted(set(listed) & set(later["USER_ID"]))
    popular = popular_lists(
        previous.interactions,
        asked,
        keep=keep,
        eligible=previous.eligible_items,
        exclusions=previous.exclusions,
    )
    ours, theirs = scores(previous.recommendations, later), scores(popular, later)
    parts = {
        "published": intervals(ours, random=random),
        "most popular": intervals(theirs, random=random),
        "difference": gain(ours, theirs, random=random),
    }
    table = pd.concat([part.assign(list=name) for name, part in parts.items()], ignore_index=True)
    return table[["metric", "list", "value", "low", "high", "users"]]


def metric_names() -> list[str]:
    """Return the metrics' short names in the order in which they are shown."""
    return [
        COVERAGE,
        f"MRR@{DEPTH}",
        *(f"NDCG@{k}" for k in CUTOFFS),
        *(f"precision@{k}" for k in CUTOFFS),
    ]


def short_name(metric: str) -> str:
    """Return a metric's usual name, for example `NDCG@10`."""
    name, _, cut_off = metric.partition("_at_")
    short = _SHORT.get(name, name)
    return f"{short}@{cut_off}" if cut_off else short


def _interval_table(
    names: Sequence[str],
    values: NDArray[np.float64],
    random: np.random.Generator,
    resamples: int,
) -> pd.DataFrame:
    users = len(values)
    if users == 0:
        means = low = high = np.full(len(names), np.nan)
    else:
        means = values.mean(axis=0)
        if users > _MOST_RESAMPLED:
            half = _Z95 * values.std(axis=0, ddof=1) / np.sqrt(users)
            low, high = means - half, means + half
        else:
            drawn = np.stack(list(_resampled(values, random, resamples)))
            low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {"metric": names, "value": means, "low": low, "high": high, "users": users},
        columns=["metric", "value", "low", "high", "users"],
    )


def _resampled(
    values: NDArray[np.float64], random: np.random.Generator, resamples: int
) -> Iterator[NDArray[np.float64]]:
    users = len(values)
    for _ in range(resamples):
        counts = np.bincount(random.integers(0, users, users), minlength=users)
        yield counts @ values / users


def _first(ranked: Sequence[str], excluded: set[str], keep: int) -> Iterator[str]:
    left = (item for item in ranked if item not in excluded)
    for _ in range(keep):
        item = next(left, None)
        if item is None:
            return
        yield item


def _worth(ranks: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1.0 / np.log2(1.0 + ranks), dtype=np.float64)
