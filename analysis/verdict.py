"""The verdict on a run: what is good, and what a person should look at.

    found = findings(record)
    verdict(record, found).sentence     # "Good: 279 users have a list, …"

Pure: it is derived from the facts of a `RunRecord`, and each rule names its bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Literal

from analysis.comparisons import no_better_than_popular, tied_with_best
from analysis.data_profile import READINESS, agreement, rejected, truncated_values
from analysis.frames import Run, RunFilesError
from analysis.run_record import BEFORE, POPULARITY, THIS_VERSION, RunRecord
from workflow.runs.visits import RUNNING
from workflow.spelling import counted

QUALITY = "NDCG@10"
LIVE = "hit_rate_at_10"
"""The metric of a back-test by which the lists are compared with the most popular items."""
WORSE_THAN_BEFORE = 0.9
"""Share of the quality of the version before, below which it has fallen."""
HARDLY = 0.005
"""Share of the quality that makes no difference to speak of."""
FEW_ITEMS = 0.1
"""Share of the items that could be in a list, below which the lists show few of them."""
SHORT_LIST = 0.5
"""Share of the items that a list could have, below which it is short; and of lists that are."""
MANY_WITHOUT_LIST = 0.01
"""Share of the users to recommend for, above which too many have no list."""
OLD_DAYS = 7
"""Days between the newest event and the run, after which the events are old."""

_ERRORS = "recommendations/errors.jsonl"


@dataclass(frozen=True)
class Finding:
    """Something that a person should know of a run.

    Attributes:
        short: A clause for the verdict, for example `12 of 291 users have no list`.
        text: The whole of it, in sentences.
        level: `warning` is to be looked at; `note` is not.
    """

    short: str
    text: str
    level: Literal["warning", "note"] = "warning"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run.

    Attributes:
        word: `good`, `look`, `failed` or `running`.
        sentence: It, in one sentence.
    """

    word: Literal["good", "look", "failed", "running"]
    sentence: str


def verdict(record: RunRecord, found: Sequence[Finding]) -> Verdict:
    """Return the verdict on a run.

    Args:
        record: Of the run.
        found: From `findings`.
    """
    status, failure = record.progress.status, record.failure
    if status == RUNNING:
        return Verdict("running", "Still running: what follows is not all.")
    if failure is not None:
        ended = {"ABORTED": "Stopped", "TIMED_OUT": "Timed out"}.get(status, "Failed")
        where = f" in '{failure.state}'" if failure.state else ""
        stay = "" if _has_lists(record.run) else ": what was published before stays as it is"
        return Verdict("failed", f"{ended}{where}{stay}.")
    warnings = [finding.short for finding in found if finding.level == "warning"]
    if warnings:
        return Verdict("look", f"To look at: {'; '.join(warnings)}.")
    return Verdict("good", f"Good: {_praise(record)}.")


def findings(record: RunRecord) -> list[Finding]:
    """Return what a person should know of a run, the warnings first."""
    subjects = (_gate, _comparison, _campaigns, _backtest, _quality, _lists, _delivery, _data)
    found = [finding for subject in subjects for finding in subject(record)]
    return sorted(found, key=lambda finding: finding.level, reverse=True)


def _praise(record: RunRecord) -> str:
    this, popular, before = (_score(record, name) for name in (THIS_VERSION, POPULARITY, BEFORE))
    compared = []
    if this and popular:
        compared.append(f"{this / popular:.1f} times as good as the most popular items")
    if this and before:
        change = this / before - 1
        by = f"{abs(change):.0%} {'better than' if change > 0 else 'worse than'}"
        by = "as good as" if abs(change) < HARDLY else by.replace("%", " %")
        compared.append(f"{by} those of the run before")
    if not _has_lists(record.run):
        increment = record.run.record("increment")
        if increment and increment["step"] == "nothing":
            return f"{increment['why']}, which stays as it is"
        return "the run succeeded"
    noun = "items" if record.config.batch_inference.item_id else "users"
    listed = record.run.recommendations["USER_ID"].nunique()
    that_are = f" that are {' and '.join(compared)}" if compared else ""
    return f"{listed:,} {noun} have lists{that_are}"


