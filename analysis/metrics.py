"""Quality of recommendations: Personalize's metrics, a split in time, and later events.

Three measurements, each with its limits:

- *Solution versions* (`version_metrics`): the eight numbers of GetSolutionMetrics. Personalize
  holds out the newest tenth of the events of a tenth of the users, once, before any filter of
  ours, and publishes means alone. `bounded` puts the widest interval around such a mean that is
  possible: it needs no more than the number of test users.
- *A split in time* (`on_time_split`): a model that is trained here on the events until then,
  against what the same users did afterwards. It needs one run alone, and says how much personal
  lists can gain in these data. The model is not Personalize's, and no filter is applied.
- *Later events* (`on_later_events`): the lists that an earlier run published, against the events
  that a later run knows and the earlier one could not. It measures what was really published,
  after all filters, user by user, so that its intervals come from a bootstrap over users. It is
  neither an experiment (people were shown the lists, or something else, so that exposure favours
  what was shown), nor a forecast for users who came later.

The metrics are Personalize's, under its names: MRR at 25, NDCG and precision at 5, 10 and 25.
https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import Run
from recommenders import Hybrid, Interactions, Recommender
from recommenders.evaluation.names import COVERAGE, CUTOFFS, DEPTH, METRICS

BASELINE_RECIPES = frozenset({"aws-popularity-count", "aws-trending-now"})

TEST_SHARE = 0.1
"""Share of the users whom Personalize's hold-out tests."""

_Z95 = 1.959964
_FACTORS = 64
# With more users the mean is normal enough, and resampling takes long.
_MOST_RESAMPLED = 20_000
_SHORT = {
    "hit_rate": "hit rate",
    "mean_reciprocal_rank": "MRR",
    "normalized_discounted_cumulative_gain": "NDCG",
}


def version_metrics(
    personalize: Any, dataset_group_arn: str, *, per_solution: int = 3
) -> pd.DataFrame:
    """Return the metrics of the newest trained versions of every solution in a dataset group.

    Args:
        personalize: A boto3 client.
        dataset_group_arn: The configured one.
        per_solution: Number of versions of each solution, the newest; each costs two calls.

    Returns:
        `solution`, `version` (the last part of its ARN), `recipe`, `trained` (UTC), `baseline`
        (whether the recipe recommends the same items to everybody) and one column for each metric
        (`coverage`, `MRR@25`, `NDCG@5`, …); the newest first, baselines last.
    """
    rows = []
    solutions = personalize.get_paginator("list_solutions")
    versions = personalize.get_paginator("list_solution_versions")
    for solution in solutions.paginate(datasetGroupArn=dataset_group_arn).search("solutions[]"):
        pages = versions.paginate(solutionArn=solution["solutionArn"])
        active = list(pages.search("solutionVersions[?status == 'ACTIVE']"))
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
    columns = ["solution", "version", "recipe", "trained", "baseline", *metric_names()]
    return pd.DataFrame(rows, columns=columns)


