"""Choosing by trial: hyperparameters over their ranges, recipes by a metric.

Trials are measured on another split of the users than the reported metrics: choosing on the test
users would flatter the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from localaws.personalize.resources.jobs import Report
from localaws.personalize.training.recipe import HyperParameter, Value, text_of

OBJECTIVE = "normalized_discounted_cumulative_gain_at_25"
"""The metric by which trials are compared if the solution names none."""

TRIALS = 8
"""Trials of a search that does not say how many."""

MOST_TRIALS = 40
"""https://docs.aws.amazon.com/personalize/latest/dg/API_HPOResourceConfig.html"""


@dataclass(frozen=True)
class Range:
    """Where a search looks for the value of one hyperparameter.

    Args:
        parameter: The hyperparameter.
        low: Smallest value of a number.
        high: Largest value of a number.
        choices: The values of a category, as over the wire.
    """

    parameter: HyperParameter
    low: float
    high: float
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameter: HyperParameter) -> Range:
        """The hyperparameter's whole documented range."""
        choices = parameter.choices or ("true", "false")
        return cls(
            parameter,
            parameter.low,
            parameter.high,
            choices if parameter.kind == "categorical" else (),
        )

    def at(self, share: float) -> str:
        """The value at a share, 0 to 1, of the range; a large integer range is a geometric one."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.parameter.kind == "continuous":
            return text_of(round(self.low + share * (self.high - self.low), 4))
        if self.low < 1:
            return text_of(round(self.low + share * (self.high - self.low)))
        return text_of(round(self.low * (self.high / self.low) ** share))


@dataclass(frozen=True)
class Search:
    """Hyperparameter optimisation.

    Args:
        objective: The metric to maximise.
        n_trials: How many sets of values are tried, at most.
        ranges: By name of the hyperparameter; those that are tunable, over their whole documented
            range, if empty.
    """

    objective: str = OBJECTIVE
    n_trials: int = TRIALS
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def trials(self, parameters: Sequence[HyperParameter], seed: int) -> list[dict[str, str]]:
        """The sets of values to try: a Latin hypercube with the ends of every range in it.

        Args:
            parameters: Those of the recipe.
            seed: Same seed, same trials.
        """
        ranges = [
            self.ranges.get(one.name, Range.of(one))
            for one in parameters
            if one.tunable and (not self.ranges or one.name in self.ranges)
        ]
        random = np.random.default_rng(seed)
        shares = np.linspace(0.0, 1.0, max(self.n_trials, 1))
        columns = [
            shares if not number else random.permutation(shares) for number in range(len(ranges))
        ]
        trials = [
            {
                one.parameter.name: one.at(float(column[trial]))
                for one, column in zip(ranges, columns, strict=True)
            }
            for trial in range(len(shares))
        ]
        return list({json.dumps(trial, sort_keys=True): trial for trial in trials}.values())


def best_of(
    candidates: Sequence[Mapping[str, str]],
    identity: Callable[[Mapping[str, str]], Mapping[str, Value]],
    score: Callable[[Mapping[str, str], Report], float],
    report: Report,
) -> int:
    """The number of the candidate with the highest score, the first among equals.

    Args:
        candidates: Sets of values.
        identity: What a set makes of the model; sets that make the same are scored once.
        score: Trains and measures a set.
        report: How far it is, 0..1.
    """
    known: dict[str, float] = {}
    scores = []
    for number, candidate in enumerate(candidates):
        key = json.dumps(identity(candidate), sort_keys=True)
        if key not in known:
            known[key] = score(candidate, part(report, number, len(candidates)))
        scores.append(known[key])
    return int(np.argmax(scores))


def part(report: Report, number: int, of: int) -> Report:
    """Reports 0..1 as one of several equal parts of the whole."""
    return lambda fraction: report((number + fraction) / of)
