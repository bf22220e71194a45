"""The parts of the local Personalize that its operations share, and checks common to several."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.groups import DatasetGroups
from localaws.personalize.data.s3 import Location
from localaws.personalize.data.store import Store
from localaws.personalize.errors import invalid
from localaws.personalize.filters import Filters
from localaws.personalize.resources.jobs import Workers
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.training.recipe import Recipe
from recommenders import Exploration, Recommender, load_recommender, standardized_ranks

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Request = dict[str, Any]
Response = Mapping[str, Any]

_MODELS_IN_MEMORY = 8


class Models:
    """The trained models, one directory for each solution version or recommender.

    Args:
        directory: Holds them all.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._load = lru_cache(_MODELS_IN_MEMORY)(load_recommender)

    def directory_of(self, arn: str) -> Path:
        """Return the directory of this ARN's model; the ARN itself is no file name."""
        return self._directory / hashlib.sha256(arn.encode()).hexdigest()[:16]

    def load(self, arn: str) -> Recommender:
        """Return the model of this ARN; the last few stay in memory."""
        with self._lock:
            return self._load(self.directory_of(arn))

    def drop(self, arn: str) -> None:
        """Delete the model, if there is one."""
        directory = self.directory_of(arn)
        if directory.exists():
            self._load.cache_clear()
            shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class Backend:
    """The parts of the local Personalize that its operations share.

    Attributes:
        registry: All resources.
        workers: Background work.
        store: The rows of the datasets.
        groups: The schemas and rows of dataset groups.
        filters: The filters.
        models: Trained models.
        s3: Returns the S3 client with which a job reads and writes, by the ARN of its role.
        directory: For unfinished output.
        seed: Same data and same seed give the same recommendations.
        clock: The time, aware.
        cloudwatch: Returns the CloudWatch client, as `s3`; None where metrics are not sent.
    """

    registry: Registry
    workers: Workers
    store: Store
    groups: DatasetGroups
    filters: Filters
    models: Models
    s3: Callable[[str], S3Client]
    directory: Path
    seed: int
    clock: Callable[[], datetime]
    cloudwatch: Callable[[str], Any] | None = None


class Operations:
    """Operations of Personalize's services, named as boto3's methods.

    Args:
        backend: The parts that all operations share.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry


def arn_response(resource: Resource) -> dict[str, Any]:
    """Return the response of a create operation."""
    return {resource.type.arn_member: resource.arn}


def check_location(member: str, url: str) -> None:
    """Refuse a URL that is no location on S3."""
    try:
        Location.parse(url)
    except ValueError as error:
        raise invalid(f"{member}: {error}") from error


_EXPLORATION = {"explorationWeight": (0.0, 1.0), "explorationItemAgeCutOff": (0.0, 1e6)}


def check_exploration(member: str, config: Mapping[str, Any]) -> None:
    """Refuse an `itemExplorationConfig` of a campaign, a recommender or a batch job."""
    for name, text in config.get("itemExplorationConfig", {}).items():
        path = f"{member}.itemExplorationConfig.{name}"
        if name not in _EXPLORATION:
            raise invalid(f"{path}: known are {', '.join(_EXPLORATION)}")
        low, high = _EXPLORATION[name]
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise invalid(f"{path} must be a number in [{low:g}, {high:g}], not {text!r}")


def check_ranking_influence(member: str, config: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse a `rankingInfluence` where items have no scores that it could change."""
    if config.get("rankingInfluence") and not recipe.scores_items:
        raise invalid(
            f"{member}.rankingInfluence: {recipe.name} is of type {recipe.type}; it needs"
            " USER_PERSONALIZATION or PERSONALIZED_RANKING, or aws-semantic-similarity"
        )


def ranking_influence(config: Mapping[str, Any], model: Recommender) -> NDArray[np.float32] | None:
    """Return the preference for popular or fresh items; None if it is not configured.

    A factor of 1 weighs as much as relevance does.
    """
    values = {"POPULARITY": model.popularity, "FRESHNESS": model.created}
    tilts = [
        standardized_ranks(values[name]()) * np.float32(weight)
        for name, weight in config.get("rankingInfluence", {}).items()
    ]
    return np.sum(tilts, axis=0) if tilts else None


def exploration(config: Mapping[str, Any], recipe: Recipe, seed: int) -> Exploration | None:
    """Return the exploration of new items; None unless configured, so that results are stable.

    AWS explores with a weight of 0.3 where nothing is configured.
    """
    settings = config.get("itemExplorationConfig", {})
    if not settings or not recipe.explores:
        return None
    return Exploration(
        weight=float(settings.get("explorationWeight", 0.3)),
        age_cut_off=float(settings.get("explorationItemAgeCutOff", 30.0)),
        seed=seed,
    )
