"""What the operations of the local Personalize share, and how they refuse and answer."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.http.errors import ServiceError
from localaws.personalize.data.s3 import S3, Location, S3Client
from localaws.personalize.data.schemas import Schema, parse_schema
from localaws.personalize.data.store import Store
from localaws.personalize.filters import Filters
from localaws.personalize.resources.jobs import Workers
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.resource_types import SCHEMA
from localaws.personalize.training.recipe import Recipe
from recommenders import Exploration, Recommender, load_recommender, standardized_ranks

Request = dict[str, Any]
Answer = Mapping[str, Any]

_MODELS_KEPT = 8


class Models:
    """The trained models, one directory for each solution version or recommender.

    Args:
        directory: Holds them all.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Recommender] = OrderedDict()

    def directory_of(self, arn: str) -> Path:
        """Where the model of this ARN is kept; the ARN itself is no file name."""
        return self._directory / hashlib.sha256(arn.encode()).hexdigest()[:16]

    def load(self, arn: str) -> Recommender:
        """The model of this ARN; the last few stay in memory."""
        with self._lock:
            if arn not in self._loaded:
                self._loaded[arn] = load_recommender(self.directory_of(arn))
                if len(self._loaded) > _MODELS_KEPT:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(arn)
            return self._loaded[arn]

    def forget(self, arn: str) -> None:
        """Load the model anew when it is next asked for: there is another one."""
        with self._lock:
            self._loaded.pop(arn, None)

    def drop(self, arn: str) -> None:
        """Delete the model."""
        self.forget(arn)
        shutil.rmtree(self.directory_of(arn), ignore_errors=True)


@dataclass(frozen=True)
class Parts:
    """What the operations share.

    Args:
        registry: All resources.
        workers: Background work.
        store: The data of the datasets.
        filters: Filters, put on the data.
        models: Trained models.
        s3: The ARN of a job's role → the S3 client with which the job reads and writes.
        directory: For unfinished output.
        seed: Same data and same seed give the same recommendations.
        clock: The time, aware.
        cloudwatch: The same for CloudWatch; None where metrics are not sent.
    """

    registry: Registry
    workers: Workers
    store: Store
    filters: Filters
    models: Models
    s3: Callable[[str], S3Client]
    directory: Path
    seed: int
    clock: Callable[[], datetime]
    cloudwatch: Callable[[str], Any] | None = None

    def s3_of(self, request: Mapping[str, Any]) -> S3:
        """How the job of a request gets its S3 client, under the role that it was given."""
        return partial(self.s3, request.get("roleArn", ""))

    def schema(self, arn: str) -> Schema:
        """The schema of this ARN."""
        details = self.registry.get(arn, SCHEMA).details
        return parse_schema(details["schema"], details.get("domain"))

    def update_begun(self, **members: Any) -> dict[str, Any]:
        """A resource's update, CREATE PENDING, as Describe operations show it."""
        now = self.clock()
        times = {"creationDateTime": now, "lastUpdatedDateTime": now}
        return {**members, "status": "CREATE PENDING", **times}


def created(resource: Resource) -> dict[str, Any]:
    """The answer of a create operation."""
    return {resource.kind.arn_member: resource.arn}


def invalid(message: str) -> ServiceError:
    """The error that tells of an invalid request."""
    return ServiceError("InvalidInputException", message)


def refuse(request: Mapping[str, Any], *names: str) -> None:
    """Refuse members that would change the result and are not built."""
    if given := [name for name in names if request.get(name)]:
        raise invalid(f"{', '.join(given)}: not supported by this local Personalize; leave it out")


def check_location(member: str, url: str) -> None:
    """Refuse what is no place on S3."""
    try:
        Location.parse(url)
    except ValueError as error:
        raise invalid(f"{member}: {error}") from error


_EXPLORATION = {"explorationWeight": (0.0, 1.0), "explorationItemAgeCutOff": (0.0, 1e6)}


def check_inference_config(member: str, config: Mapping[str, Any]) -> None:
    """Refuse what a campaign, a recommender or a batch job cannot be configured with."""
    for name, text in config.get("itemExplorationConfig", {}).items():
        place = f"{member}.itemExplorationConfig.{name}"
        if name not in _EXPLORATION:
            raise invalid(f"{place}: known are {', '.join(_EXPLORATION)}")
        _check_number(place, text, *_EXPLORATION[name])


def check_influence(member: str, config: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse what ranks items besides their scores where there are none."""
    if config.get("rankingInfluence") and not recipe.scores_items:
        raise invalid(
            f"{member}.rankingInfluence: {recipe.name} is of type {recipe.type}; it needs"
            " USER_PERSONALIZATION or PERSONALIZED_RANKING"
        )


def influence(config: Mapping[str, Any], model: Recommender) -> NDArray[np.float32] | None:
    """How much popular or fresh items are preferred; None if that is not configured.

    A factor of 1 weighs as much as relevance does.
    """
    given = config.get("rankingInfluence", {})
    known = {"POPULARITY": model.popularity, "FRESHNESS": model.created}
    tilts = [
        standardized_ranks(known[name]()) * np.float32(weight) for name, weight in given.items()
    ]
    return np.sum(tilts, axis=0) if tilts else None


def exploration(config: Mapping[str, Any], recipe: Recipe, seed: int) -> Exploration | None:
    """How new items are explored; not at all unless it is configured, so that answers are stable.

    AWS explores with a weight of 0.3 where nothing is configured.
    """
    given = config.get("itemExplorationConfig", {})
    if not given or not recipe.explores:
        return None
    return Exploration(
        weight=float(given.get("explorationWeight", 0.3)),
        age_cut_off=float(given.get("explorationItemAgeCutOff", 30.0)),
        seed=seed,
    )


def _check_number(member: str, text: str, low: float, high: float) -> None:
    """Refuse a text that is no number in a range."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise invalid(f"{member} must be a number in [{low:g}, {high:g}], not {text!r}")
