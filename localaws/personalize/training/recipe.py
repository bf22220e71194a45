"""Recipes: their hyperparameters, the data they need, the models behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from localaws.errors import suggestion
from recommenders import Recommender

Value: TypeAlias = int | float | bool | str

_DOMAINS = {"ecomm": "ECOMMERCE", "vod": "VIDEO_ON_DEMAND"}
_PERSONAL = {"USER_PERSONALIZATION", "PERSONALIZED_RANKING", "PERSONALIZED_ACTIONS"}
_BATCH = {"USER_PERSONALIZATION", "POPULAR_ITEMS", "PERSONALIZED_RANKING", "RELATED_ITEMS"}
_DESCRIPTIONS = {
    "USER_PERSONALIZATION": (
        "Items that a user will interact with next, from the order of all users' interactions."
    ),
    "POPULAR_ITEMS": "The items with the most interactions, the same for every user.",
    "TRENDING_NOW": "Items whose interactions grow fastest.",
    "PERSONALIZED_RANKING": "A given list of items in the order of a user's interest.",
    "RELATED_ITEMS": "Items similar to a given item.",
    "PERSONALIZED_ACTIONS": "Actions that a user will take.",
    "USER_SEGMENTATION": "Users who are likely to interact with a given item or attribute.",
}


@dataclass(frozen=True)
class HyperParameter:
    """One hyperparameter; over the wire its value is a string.

    Attributes:
        name: E.g. `hidden_dimension`.
        default: AWS's default.
        low: Smallest value.
        high: Largest value.
        tunable: Whether hyperparameter optimisation may vary it.
        choices: The legal strings, of a category.
    """

    name: str
    default: Value
    low: float = 0.0
    high: float = 1.0
    tunable: bool = False
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> Value:
        """Return the value of a string.

        Raises:
            ValueError: If it is of another type or outside of the range.
        """
        if self.type == "categorical":
            is_flag = isinstance(self.default, bool)
            choice = text.lower() if is_flag else text
            if choice not in self.legal:
                expected = "true or false" if is_flag else f"one of {', '.join(self.legal)}"
                raise ValueError(f"{self.name} must be {expected}, not {text!r}")
            return choice == "true" if is_flag else choice
        number = int if self.type == "integer" else float
        try:
            value = number(text)
        except ValueError:
            expected = "an integer" if number is int else "a number"
            raise ValueError(f"{self.name} must be {expected}, not {text!r}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must be in [{self.low:g}, {self.high:g}], not {text!r}")
        return value

    @property
    def type(self) -> str:
        """`integer`, `continuous` or `categorical`, as the service model names ranges."""
        if isinstance(self.default, bool | str):
            return "categorical"
        return "integer" if isinstance(self.default, int) else "continuous"

    @property
    def legal(self) -> tuple[str, ...]:
        """The legal strings of a category, none of a number."""
        return (self.choices or ("true", "false")) if self.type == "categorical" else ()


def text_of(value: Value) -> str:
    """Return a value as it goes over the wire."""
    return str(value).lower() if isinstance(value, bool) else str(value)


MakeModel: TypeAlias = Callable[[Mapping[str, Value], int, int], Recommender]
"""Returns a model, not fitted.

Its arguments are the values of the hyperparameters that the solution names, how many factors it may
have at most, and a seed.
"""


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        name: E.g. `aws-user-personalization`.
        type: AWS's recipe type, e.g. `USER_PERSONALIZATION`.
        make: Returns the model.
        parameters: Hyperparameters of the algorithm.
        features: Parameters of the feature transformation.
        datasets: The dataset types that it needs.
        needs: The members that a request for recommendations must have: `userId`, `itemId`.
        event_types: The event types that a use case learns from, the required one first; all if
            empty.
        hides: Items with which the user has an event of this type are never recommended.
        updates: Whether it takes `trainingMode` UPDATE.
        weighs: Whether it takes weights of event types, `eventsConfig`.
        algorithm: The algorithm's name where it is not the recipe's.
        transformation: The feature transformation's name where it is not the recipe's.
    """

    name: str
    type: str
    make: MakeModel
    parameters: tuple[HyperParameter, ...] = ()
    features: tuple[HyperParameter, ...] = ()
    datasets: tuple[str, ...] = ("INTERACTIONS",)
    needs: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    hides: str | None = None
    updates: bool = False
    weighs: bool = False
    algorithm: str = ""
    transformation: str = ""

    @property
    def description(self) -> str:
        """The use of the recipe, in one sentence."""
        if self.is_semantic:
            return "Items whose names, texts and attributes are like those of a given item."
        if self.domain:
            return f"A use case of a domain dataset group: {' '.join(self.name.split('-')[2:])}."
        return _DESCRIPTIONS[self.type]

    @property
    def domain(self) -> str | None:
        """The domain of a use case of domain dataset groups, by the second word of its name."""
        return _DOMAINS.get(self.name.split("-")[1])

    @property
    def batch(self) -> bool:
        """Whether batch inference jobs take it."""
        return self.domain is None and self.type in _BATCH

    @property
    def segments(self) -> bool:
        """Whether batch segment jobs take it."""
        return self.type == "USER_SEGMENTATION"

    @property
    def explores(self) -> bool:
        """Whether new items come into lists by exploration."""
        return self.type in {"USER_PERSONALIZATION", "PERSONALIZED_ACTIONS"}

    @property
    def live(self) -> bool:
        """Whether events since the training change a user's results; these have scores then."""
        return self.type in _PERSONAL

    @property
    def scores_items(self) -> bool:
        """Whether an item has a score to which other preferences can be added."""
        return self.type in {"USER_PERSONALIZATION", "PERSONALIZED_RANKING"} or self.is_semantic

    @property
    def is_semantic(self) -> bool:
        """Whether it compares items by what is written of them; it needs no interactions."""
        return "INTERACTIONS" not in self.datasets

    def parse(self, texts: Mapping[str, str]) -> dict[str, Value]:
        """Return the values of those parameters that it has, of algorithm and features."""
        known = {parameter.name: parameter for parameter in (*self.parameters, *self.features)}
        return {name: known[name].parse(text) for name, text in texts.items() if name in known}

    def feature(self, name: str, texts: Mapping[str, str]) -> float | None:
        """Return a number among the feature transformation's parameters, None if it has none."""
        for parameter in self.features:
            if parameter.name == name:
                return float(parameter.parse(texts[name]) if name in texts else parameter.default)
        return None


def parameter_faults(
    texts: Mapping[str, str], known: tuple[HyperParameter, ...], recipe: Recipe
) -> Iterator[str]:
    """Yield each parameter that the recipe does not have or whose value it refuses."""
    by_name = {parameter.name: parameter for parameter in known}
    for name, text in texts.items():
        if name not in by_name:
            hint = suggestion(name, by_name, f"it has {', '.join(by_name) or 'none'}")
            yield f"recipe {recipe.name} has no parameter {name!r}; {hint}"
            continue
        try:
            by_name[name].parse(text)
        except ValueError as error:
            yield f"recipe {recipe.name}: {error}"
