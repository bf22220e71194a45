"""Whose recommender a stage is: the configuration's, or in a Map that of its item.

What a stage's request says of a recommender is a function of its configuration. With one
recommender the values stand in the request as they are. With several, one request serves all of
them: a value that they share stands in it too, and one in which they differ is a path into the
Map's item, `$.recommender.NAME`. What the items hold follows from the same functions, so that
nothing that differs can be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from workflow.config import Config
from workflow.options.gate import BacktestGate, MetricGate
from workflow.run_names import RUN

ITEM = "$.recommender"
"""Where the Map's item is in each of its iterations."""

Values: TypeAlias = Callable[[Config], Mapping[str, Any]]


def training_values(config: Config) -> dict[str, Any]:
    """Return what the request of a training says of the recommender."""
    solution = config.solution
    return {
        "solutionName": config.solution_name,
        "datasetGroupArn": config.dataset_group_arn,
        "recipeArn": config.recipe_arn,
        "solutionConfig": config.solution_config,
        "eventType": solution.event_type or None,
        # With AutoML Personalize always searches them, and "you should not set it to false".
        "performHPO": None if solution.auto_ml else solution.hpo,
        "performAutoML": solution.auto_ml,
    }


def gate_values(config: Config) -> dict[str, Any]:
    """Return what the quality gate judges a version by; nothing without a gate."""
    gate = config.gate
    return {
        "onFailure": gate.on_failure if gate else None,
        "metrics": _rules(gate.metrics if gate else {}),
        "backtest": _rules(gate.backtest if gate else {}),
    }


def _rules(rules: Mapping[str, MetricGate | BacktestGate]) -> dict[str, Any]:
    """Return the rules of each metric as they are written, without those that are left out."""
    return {name: rule.model_dump(exclude_defaults=True) for name, rule in rules.items()}


def inference_values(config: Config) -> dict[str, Any]:
    """Return what the request of a batch inference job says of the recommender."""
    return {
        "roleArn": config.role_arn("personalize"),
        "numResults": config.batch_inference.num_results,
        "filterArn": config.personalize_filter_arn,
        "itemExploration": config.batch_inference.exploration or None,
    }


def publication_values(config: Config) -> dict[str, Any]:
    """Return what the request to publish says of the recommender."""
    return {
        "keep": config.filter.keep,
        "leastDifferentLists": config.least_different_lists,
        **({"gate": True} if config.gate else {}),
    }


_ALL = (training_values, gate_values, inference_values, publication_values)


@dataclass(frozen=True)
class OneRecommender:
    """The recommender of a configuration, whose values are known when the workflow is rendered."""

    config: Config

    @property
    def gates(self) -> tuple[Any, ...]:
        """The table `[gate]` of each recommender that a stage serves; None where there is none."""
        return (self.config.gate,)

    @property
    def name(self) -> dict[str, str]:
        """What a request says of whose it is: nothing, as there is one alone."""
        return {}

    def values(self, values: Values) -> dict[str, Any]:
        """Return a part of a request."""
        return dict(values(self.config))

    def path(self, folder: str) -> str:
        """Return the intrinsic function of an S3 URI below a run's prefix.

        Args:
            folder: One of the recommender's own, for example `batch-input/`.
        """
        own = f"{self.config.folder}{folder}"
        return f"States.Format('s3://{self.config.bucket}/runs/{{}}/{own}', {RUN})"


@dataclass(frozen=True)
class EachRecommender(OneRecommender):
    """The recommender of a Map's item; its configuration is that of all of them."""

    @property
    def gates(self) -> tuple[Any, ...]:
        """The table `[gate]` of each recommender; None where there is none."""
        return tuple(each.gate for each in self.config.each_recommender)

    @property
    def name(self) -> dict[str, str]:
        """What a request says of whose it is: the path of the recommender's name."""
        return {"recommender.$": f"{ITEM}.name"}

    def values(self, values: Values) -> dict[str, Any]:
        """Return a part of a request: shared values, and paths of those in which they differ."""
        part: dict[str, Any] = {**self.name}
        for name, each in self._by_name(values):
            if _differ(each):
                part[f"{name}.$"] = f"{ITEM}.{name}"
            else:
                part[name] = each[0]
        return part

    def path(self, folder: str) -> str:
        """Return the intrinsic function of an S3 URI below a run's prefix."""
        uri = f"s3://{self.config.bucket}/runs/{{}}/{{}}{folder}"
        return f"States.Format('{uri}', {RUN}, {ITEM}.folder)"

    def items(self) -> list[dict[str, Any]]:
        """Return the items of the Map: name and folder of each, and what differs."""
        views = self.config.each_recommender
        items: list[dict[str, Any]] = [
            {"name": view.recommender, "folder": view.folder} for view in views
        ]
        for values in _ALL:
            for name, each in self._by_name(values):
                if _differ(each):
                    for item, value in zip(items, each, strict=True):
                        item[name] = value
        return items

    def _by_name(self, values: Values) -> Iterator[tuple[str, list[Any]]]:
        """Yield each value's name, and it of each recommender; None where one has none."""
        parts = [values(view) for view in self.config.each_recommender]
        for name in dict.fromkeys(name for part in parts for name in part):
            yield name, [part.get(name) for part in parts]


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)
