"""The hyperparameters of Personalize's recipes: a solution with others fails after the imports.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-predefined-recipes.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workflow.spelling import suggestion

Value = str | int | float | bool


@dataclass(frozen=True)
class HyperParameter:
    """A hyperparameter of a recipe.

    Attributes:
        type: Of its values; an int is a float too.
        low: The least value of a number.
        high: The greatest value of a number.
        is_feature: Whether it transforms the data, and does not belong to the algorithm.
    """

    type: type
    low: float = 0
    high: float = 0
    is_feature: bool = False

    def problem(self, value: Value) -> str:
        """Return why a value is none; empty if it is one."""
        if self.type is bool:
            return "" if isinstance(value, bool) else "it is true or false"
        is_number = isinstance(value, (int, self.type)) and not isinstance(value, bool)
        if is_number and self.low <= float(value) <= self.high:
            return ""
        kind = "a whole number" if self.type is int else "a number"
        return f"it is {kind} from {self.low:g} to {self.high:g}"


def _percentiles(*names: str) -> dict[str, HyperParameter]:
    return {f"{name}_percentile": HyperParameter(float, 0, 1, is_feature=True) for name in names}


_HISTORY = ("min_user_history_length", "max_user_history_length")
_COUNTS = ("min_item_interaction_count", "max_item_interaction_count")

HYPERPARAMETERS: Mapping[str, Mapping[str, HyperParameter]] = {
    "aws-user-personalization-v2": {"apply_recency_bias": HyperParameter(bool)},
    "aws-user-personalization": {
        "hidden_dimension": HyperParameter(int, 32, 256),
        "bptt": HyperParameter(int, 2, 32),
        "recency_mask": HyperParameter(bool),
        **_percentiles(*_HISTORY),
    },
    "aws-popularity-count": {},
    "aws-similar-items": {
        "item_id_hidden_dim": HyperParameter(int, 30, 200),
        "item_metadata_hidden_dim": HyperParameter(int, 30, 200),
    },
    "aws-sims": {
        "popularity_discount_factor": HyperParameter(float, 0, 1),
        "min_cointeraction_count": HyperParameter(int, 0, 10),
        **_percentiles(*_HISTORY, *_COUNTS),
    },
    "aws-semantic-similarity": {},
}
"""Recipe → its hyperparameters, of the recipes that the workflow can use."""

TUNABLE = frozenset({"aws-user-personalization", "aws-similar-items", "aws-sims"})
"""The recipes with hyperparameters that Personalize searches (`performHPO`)."""


def hyperparameter_problems(
    recipe: str, values: Mapping[str, Value]
) -> Iterator[tuple[str, str, str]]:
    """Yield name, rule and fix of each value that the recipe does not take."""
    known = HYPERPARAMETERS.get(recipe, {})
    names = f"its hyperparameters are {', '.join(known)}" if known else f"{recipe} has none"
    for name, value in values.items():
        if name not in known:
            fix = suggestion(name, list(known), otherwise=f"take it out; {names}")
            yield name, f"{recipe} has no such hyperparameter", fix
        elif rule := known[name].problem(value):
            yield name, rule, "write another value, or leave it out for the recipe's own"