def _score(record: RunRecord, name: str) -> float | None:
    return record.metrics.get(name, {}).get(QUALITY)


def _quality(record: RunRecord) -> Iterator[Finding]:
    this, popular, before = (_score(record, name) for name in (THIS_VERSION, POPULARITY, BEFORE))
    if this is None:
        return
    if popular and this <= popular:
        yield Finding(
            "the lists are no better than the most popular items",
            f"The lists are no better than recommending everybody the most popular items: {QUALITY}"
            f" is {this:.3f}, that of the most popular items {popular:.3f}.",
        )
    if before and this < before * WORSE_THAN_BEFORE:
        fall = f"{1 - this / before:.0%}".replace("%", " %")
        yield Finding(
            f"the quality fell by {fall}",
            f"The quality fell by {fall} since the run before: {QUALITY} was {before:.3f} and is"
            f" {this:.3f}. Fewer or other events may be the reason; see the data.",
        )


def _gate(record: RunRecord) -> Iterator[Finding]:
    """Yield what the quality gate found, unless the run failed with it."""
    gate = record.run.gate
    if gate is None or gate["decision"] == "fail":
        return
    refused = f"The quality gate refused the new version ({_version(gate['solutionVersionArn'])})"
    if gate["decision"] == "leave out":
        yield Finding(
            "the quality gate refused Personalize's new version, so that it was not compared",
            f"{refused}: {gate['reason']}. Personalize was left out of the comparison.",
        )
    elif gate["decision"] == "keep":
        published, is_compared = gate["published"], record.run.record("comparison") is not None
        made = "its lists for the comparison" if is_compared else "the lists"
        version = (
            f"version {_version(published['arn'])}, which run {published['run']} had published"
        )
        yield Finding(
            f"the quality gate refused the new version, so that the last one made {made}",
            f"{refused}: {gate['reason']}. {made.capitalize()} were made by {version}.",
        )
    elif gate["degraded"]:
        yield Finding("the lists published last did badly", f"{_sentence(gate['reason'])}.")
    for rule in gate["rules"]:
        if rule["met"] is None:
            text = f"the quality gate could not judge {rule['rule']}: {rule['text']}"
            yield Finding(text, f"{_sentence(text)}.", "note")


def _comparison(record: RunRecord) -> Iterator[Finding]:
    """Yield which model made the lists, and whether it is of use."""
    found = record.run.record("comparison")
    if found is None:
        return
    best, others = found["best"], [name for name in found["models"] if name != found["best"]]
    tied = tied_with_best(found)
    worse = [name for name in others if name not in tied]
    why = "" if not worse else f"they were better than those of {', '.join(worse)}"
    if tied:
        also = f"those of {' and '.join(tied)} were as good, and it comes first"
        why = f"{why}; {also}" if why else also
    if not others:
        why = f"{', '.join(found['leftOut'])} was left out of the comparison"
    text = f"the lists are those of {best}: {why}"
    may_win = _may_win(found, worse)
    doubt = f" Chance may explain that: {may_win} may win the next time." if may_win else ""
    yield Finding(text, f"{_sentence(text)}.{doubt}", "note")
    if no_better_than_popular(found):
        metric = found["models"][best]["metrics"][found["by"]]
        yield Finding(
            "no model is certainly better than the most popular items",
            f"No model is certainly better than the most popular items: {found['by']} of the best,"
            f" {best}, is {metric['value']:.3f}, theirs {metric['popularity']:.3f}, and chance may"
            " explain the difference.",
        )


def _may_win(found: Mapping[str, Any], others: Sequence[str]) -> str:
    """Return which models have an interval that reaches into that of the best, as a text."""
    of = {name: each["metrics"][found["by"]] for name, each in found["models"].items()}
    low = of[found["best"]].get("low", inf)
    return " or ".join(name for name in others if of[name].get("high", -inf) >= low)


