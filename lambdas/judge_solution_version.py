"""Judge Solution Version: whether the version that a run trained may make its lists.

The stages: its metrics, those of the last published version, and from the run's manifest those of
the most popular items and of the back-test; each rule of `[gate]`; the decision, written whole into
the run's `record/gate.json`. Nothing that is published changes here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import InvalidInputException, QualityGateFailed, named_errors
from lambdas.list_datasets import manifest_of, read_manifest
from lambdas.records import GATE, latest_key, record_key, write_object

PUBLISH, KEEP, LEAVE_OUT, FAIL = "publish", "keep", "leave out", "fail"

_OF_PUBLICATION = ("run", "solutionVersionArn")


@dataclass(frozen=True)
class Judged:
    """A rule of the gate, judged.

    Attributes:
        metric: For example `normalized_discounted_cumulative_gain_at_10`.
        rule: Its key in the configuration, `backtest.` before it if it judges the back-test.
        value: What was measured; None if nothing was.
        bound: What the value is compared with; None if that is not known.
        met: Whether the rule is met; None if it cannot be judged.
        text: All of it, in a clause.
    """

    metric: str
    rule: str
    value: float | None
    bound: float | None
    met: bool | None
    text: str


@dataclass(frozen=True)
class Published:
    """The version that made the lists published last.

    Attributes:
        run: The run that published them.
        arn: The version's.
        metrics: Its metrics; empty if they are not known.
        source: Where they come from: `Personalize`, or the record of the run.
        exists: Whether Personalize still has the version.
    """

    run: str
    arn: str
    metrics: Mapping[str, float]
    source: str
    exists: bool


def judged_metrics(
    rules: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, float],
    published: Published | None,
    popularity: Mapping[str, Any],
) -> Iterator[Judged]:
    """Yield each rule on the new version's metrics.

    Args:
        rules: Metric → `minimum`, `greatest_drop`, `better_than_popularity`, those that are there.
        metrics: Of the new version.
        published: The version published last; None if nothing is published.
        popularity: `metrics` of the most popular items, or the `reason` why there are none.
    """
    for metric, rule in rules.items():
        value = metrics.get(metric)
        if value is None:
            text = f"Personalize gives no {metric} of this version"
            yield from (Judged(metric, key, None, None, False, text) for key in rule)
            continue
        is_value = f"{metric} is {value:.4f}"
        if "minimum" in rule:
            least = rule["minimum"]
            yield _at_least(metric, "minimum", value, least, f"{is_value}, minimum {least:g}")
        if "greatest_drop" in rule:
            yield _drop(metric, value, rule["greatest_drop"], published)
        if rule.get("better_than_popularity"):
            key, base = "better_than_popularity", popularity.get("metrics", {}).get(metric)
            if base is None:
                why = popularity.get("reason") or "they were not measured"
                text = f"{metric} of the most popular items is not known: {why}"
                yield Judged(metric, key, value, None, None, text)
            else:
                text = f"{is_value}, that of the most popular items {base:.4f}"
                yield Judged(metric, key, value, base, value > base, text)


def _at_least(metric: str, rule: str, value: float, bound: float, text: str) -> Judged:
    return Judged(metric, rule, value, bound, value >= bound, text)


def _drop(metric: str, value: float, most: float, published: Published | None) -> Judged:
    """Return the judgement on how far a metric fell below that of the last published version."""
    if published is None:
        text = f"{metric}: nothing is published yet that it could have dropped from"
        return Judged(metric, "greatest_drop", value, None, None, text)
    before = published.metrics.get(metric)
    if before is None:
        text = (
            f"{metric} of the last published version, {published.arn}, is not known:"
            " Personalize has deleted it, and the record of its run lacks it"
        )
        return Judged(metric, "greatest_drop", value, None, None, text)
    fall = f"{(before - value) / before:.1%} less than" if value < before else "not less than"
    text = (
        f"{metric} is {value:.4f}, {fall} the {before:.4f} of the last published version,"
        f" greatest_drop {most:.1%}"
    )
    # Of decimal fractions, 0.2 * (1 - 0.1) is a little above 0.18.
    bound = round(before * (1 - most), 12)
    return _at_least(metric, "greatest_drop", value, bound, text)


def judged_backtest(
    rules: Mapping[str, Mapping[str, Any]], backtest: Mapping[str, Any]
) -> Iterator[Judged]:
    """Yield each rule on the back-test; it is broken if the whole interval lies below its bound.

    Args:
        rules: Metric → `minimum`, `no_worse_than_popularity`, those that are there.
        backtest: Of the manifest: `metrics`, or the `reason` why there are none.
    """
    for metric, rule in rules.items():
        measured = backtest.get("metrics", {}).get(metric)
        for key, bound in rule.items():
            name = f"backtest.{key}"
            if measured is None:
                why = backtest.get("reason") or "the Spark job did not measure it"
                text = f"{metric} of the lists published last is not known: {why}"
                yield Judged(metric, name, None, None, None, text)
                continue
            judged, least, what = measured, float(bound), f"minimum {bound:g}"
            if key == "no_worse_than_popularity":
                judged, least = measured["difference"], 0.0
                what = f"the most popular items of that time {measured['popularity']:.4f}"
            high = judged.get("high")
            highest = judged["value"] if high is None else high
            text = f"{metric} of the lists published last was {measured['value']:.4f}, {what}"
            yield Judged(metric, name, measured["value"], least, highest >= least, text)


@dataclass(frozen=True)
class Decision:
    """The gate's decision.

    Attributes:
        word: `publish`, `keep`, `leave out` or `fail`.
        reason: The broken rules; empty if there are none.
        served: The ARN of the version that makes the run's lists; empty if none may.
    """

    word: str
    reason: str
    served: str


def decide(
    arn: str,
    on_failure: str,
    of_version: list[Judged],
    of_backtest: list[Judged],
    published: Published | None,
    *,
    has_rivals: bool = False,
) -> Decision:
    """Return what follows from the judged rules.

    The back-test judges the version published last, so that it is no reason to keep that one.
    With rivals, Personalize can be left out where there is no version to keep.
    """
    broken = [judged.text for judged in of_version if judged.met is False]
    reasons = "; ".join([*broken, *(judged.text for judged in of_backtest if judged.met is False)])
    if not reasons:
        return Decision(PUBLISH, "", arn)
    if on_failure == FAIL:
        return Decision(FAIL, f"{reasons}; the published lists stay as they were", "")
    if not broken:
        return Decision(PUBLISH, reasons, arn)
    if published and published.exists:
        return Decision(KEEP, reasons, published.arn)
    why = (
        f"the version published last, {published.arn}, is deleted and cannot be kept"
        if published
        else "no version of Personalize is published, so that there is none to keep"
    )
    return Decision(LEAVE_OUT if has_rivals else FAIL, f"{reasons}; {why}", "")


def judge_solution_version(
    s3: Any, personalize: Any, event: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Judge a version, write the run's record of it, and return the decision.

    Returns:
        `decision` (`publish`, `keep` or `leave out`), `reason`, and `served.arn`, the version to
        infer with; empty of the last, where other models' lists are compared alone.

    Raises:
        ManifestNotFound: If the run has no manifest.
        QualityGateFailed: If no version may make the run's lists; the record is written before.
    """
    bucket, run, arn = event["bucket"], event["run"], event["solutionVersionArn"]
    recommender = event.get("recommender") or ""
    manifest = manifest_of(read_manifest(s3, bucket, run), recommender)
    metrics = _metrics(personalize, arn) or {}
    latest = _latest(s3, bucket, latest_key(recommender))
    before = record_key(latest["run"], GATE, recommender) if latest else ""
    record = (_read_json(s3, bucket, before) if before else None) or {}
    published = _published(personalize, latest, before, record) if latest else None
    popularity = _popularity(manifest, record)
    backtest = manifest.get("backtest") or {}
    of_version = list(judged_metrics(event["metrics"], metrics, published, popularity))
    of_backtest = list(judged_backtest(event["backtest"], backtest))
    decision = decide(
        arn,
        event["onFailure"],
        of_version,
        of_backtest,
        published,
        has_rivals=bool(event.get("hasRivals")),
    )
    kept = published if decision.word == KEEP else None
    written = {
        "run": run,
        "decision": decision.word,
        "reason": decision.reason,
        "degraded": bool(decision.reason),
        "solutionVersionArn": arn,
        "metrics": metrics,
        "served": {
            "solutionVersionArn": decision.served,
            "metrics": kept.metrics if kept else metrics,
        }
        if decision.served
        else None,
        "published": asdict(published) if published else None,
        "popularity": popularity,
        "judgedBy": {name: event[name] for name in ("metrics", "backtest")},
        "rules": [asdict(judged) for judged in (*of_version, *of_backtest)],
        "judgedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    write_object(s3, bucket, record_key(run, GATE, recommender), written)
    if decision.word == FAIL:
        raise QualityGateFailed(decision.reason)
    return {
        "decision": decision.word,
        "reason": decision.reason,
        "served": {"arn": decision.served},
    }


def _metrics(personalize: Any, arn: str) -> dict[str, float] | None:
    """Return a version's metrics, None if it does not exist any more."""
    try:
        response = personalize.get_solution_metrics(solutionVersionArn=arn)
    except personalize.exceptions.ResourceNotFoundException:
        return None
    return {name: float(value) for name, value in response["metrics"].items()}


def _published(
    personalize: Any, latest: Mapping[str, Any], key: str, record: Mapping[str, Any]
) -> Published:
    """Return the version published last, with the metrics of its run's record if it is deleted."""
    run, arn = str(latest["run"]), str(latest["solutionVersionArn"])
    metrics = _metrics(personalize, arn)
    if metrics is not None:
        return Published(run, arn, metrics, "Personalize", exists=True)
    served = record.get("served") or {}
    recorded = served["metrics"] if served.get("solutionVersionArn") == arn else {}
    return Published(run, arn, recorded, key, exists=False)


def _popularity(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of the most popular items: of this run, else of the run published last.

    A run that reads new interactions alone does not measure them.
    """
    measured = manifest.get("popularityBaseline") or {}
    if "metrics" in measured:
        return {"run": manifest.get("run"), **measured}
    before = record.get("popularity") or {}
    return {**before} if "metrics" in before else {**measured}


def _latest(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Return what is published; None if nothing is, or a model of one's own made the list.

    Raises:
        InvalidInputException: If it does not say which version made the list.
    """
    latest = _read_json(s3, bucket, key)
    if latest is None or "model" in latest:
        return None
    return _with_members(latest, bucket, key, _OF_PUBLICATION)


def _read_json(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Return the JSON object of a file, None if there is no such file.

    Raises:
        InvalidInputException: If it is no JSON object.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        return {**json.loads(body)}
    except (ValueError, TypeError) as error:
        raise _not_of_a_run(bucket, key, error) from error


def _with_members(
    content: dict[str, Any], bucket: str, key: str, members: Iterable[str]
) -> dict[str, Any]:
    """Return an object that has all members, as it is.

    Raises:
        InvalidInputException: If it lacks one of them.
    """
    for member in members:
        if member not in content:
            raise _not_of_a_run(bucket, key, KeyError(member))
    return content


def _not_of_a_run(bucket: str, key: str, error: Exception) -> InvalidInputException:
    return InvalidInputException(
        f"s3://{bucket}/{key} is not what a run wrote there: {error!r}; restore the object's"
        " version before, or delete it"
    )


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Judge `solutionVersionArn` of a `run` in a `bucket`.

    Event: besides these, `onFailure` (`keep` or `fail`), `metrics` and `backtest`, each metric →
    its rules as in the configuration; `recommender`, if there are several; `hasRivals`, if other
    models make lists in the same run.
    """
    return judge_solution_version(client("s3"), client("personalize"), event, now=datetime.now(UTC))
