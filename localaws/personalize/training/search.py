"""Hyperparameter optimisation: the sets of values to try over the hyperparameters' ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from localaws.personalize.training.recipe import HyperParameter, text_of
from recommenders.evaluation.names import NDCG

OBJECTIVE = NDCG[-1]
"""The metric by which trials are compared if the solution names none."""

TRIALS = 8
"""Trials of a search that does not say how many."""

MOST_TRIALS = 40
"""https://docs.aws.amazon.com/personalize/latest/dg/API_HPOResourceConfig.html"""


@dataclass(frozen=True)
class Range:
    """The range in which a search varies one hyperparameter.

    Attributes:
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
        """Return the hyperparameter's whole documented range."""
        return cls(parameter, parameter.low, parameter.high, parameter.legal)

    def at(self, share: float) -> str:
        """Return the value at a share, 0 to 1, of the range; large integers grow geometrically."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.parameter.type == "continuous":
            return text_of(round(self.low + share * (self.high - self.low), 4))
        if self.low < 1:
            return text_of(round(self.low + share * (self.high - self.low)))
        return text_of(round(self.low * (self.high / self.low) ** share))


@dataclass(frozen=True)
class Search:
    """Hyperparameter optimisation.

    Attributes:
        objective: The metric to maximise.
        n_trials: How many sets of values are tried, at most.
        ranges: By name of the hyperparameter; those that are tunable, over their whole documented
            range, if empty.
    """

    objective: str = OBJECTIVE
    n_trials: int = TRIALS
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def trials(self, parameters: Sequence[HyperParameter], seed: int) -> list[dict[str, str]]:
        """Return the sets of values to try: a Latin hypercube with the ends of all ranges in it."""
        ranges = [
            self.ranges.get(parameter.name, Range.of(parameter))
            for parameter in parameters
            if parameter.tunable and (not self.ranges or parameter.name in self.ranges)
        ]
        random = np.random.default_rng(seed)
        shares = np.linspace(0.0, 1.0, max(self.n_trials, 1))
        columns = [
            shares if not number else random.permutation(shares) for number in range(len(ranges))
        ]
        trials = [
            {
                range_.parameter.name: range_.at(float(column[trial]))
                for range_, column in zip(ranges, columns, strict=True)
            }
            for trial in range(len(shares))
        ]
        return list({json.dumps(trial, sort_keys=True): trial for trial in trials}.values())