def _campaigns(record: RunRecord) -> Iterator[Finding]:
    """Yield the campaigns that do not serve the version of the published list."""
    campaigns = record.run.record("campaigns") or {"campaigns": []}
    behind = [each for each in campaigns["campaigns"] if not each["follows"]]
    for each in behind:
        yield Finding(
            f"campaign '{each['name']}' does not serve the new version",
            f"{_sentence(each['reason'])}. The list is of version"
            f" {_version(campaigns['solutionVersionArn'])}.",
        )


def _delivery(record: RunRecord) -> Iterator[Finding]:
    """Yield what a table has got of the list, unless the run failed with it."""
    delivery = record.run.record("delivery")
    if delivery is None:
        return
    table = f"{'DynamoDB ' if delivery['to'] == 'dynamodb' else ''}table {delivery['table']}"
    failed = delivery["status"] == "FAILED" and record.progress.status == "SUCCEEDED"
    if failed or delivery["status"] == "SKIPPED":
        yield Finding(
            f"{table} has not got the list",
            f"The list did not go into {table}: {delivery['reason'].rstrip('.')}.",
        )
    elif delivery["status"] == "DELIVERED":
        text = f"{table} has the list, in {delivery['rows']:,} rows"
        yield Finding(text, f"{_sentence(text)}.", "note")


def _version(arn: str) -> str:
    """Return a solution version as people name it, for example `labbase/1f2e3d4c`."""
    return arn.partition(":solution/")[2] or arn


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _backtest(record: RunRecord) -> Iterator[Finding]:
    try:
        measured = record.run.manifest.get("backtest") or {}
    except RunFilesError:
        return
    if reason := measured.get("reason"):
        text = f"the lists published last could not be compared with what people did: {reason}"
        yield Finding(text, f"{_sentence(text)}.", "note")
    rate = measured.get("metrics", {}).get(LIVE)
    if rate and rate.get("difference", {}).get("high", 0.0) < 0:
        yield Finding(
            "people chose the most popular items more often than those of the lists",
            f"Of the users who came back since run {measured['run']}, {_percent(rate['value'])}"
            " chose one of the first ten items of their list, and"
            f" {_percent(rate['popularity'])} one of the ten most popular items; chance does not"
            " explain the difference.",
        )


def _lists(record: RunRecord) -> Iterator[Finding]:
    run = record.run
    try:
        lists, manifest, eligible = run.recommendations, run.manifest, run.eligible_items
        catalogue = record.catalogue if eligible is None else eligible
    except RunFilesError:
        return
    noun = "items" if record.config.batch_inference.item_id else "users"
    asked = manifest.get("batchInput", {}).get("rows", 0)
    without = asked - lists["USER_ID"].nunique()
    if without > 0:
        yield Finding(
            f"{without:,} of {asked:,} {noun} have no list",
            f"{without:,} of the {asked:,} {noun} to recommend for have no list:"
            f" {_why_none(record)}.",
            "warning" if without / asked > MANY_WITHOUT_LIST else "note",
        )
    most = min(record.config.filter.keep, len(catalogue))
    lengths = lists.groupby("USER_ID").size()
    short_lists = int((lengths < most * SHORT_LIST).sum())
    if len(lengths) and short_lists / len(lengths) > SHORT_LIST:
        yield Finding(
            f"{short_lists:,} of {len(lengths):,} lists are short",
            f"{short_lists:,} of the {len(lengths):,} lists have less than half of the {most:,}"
            f" items that they could have, {lengths.median():g} at the median:"
            f" {record.maker or 'Personalize'} returned no more, or the filters took them away.",
        )
    yield from _unknown_items(record)
    shown, possible = lists["ITEM_ID"].nunique(), min(len(catalogue), len(lists))
    if possible and shown / possible < FEW_ITEMS:
        yield Finding(
            f"only {shown:,} of {len(catalogue):,} items are in a list",
            f"Only {shown:,} of the {len(catalogue):,} items that may be recommended are in any"
            " list; the others are shown to nobody.",
        )


