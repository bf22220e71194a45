"""What a recipe is: its hyperparameters, the data it needs, the model behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from localaws.errors import suggestion
from recommenders import Recommender

Value: TypeAlias = int | float | bool | str


@dataclass(frozen=True)
class HyperParameter:
    """One hyperparameter; over the wire its value is a string.

    Args:
        name: E.g. ``hidden_dimension``.
        default: AWS's default.
        low: Smallest value.
        high: Largest value.
        tunable: Whether hyperparameter optimisation may vary it.
        choices: The legal strings, if it is one.
    """

    name: str
    default: Value
    low: float = 0.0
    high: float = 1.0
    tunable: bool = False
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> Value:
        """The value that the string stands for.

        Raises:
            ValueError: If it is of another type or outside of the range.
        """
        if isinstance(self.default, bool):
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"{self.name} must be true or false, not {text!r}")
            return text.lower() == "true"
        if isinstance(self.default, str):
            if text not in self.choices:
                raise ValueError(
                    f"{self.name} must be one of {', '.join(self.choices)}, not {text!r}"
                )
            return text
        kind = type(self.default)
        try:
            value = kind(text)
        except ValueError:
            expected = "an integer" if kind is int else "a number"
            raise ValueError(f"{self.name} must be {expected}, not {text!r}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must be in [{self.low:g}, {self.high:g}], not {text!r}")
        return value

    @property
    def kind(self) -> str:
        """``integer``, ``continuous`` or ``categorical``, as the service model names ranges."""
        if isinstance(self.default, bool | str):
            return "categorical"
        return "integer" if isinstance(self.default, int) else "continuous"


def text_of(value: Value) -> str:
    """A value as it goes over the wire."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Settings:
    """What a model is made of.

    Args:
        given: Values of the hyperparameters that the solution names; others keep their default.
        n_users: How many users there are to learn from.
        n_items: How many items there are.
        seed: Same data, same seed: same result.
    """

    given: Mapping[str, Value]
    n_users: int
    n_items: int
    seed: int


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Args:
        name: E.g. ``aws-user-personalization``.
        type: AWS's recipe type, e.g. ``USER_PERSONALIZATION``.
        description: One sentence.
        make: Gives the model, not fitted.
        parameters: Hyperparameters of the algorithm.
        features: Parameters of the feature transformation.
        domain: ``ECOMMERCE`` or ``VIDEO_ON_DEMAND`` for use cases of domain dataset groups.
        datasets: Types of the data sets that it needs.
        event_types: The types of events that a use case learns from, the required one first;
            all if empty.
        hides: Items that the user has met in events of this type never come back.
        needs: What a request for recommendations must name: ``userId``, ``itemId``.
        batch: Whether batch inference jobs take it.
        segments: Whether batch segment jobs take it.
        updates: Whether it takes ``trainingMode`` UPDATE.
        weighs: Whether it takes weights of event types, ``eventsConfig``.
        explores: Whether new items come into lists by exploration.
        live: Whether events since the training change a user's answer.
        algorithm: The algorithm's name where it is not the recipe's.
        transformation: The feature transformation's name where it is not the recipe's.
    """

    name: str
    type: str
    description: str
    make: Callable[[Settings], Recommender]
    parameters: tuple[HyperParameter, ...] = ()
    features: tuple[HyperParameter, ...] = ()
    domain: str | None = None
    datasets: tuple[str, ...] = ("INTERACTIONS",)
    event_types: tuple[str, ...] = ()
    hides: str | None = None
    needs: tuple[str, ...] = ()
    batch: bool = False
    segments: bool = False
    updates: bool = False
    weighs: bool = False
    explores: bool = False
    live: bool = False
    algorithm: str = ""
    transformation: str = ""

    @property
    def scores_items(self) -> bool:
        """Whether it gives items a score for a user, which other wishes can be put beside."""
        return self.type in {"USER_PERSONALIZATION", "PERSONALIZED_RANKING"}

    def values(self, given: Mapping[str, str]) -> dict[str, Value]:
        """The parsed values of the parameters given, both kinds."""
        known = {one.name: one for one in (*self.parameters, *self.features)}
        return {name: known[name].parse(text) for name, text in given.items() if name in known}

    def feature(self, name: str, given: Mapping[str, str]) -> float | None:
        """A number among the feature transformation's parameters, None if it has none such."""
        for parameter in self.features:
            if parameter.name == name:
                return float(parameter.parse(given[name]) if name in given else parameter.default)
        return None


def parameter_faults(
    given: Mapping[str, str], known: tuple[HyperParameter, ...], recipe: Recipe
) -> Iterator[str]:
    """Each given parameter that the recipe does not have or whose value it refuses."""
    by_name = {parameter.name: parameter for parameter in known}
    for name, text in given.items():
        if name not in by_name:
            hint = suggestion(name, by_name, f"it has {', '.join(by_name) or 'none'}")
            yield f"recipe {recipe.name} has no parameter {name!r}; {hint}"
            continue
        try:
            by_name[name].parse(text)
        except ValueError as fault:
            yield f"recipe {recipe.name}: {fault}"
