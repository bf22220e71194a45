"""`[gate]`: what a new solution version must reach before its recommendations are published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from workflow.options.backtest import BACKTEST_METRICS
from workflow.personalize import CUTOFFS, METRICS, POPULARITY
from workflow.settings import Rule, Settings
from workflow.spelling import nearest


class MetricGate(Settings):
    """What one of Personalize's metrics of the new solution version must reach."""

    minimum: float | None = Field(None, ge=0, le=1, description="least value")
    greatest_drop: float | None = Field(
        None,
        ge=0,
        le=1,
        examples=[0.1],
        description="share of the last published version's value that the new one may be below it;"
        " not judged as long as nothing is published",
    )
    better_than_popularity: bool = Field(
        False,
        description="the value must be above that of recommending everybody the most popular items"
        " of the same data; the Spark job measures it",
    )


class BacktestGate(Settings):
    """What a metric of the back-test must reach, judged by its interval: chance breaks no rule."""

    minimum: float | None = Field(
        None, ge=0, le=1, description="broken if the whole interval is below it"
    )
    no_worse_than_popularity: bool = Field(
        False,
        description="broken if the difference from the most popular items of that time is below 0"
        " with its whole interval",
    )


class GateSettings(Settings):
    """Judges each new solution version before batch inference; without this table none is."""

    on_failure: Literal["keep", "fail"] = Field(
        "keep",
        description="keep: the last published version makes the lists of this run, which is marked"
        " as degraded; fail: the run fails with QualityGateFailed, and the published lists stay",
    )
    metrics: dict[str, MetricGate] = Field(
        {},
        examples=[{"normalized_discounted_cumulative_gain_at_10": {"greatest_drop": 0.1}}],
        description=f"of Personalize, by its names: {', '.join(METRICS)}",
    )
    backtest: dict[str, BacktestGate] = Field(
        {},
        examples=[{"hit_rate_at_10": {"no_worse_than_popularity": True}}],
        description="of the back-test, which [backtest] switches on:"
        f" {', '.join(BACKTEST_METRICS)}. It judges the version published last, which therefore is"
        " not kept for it: with on_failure = keep the run goes on, marked as degraded",
    )

    @property
    def needs_popularity(self) -> bool:
        """Whether the Spark job has to measure the most popular items."""
        return any(rule.better_than_popularity for rule in self.metrics.values())

    def own_faults(self) -> Iterator[Rule]:
        """Yield metrics that are unknown, and such without a rule."""
        yield from _name_faults("metrics", self.metrics, "Personalize has")
        yield from _name_faults("backtest", self.backtest, "the back-test has")
        tables: dict[str, Mapping[str, Settings]]
        tables = {"metrics": self.metrics, "backtest": self.backtest}
        for table, rules in tables.items():
            for metric, rule in rules.items():
                # By identity: a greatest drop of 0 equals False, and judges.
                if all(value is None or value is False for value in rule.model_dump().values()):
                    fix = f"write one of {', '.join(type(rule).model_fields)}"
                    yield (table, metric), "there is nothing to judge by", fix
        coverage = self.backtest.get("coverage")
        if coverage and coverage.no_worse_than_popularity:
            key = ("backtest", "coverage", "no_worse_than_popularity")
            why = "coverage is no mean over users, so that there is no interval to judge by"
            yield key, why, "write minimum, or another metric"
        if not self.metrics and not self.backtest:
            fix = f"add [gate.metrics.{METRICS[3]}] with greatest_drop = 0.1, or leave [gate] out"
            yield (), "a gate without a metric judges nothing", fix


def gate_faults(gate: GateSettings, recipe: str | None, length: int) -> Iterator[Rule]:
    """Yield the rules that no version can keep, and those of lists that are not so long.

    Args:
        gate: The rules.
        recipe: The solution's; None where AutoML chooses it.
        length: Items of a published list, at most.
    """
    for metric, rules in gate.metrics.items():
        if rules.better_than_popularity and recipe == POPULARITY:
            rule = f"{POPULARITY} recommends the most popular items, and is never better than they"
            yield ("metrics", metric, "better_than_popularity"), rule, "leave it out"
    fitting = [cutoff for cutoff in CUTOFFS if cutoff <= length]
    for metric in gate.backtest:
        name, _, cutoff = metric.partition("_at_")
        if cutoff.isdecimal() and int(cutoff) > length:
            fix = f"write {name}_at_{fitting[-1]}, or" if fitting else "leave it out, or"
            yield (
                ("backtest", metric),
                f"a published list has {length} items, by filter.keep and"
                " batch_inference.num_results",
                f"{fix} publish longer lists",
            )


def _name_faults(table: str, names: Mapping[str, object], owner: str) -> Iterator[Rule]:
    """Yield the metrics that do not exist, each with the one that was meant."""
    known = {"metrics": METRICS, "backtest": BACKTEST_METRICS}
    by_usual_name = {_usual_name(name): name for name in known[table]}
    for name in names:
        if name in known[table]:
            continue
        if others := [other for other, metrics in known.items() if name in metrics]:
            yield (table, name), f"{owner} no such metric", f"did you mean gate.{others[0]}.{name}?"
            continue
        usual = nearest(name.lower().replace("_at_", "@"), by_usual_name)
        near = nearest(name, by_usual_name.values()) or (usual and by_usual_name[usual])
        choices = ", ".join(by_usual_name.values())
        fix = f"did you mean {near}?" if near else f"write one of {choices}"
        yield (table, name), f"{owner} no such metric", fix


def _usual_name(metric: str) -> str:
    """Return what people call a metric, for example `ndcg@10`."""
    name, _, cutoff = metric.partition("_at_")
    short = {
        "mean_reciprocal_rank": "mrr",
        "normalized_discounted_cumulative_gain": "ndcg",
    }.get(name, name)
    return f"{short}@{cutoff}" if cutoff else short