def _why_none(record: RunRecord) -> str:
    """Return why users may have no list, in a clause; with the reason of the first error line."""
    errors = (record.run.record("publication") or {}).get("errorLines", 0)
    maker, path = record.maker or "Personalize", f"{record.run.folder}{_ERRORS}"
    if not errors or not record.run.files.find(path):
        return f"{maker} returned nothing for them, or the filters took everything away"
    first, *_ = record.run.files.read(path).splitlines()
    lines, reason = counted(errors, "line"), json.loads(first)["reason"]
    return f"{lines} of {maker}'s output {_were(errors)} an error, the first: {reason} ({path})"


def _unknown_items(record: RunRecord) -> Iterator[Finding]:
    """Yield the items that a model of one's own has made up."""
    run = record.run
    if not record.maker or run.since:  # the earlier interactions have items too
        return
    known = record.catalogue | frozenset(run.interactions["ITEM_ID"])
    recommended = run.recommendations["ITEM_ID"].unique()
    if unknown := sorted(set(recommended) - known):
        of = f"{len(unknown):,} of {len(recommended):,} recommended items"
        verb = "is" if len(unknown) == 1 else "are"
        yield Finding(
            f"{of} {verb} in no data set",
            f"{of} {verb} in no data set of the run, for example {unknown[0]}: {record.maker} made"
            " them up. filter.eligible_items keeps such out of the lists.",
        )


def _data(record: RunRecord) -> Iterator[Finding]:
    run = record.run
    try:
        manifest, checks = run.manifest, record.checks
    except RunFilesError:
        return
    for check, row in agreement(manifest).iterrows():
        if row["warning"]:
            share = f"{row['share']:.0%}".replace("%", " %")
            yield Finding(f"only {share} of {check}", f"{row['warning']}.")
    yield from _rejected(record)
    if run.since or not record.config.has_personalize:  # which has the earlier ones too
        checks = checks.head(0)
    for check, row in checks[~checks["met"]].iterrows():
        short = f"{str(check).removesuffix(', advised')}: {row['found']:,g}"
        is_advice = row["source"] == READINESS
        asks = "advises" if is_advice else "wants"
        text = f"{short}; Personalize {asks} {row['wanted']}, otherwise: {row['otherwise']}."
        yield Finding(
            f"{short}, not {row['wanted']}",
            text[0].upper() + text[1:],
            "note" if is_advice else "warning",
        )
    for column in truncated_values(manifest).to_dict("records"):
        values = counted(column["values"], "text")
        text = f"{values} of {column['data set']}.{column['column']} {_were(column['values'])} cut"
        yield Finding(text, f"{text} to the length that Personalize takes.", "note")
    if not run.newest_event:
        return
    newest = datetime.fromtimestamp(run.newest_event, UTC)
    days = ((record.visits.began or record.now) - newest).days
    if days > OLD_DAYS:
        text = f"the newest event is {days:,} days old"
        yield Finding(
            text,
            f"The newest event is of {newest:%Y-%m-%d}, {days:,} days before the run: of"
            " what people did since, the model knows nothing.",
            "note",
        )


def _rejected(record: RunRecord) -> Iterator[Finding]:
    """Yield the rows left out; a warning from half of the share at which the job fails."""
    most = record.config.etl.max_rejected_share
    for each in rejected(record.run.manifest):
        if each.faults:
            left_out = sum(each.faults.values())
            short = f"{counted(left_out, 'row')} of {each.name} {_were(left_out)} left out"
            reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in each.faults.items())
            share, at_most = f"{each.share:.2%}", f"{most:.1%}"
            yield Finding(
                short,
                f"{short}, {share} of them ({reasons}); above {at_most} the run fails.".replace(
                    "%", " %"
                ),
                "warning" if most and each.share >= most / 2 else "note",
            )
        if each.nulls:
            have = "has" if each.nulls == 1 else "have"
            short = f"{counted(each.nulls, 'row')} of {each.name} {have} no id"
            yield Finding(short, f"{short}: left out, which is no fault.", "note")


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _has_lists(run: Run) -> bool:
    try:
        return len(run.recommendations) > 0
    except RunFilesError:
        return False