def side_by_side(versions: pd.DataFrame, *, test_users: int) -> pd.DataFrame:
    """Return versions beside each other, each mean with the widest interval that is possible.

    Args:
        versions: From `version_metrics`.
        test_users: Number of users that the hold-out tests, for example from `hold_out_size`.

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


def hold_out_size(interactions: pd.DataFrame) -> int:
    """Return the number of users that Personalize's hold-out tests, as documented: a tenth.

    The true number is not published; users with a single event may not count.
    """
    return max(1, round(interactions["USER_ID"].nunique() * TEST_SHARE))


def bounded(mean: float, users: int) -> tuple[float, float]:
    """Return the widest 95 % interval for the mean of a metric between 0 and 1.

    A value in [0, 1] with mean m has a variance of at most m(1 - m) (Bhatia and Davis 2000), so
    the standard error is at most sqrt(m(1 - m) / users). The true interval is narrower. It covers
    which users were tested, not how the training came out.

    Args:
        mean: Over users, 0..1.
        users: Number of users.
    """
    half = _Z95 * float(np.sqrt(mean * (1 - mean) / users))
    return max(0.0, mean - half), min(1.0, mean + half)


def popular_lists(
    interactions: pd.DataFrame,
    users: Iterable[str],
    *,
    keep: int,
    eligible: frozenset[str] | None,
    exclusions: pd.DataFrame,
) -> pd.DataFrame:
    """Return the lists of the most popular items under the same rules of publication.

    Args:
        interactions: The events that the run knew; they are counted.
        users: Users to recommend to.
        keep: Most items per user.
        eligible: The items that may be recommended; None for all.
        exclusions: Pairs of USER_ID and ITEM_ID that may not.

    Returns:
        USER_ID, ITEM_ID, RANK (1..keep), as `Run.recommendations`.
    """
    counted = interactions["ITEM_ID"].value_counts()
    counted = counted.sort_index().sort_values(ascending=False, kind="stable")
    ranked = [item for item in counted.index if eligible is None or item in eligible]
    pairs = exclusions[exclusions["ITEM_ID"].isin(ranked)].groupby("USER_ID")["ITEM_ID"]
    excluded = {str(user): set(items) for user, items in pairs}
    rows: list[tuple[str, str, int]] = []
    for user in users:
        without = excluded.get(user, set())
        items = islice((item for item in ranked if item not in without), keep)
        rows += [(user, item, rank) for rank, item in enumerate(items, start=1)]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "RANK"])


def scores(lists: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of each user's list on the user's later events.

    A hit is an item of the list with which the user had at least one event later; one at rank r is
    worth 1 / log2(1 + r), and NDCG divides by what the best order of the user's items is worth.

    Args:
        lists: USER_ID, ITEM_ID, RANK.
        later: USER_ID, ITEM_ID of the events since.

    Returns:
        Index `USER_ID`, of users with a list and later events; `items` (number of different items
        that the user had events with) and one column for each metric but coverage.
    """
    relevant = later[["USER_ID", "ITEM_ID"]].drop_duplicates()
    relevant = relevant[relevant["USER_ID"].isin(lists["USER_ID"].unique())]
    hits = lists[lists["RANK"] <= DEPTH].merge(relevant, on=["USER_ID", "ITEM_ID"])
    table = pd.DataFrame({"items": relevant.groupby("USER_ID").size()})
    first = hits.groupby("USER_ID")["RANK"].min().reindex(table.index)
    table[f"MRR@{DEPTH}"] = (1.0 / first).fillna(0.0)
    worth = 1.0 / np.log2(1.0 + np.arange(1, DEPTH + 1))
    ideal = np.concatenate([[0.0], np.cumsum(worth)])
    hits = hits.assign(worth=worth[hits["RANK"].to_numpy(dtype=int) - 1])
    for k in CUTOFFS:
        gained = hits[hits["RANK"] <= k].groupby("USER_ID")["worth"].sum()
        best = ideal[np.minimum(table["items"].to_numpy(), k)]
        table[f"NDCG@{k}"] = gained.reindex(table.index, fill_value=0.0) / best
    for k in CUTOFFS:
        number = hits[hits["RANK"] <= k].groupby("USER_ID").size()
        table[f"precision@{k}"] = number.reindex(table.index, fill_value=0) / k
    return table


def intervals(
    per_user: pd.DataFrame, *, random: np.random.Generator, resamples: int = 1_000
) -> pd.DataFrame:
    """Return each metric's mean over users with a 95 % interval.

    The percentile bootstrap over users; above 20,000 users the normal interval, which is then the
    same. It says how much the mean depends on which users happened to come back.

    Args:
        per_user: From `scores`.
        random: Draws the resamples.
        resamples: Number of resamples.

    Returns:
        `metric`, `value`, `low`, `high`, `users`; NaN if there are no users.
    """
    names = [name for name in metric_names() if name in per_user]
    values = per_user[names].to_numpy(dtype=np.float64)
    users = len(values)
    if users == 0:
        means = low = high = np.full(len(names), np.nan)
    elif users > _MOST_RESAMPLED:
        means = values.mean(axis=0)
        half = _Z95 * values.std(axis=0, ddof=1) / np.sqrt(users)
        low, high = means - half, means + half
    else:
        means = values.mean(axis=0)
        draws = (random.integers(0, users, users) for _ in range(resamples))
        resampled = [np.bincount(draw, minlength=users) @ values / users for draw in draws]
        low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {"metric": names, "value": means, "low": low, "high": high, "users": users},
        columns=["metric", "value", "low", "high", "users"],
    )


def gain(better: pd.DataFrame, base: pd.DataFrame, *, random: np.random.Generator) -> pd.DataFrame:
    """Return by how much one group of lists scored above another for the same users.

    Both are compared user by user, so that what makes a user easy or hard cancels out: the
    interval is narrower than the two single ones suggest. One that lies above 0 is a gain that
    chance among users does not explain.

    Args:
        better: From `scores`, of the lists that are judged.
        base: From `scores`, of the baseline's lists.
        random: Draws the resamples.

    Returns:
        `metric`, `value` (the mean difference), `low`, `high`, `users`.
    """
    shared = better.index.intersection(base.index)
    return intervals(better.loc[shared] - base.loc[shared], random=random)


def on_later_events(
    previous: Run, latest: Run, *, keep: int, random: np.random.Generator
) -> pd.DataFrame:
    """Return the metrics of the previous run's lists on the events until the latest run.

    Beside them those of the most popular items under the same filter rules, and the difference
    between both, user by user. Events count if they are newer than the newest one that the
    previous run knew of.

    Args:
        previous: The run whose lists are judged.
        latest: The run that knows later events; the same run gives no users and no numbers.
        keep: Most items per user that the filter publishes.
        random: Draws the resamples.

    Returns:
        `metric`, `list` (`published`, `most popular`, `difference`), `value`, `low`, `high`,
        `users`; see `scores`, `intervals` and `gain`.
    """
    later = latest.interactions[latest.interactions["TIMESTAMP"] > previous.newest_event]
    users = sorted(set(previous.recommendations["USER_ID"]) & set(later["USER_ID"]))
    popular = popular_lists(
        previous.interactions,
        users,
        keep=keep,
        eligible=previous.eligible_items,
        exclusions=previous.exclusions,
    )
    return _compared("published", previous.recommendations, popular, later, random=random)


def split_time(interactions: pd.DataFrame, *, share: float = 0.2) -> int:
    """Return a time after which the newest events came, UTC epoch seconds.

    Args:
        interactions: The events.
        share: Share of the events that are newer, 0..1; fewer if many have the same time.
    """
    return int(interactions["TIMESTAMP"].quantile(1 - share, interpolation="lower"))


def on_time_split(
    interactions: pd.DataFrame,
    split: int,
    *,
    model: Recommender | None = None,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Return the metrics of a model trained on the events until a time, on those after it.

    Beside them those of the items that were most popular until then, and the difference between
    both, user by user. Users without events on either side do not count; of many, 20,000 are drawn.

    Args:
        interactions: The events.
        split: The time, for example from `split_time`.
        model: To be trained; left out, one of the kind that the local Personalize trains for the
            recipes of user personalization.
        random: Draws users and resamples.

    Returns:
        `metric`, `list` (`trained model`, `most popular`, `difference`), `value`, `low`, `high`,
        `users`; as `on_later_events`.
    """
    is_known = interactions["TIMESTAMP"] <= split
    known, later = interactions[is_known], interactions[~is_known]
    users = sorted(set(known["USER_ID"]) & set(later["USER_ID"]))
    if len(users) > _MOST_RESAMPLED:
        users = sorted(random.choice(users, _MOST_RESAMPLED, replace=False).tolist())
    data = Interactions.from_events(
        known["USER_ID"].tolist(), known["ITEM_ID"].tolist(), known["TIMESTAMP"].to_numpy()
    )
    if model is None:
        model = Hybrid(factors=min(_FACTORS, data.n_users, data.n_items))
    lists = pd.DataFrame(
        [
            (user, item, rank)
            for block in model.fit(data).recommend(users, DEPTH)
            for user, items, count in zip(block.users, block.items, block.counts, strict=True)
            for rank, item in enumerate(items[:count].tolist(), start=1)
        ],
        columns=["USER_ID", "ITEM_ID", "RANK"],
    )
    nothing = pd.DataFrame({"USER_ID": [], "ITEM_ID": []}, dtype=str)
    popular = popular_lists(known, users, keep=DEPTH, eligible=None, exclusions=nothing)
    return _compared("trained model", lists, popular, later, random=random)


def _compared(
    name: str,
    lists: pd.DataFrame,
    popular: pd.DataFrame,
    later: pd.DataFrame,
    *,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Return the metrics of some lists, of the most popular items, and the difference."""
    judged, baseline = scores(lists, later), scores(popular, later)
    tables = {
        name: intervals(judged, random=random),
        "most popular": intervals(baseline, random=random),
        "difference": gain(judged, baseline, random=random),
    }
    table = pd.concat([rows.assign(list=name) for name, rows in tables.items()], ignore_index=True)
    return table[["metric", "list", "value", "low", "high", "users"]]


def metric_names() -> list[str]:
    """Return the metrics' short names in the order in which they are shown."""
    return [short_name(metric) for metric in METRICS]


def training_metrics(sagemaker: Any, model: Mapping[str, Any]) -> dict[str, float]:
    """Return what the training of a model measured, by the metrics' names; the last values.

    Args:
        sagemaker: A boto3 `sagemaker` client.
        model: As `latest.json` has it; one that the Spark job trained has no `trainingJobArn`, and
            no metrics.
    """
    if "trainingJobArn" not in model:
        return {}
    name = model["trainingJobArn"].rpartition("/")[2]
    job = sagemaker.describe_training_job(TrainingJobName=name)
    measured = job.get("FinalMetricDataList", ())
    return {each["MetricName"]: float(each["Value"]) for each in measured}


def short_name(metric: str) -> str:
    """Return a metric's usual name, for example `NDCG@10`."""
    name, _, cut_off = metric.partition("_at_")
    short = _SHORT.get(name, name)
    return f"{short}@{cut_off}" if cut_off else short
